"""What `loadtest.engines` makes of vectors and seconds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from loadtest import engines
from tests.unit.test_runner import Fake
from tickertape.embed import lanes


def test_ndcg_by_hand() -> None:
    paragraphs = np.eye(12, dtype=np.float32)
    ranked = np.linspace(1, 0, 12, dtype=np.float32)  # paragraph 0 first, 11 last
    questions = np.stack([ranked] * 4)
    answers = [{0}, {1}, {11}, {0, 2}]
    two = (1 + 1 / 2) / (1 + 1 / np.log2(3))
    expected = (1 + 1 / np.log2(3) + 0 + two) / 4
    assert engines.ndcg(paragraphs, questions, answers) == pytest.approx(expected)


def test_a_paragraph_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}, {"id": "c", "text": "one"}]
    asked = [{"question": "which?", "relevant": ["c", "b"]}]
    for name, lines in (("paragraphs", rows), ("questions", asked)):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    found = engines.read(tmp_path)
    assert found == (["one", "two"], ["which?"], [{0, 1}])


@pytest.mark.parametrize("count", [1, 3])
def test_lanes_give_each_its_row(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fake, "lanes", count, raising=False)
    sequences = [[n] * (1 + n * 7 % 10) for n in range(1, 60)]
    vectors = lanes.embed(Fake(), sequences, 24)
    assert vectors.tolist() == [[s[0], len(s)] for s in sequences]
