"""What every engine does before the model: texts to ids, and ids to padded batches."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from tokenizers import Tokenizer

from tickertape.embed.base import Offsets, Tokens
from tickertape.embed.words import Words, apart, encoded

Ids = np.ndarray[Any, np.dtype[np.int64]]

_SURROGATE = re.compile("[\ud800-\udfff]")
_LONG_CHARS = 1000  # a longer text is likely to be cut into chunks, which needs offsets
# The library takes some 170 bytes a character for a moment, and malloc keeps much of that.
_PIECE_CHARS = 2**14


class TextTokenizer:
    """A model's ``tokenizer.json``: texts to ids, and the special ids around a sequence."""

    def __init__(self, path: Path) -> None:
        """Load the file; raises the library's own bare Exceptions."""
        # Its own pool of threads would fight the inference for the cores, and warns after a fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        library = self._tokenizer
        self._ids = Words(library).ids if apart(library) else partial(encoded, library)
        self._prefix, self._suffix = _frame(self._tokenizer)
        self.special_tokens = len(self._prefix) + len(self._suffix)

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise without truncation and without special tokens.

        The library releases the GIL; known words do not need it.
        """
        # A lone surrogate has no UTF-8; U+FFFD is as long, so offsets stay those of the text.
        clean = [_SURROGATE.sub("\ufffd", text) for text in texts]
        tokens: dict[int, Tokens] = {}
        long = [i for i, text in enumerate(clean) if len(text) > _LONG_CHARS]
        short = [i for i, text in enumerate(clean) if len(text) <= _LONG_CHARS]
        # The fast ways keep no offsets; who needs those pays again.
        for i, ids in zip(short, self._ids([clean[i] for i in short]), strict=True):
            tokens[i] = Tokens(ids, partial(self._offsets, clean[i]))
        tokens.update({i: self._in_pieces(clean[i]) for i in long})
        return [tokens[i] for i in range(len(clean))]

    def pad(self, sequences: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
        """Frame each sequence in special tokens and fill up to the longest.

        Returns ids and mask, both int64 [len(sequences), longest]. What is filled up is masked,
        so any id will do. Takes about 2 us a sequence; filling without a loop is no faster.
        """
        width = max(map(len, sequences), default=0) + self.special_tokens
        ids = np.zeros((len(sequences), width), np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            framed = [*self._prefix, *sequence, *self._suffix]
            ids[row, : len(framed)] = framed
            mask[row, : len(framed)] = 1
        return ids, mask

    def _in_pieces(self, text: str) -> Tokens:
        # Arrays: a quarter of a million tokens are 2 MB so, and 35 MB as tuples of integers.
        ids, starts, ends = array("i"), array("i"), array("i")
        for low, high in _pieces(text):
            # A batch of one: `encode` itself keeps the GIL.
            (encoding,) = self._tokenizer.encode_batch([text[low:high]], add_special_tokens=False)
            ids.extend(encoding.ids)
            for start, end in encoding.offsets:
                starts.append(low + start)
                ends.append(low + end)
        return Tokens(ids, _Offsets(starts, ends))

    def _offsets(self, text: str) -> Offsets:
        found: Offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return found


class _Offsets(Sequence[tuple[int, int]]):
    """Pairs of two arrays."""

    def __init__(self, starts: array[int], ends: array[int]) -> None:
        self._starts = starts
        self._ends = ends

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> _Offsets: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | _Offsets:
        if isinstance(index, slice):
            return _Offsets(self._starts[index], self._ends[index])
        return self._starts[index], self._ends[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Cut before a space between two words, where BERT's tokens stay the same, and other
    tokenisers' nearly all. Where there is none, at any other space, or anywhere.
    """
    low = 0
    while len(text) - low > _PIECE_CHARS:
        least, last = low + _PIECE_CHARS // 2, low + _PIECE_CHARS
        cut = next((at for at in range(last, least, -1) if _between(text, at)), None)
        if cut is None:
            cut = next((at for at in range(last, least, -1) if text[at].isspace()), last)
        yield low, cut
        low = cut
    yield low, len(text)


def _between(text: str, at: int) -> bool:
    return text[at] == " " and not text[at - 1].isspace() and not text[at + 1 : at + 2].isspace()


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special ids that the tokeniser puts before and behind a sequence."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    special = encoding.special_tokens_mask
    inner = [index for index, flag in enumerate(special) if not flag]
    if not inner:  # a vocabulary without "a": nothing to tell before from behind
        return [], []
    return encoding.ids[: inner[0]], encoding.ids[inner[-1] + 1 :]
