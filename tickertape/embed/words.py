"""Tokenising by words that were met before: a fraction of the time, and the same ids.

Most words of a text were in the last hundred texts too. The library says once what the ids of a
word are; where no token crosses a space, a text's ids are those of its words in a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

# Some 200 bytes each, a kilobyte at most; then all are forgotten, and the common ones met anew.
WORDS_MAX = 16_384
# A text that has one of these is left to the library: what Python takes for a space and BERT
# drops, and a word too long to be worth keeping.
_ODD = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|\S{25}"


def apart(tokenizer: Tokenizer) -> bool:
    """Return whether a tokeniser is BERT's: what it makes of a word does not depend on the words
    around it (https://huggingface.co/docs/tokenizers/api/pre-tokenizers).
    """
    # A token that was added may have a space, and may be found in another form than its own.
    added = tokenizer.get_added_tokens_decoder().values()
    plain = not any(token.normalized or len(token.content.split()) != 1 for token in added)
    bert = isinstance(tokenizer.normalizer, BertNormalizer)
    return plain and bert and isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)


def encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text by the library alone, without special tokens."""
    found = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in found]


class Words:
    """The words that were met, and their ids. May be used from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """``tokenizer`` is one that keeps words `apart`."""
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        # Those like [MASK] are found in the text before anything else is done to it.
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        self._odd = re.compile("|".join([_ODD, *map(re.escape, added)]))

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        known = self._known  # another thread may put a new one in its place
        split = [None if self._odd.search(text) else text.split() for text in texts]
        # Not a difference of sets: that goes through all that are known.
        new = list({word for words in split if words for word in words if word not in known})
        known.update(zip(new, encoded(self._tokenizer, new), strict=True))
        odd = [text for text, words in zip(texts, split, strict=True) if words is None]
        whole = iter(encoded(self._tokenizer, odd))
        found = [
            next(whole)
            if words is None
            else list(chain.from_iterable(map(known.__getitem__, words)))
            for words in split
        ]
        if len(known) > WORDS_MAX:
            self._known = {}
        return found
