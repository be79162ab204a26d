"""How alike sentences of reports are, by their words: no model is asked.

Sentences that tell results are told in the same few words everywhere. The cosine of their words
finds them at least as well as vectors of the embedding model (docs/figures.md), and costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tickertape.documents import Vectors
from tickertape.terms import STOP_WORDS

_WORD = re.compile(r"[^\W\d_]+|\d[\d,.]*|[$€£¥%]")
NUMBER = "0"  # any: that a figure stands there counts, not which
# What stands beside a figure, in one form.
_FORMS = dict.fromkeys("€ £ ¥ usd eur gbp chf jpy cny inr sek nok dkk cad aud rs".split(), "$")  # noqa: SIM905
_FORMS |= {"percent": "%", "m": "million", "mn": "million", "bn": "billion"}


def word_vectors(sentences: Sequence[str]) -> Vectors:
    """Return float32 unit rows [sentences, words in all of them]; zeros for one without words.

    A word counts by the logarithm of how often it stands there, words of no meaning not at all.
    """
    columns: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for row, sentence in enumerate(sentences):
        for match in _WORD.finditer(sentence.casefold()):
            word = match[0]
            if word not in STOP_WORDS:
                word = NUMBER if word[0].isdigit() else _FORMS.get(word, word)
                found.append((row, columns.setdefault(word, len(columns))))
    counts = np.zeros((len(sentences), max(len(columns), 1)), np.float32)
    if found:
        np.add.at(counts, tuple(np.asarray(found).T), 1.0)
    rows = np.where(counts > 0, 1.0 + np.log(np.maximum(counts, 1.0)), 0.0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    vectors: Vectors = (rows / np.maximum(norms, 1e-9)).astype(np.float32)
    return vectors
