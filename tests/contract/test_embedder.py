"""The real model in each engine. That it is sentence-transformers': `test_embedder_agreement`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from testkit.models import ROOT, ensure_model, model_settings
from tickertape.batching import plan
from tickertape.documents import Vectors
from tickertape.embed import calibrate, load
from tickertape.embed.base import Embedder
from tickertape.embed.calibrate import EDGES
from tickertape.embed.manifest import CALIBRATED_INT8, TOKENIZER
from tickertape.errors import InvalidRecord, TransientError


def texts() -> list[str]:
    """About 200 texts: lengths from nothing to far over the limit, scripts, marks, rubbish."""
    rng = random.Random(20)
    companies = ["Apple Inc.", "Deutsche Bank AG", "Nestlé S.A.", "三菱UFJ", "Газпром", "AT&T"]
    changes = ["rose", "fell", "was flat", "grew faster than expected", "missed the guidance"]
    metrics = ["Revenue", "Net income", "EPS", "Gross margin", "Free cash flow", "Headcount"]
    made = [
        " ".join(
            f"{rng.choice(metrics)} of {rng.choice(companies)} {rng.choice(changes)} by "
            f"{rng.random() * 90:.1f}% to ${rng.randint(1, 9999):,} mn in Q{rng.randint(1, 4)}."
            for _ in range(rng.choice([1, 1, 2, 3, 5, 8, 13]))
        )
        for _ in range(180)
    ]
    odd = [
        "", " ", "a", ".", "\x00", "\n\n\n", "ﬁnancial ½ ™ naïve café", "日本語のテキスト",
        "مرحبا بالعالم", "Привет, мир", "😀 emoji 👩‍👩‍👧", "x" * 99, "x" * 500, "1,234.56 (7.8%)",
        "https://example.com/a?b=c#d", "SHOUTING NEWS", "\u200bzero\u200bwidth", "tab\tand\rreturn",
        "<html><body>tags</body></html>", "e\u0301 combining", "word " * 2000, "[CLS] [SEP] [MASK]",
    ]  # fmt: skip
    return made + odd + _paragraphs(60)


def _paragraphs(count: int) -> list[str]:
    """Prose: the samples' paragraphs that are not calibrated with, and the project's own pages."""
    parts = calibrate.texts()[: calibrate.HELD_OUT]
    for page in (*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))):
        parts += page.read_text("utf-8").split("\n\n")
    return random.Random(3).sample(parts, min(count, len(parts)))


@pytest.fixture(scope="module")
def sample() -> list[str]:
    return texts()


def embedder_of(engine: str, precision: str) -> Iterator[Embedder]:
    loaded = load(model_settings(device="cpu", engine=engine, precision=precision))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def fp32(model_cache: Path, engine: str) -> Iterator[Embedder]:
    yield from embedder_of(engine, "fp32")


@pytest.fixture(scope="module")
def int8(model_cache: Path, engine: str) -> Iterator[Embedder]:
    if engine == "openvino":
        ensure_model(CALIBRATED_INT8)
    yield from embedder_of(engine, "int8")


@pytest.fixture(scope="module")
def full(model_cache: Path, sample: list[str]) -> Vectors:
    """The sample's vectors in fp32."""
    for embedder in embedder_of("onnx", "fp32"):
        return embed(embedder, sample)
    raise AssertionError("no embedder")


def embed(embedder: Embedder, sample: list[str], budget: int = 1024) -> Vectors:
    """Truncated to the model's limit, as sentence-transformers does."""
    limit = embedder.max_tokens - embedder.special_tokens
    sequences = [tokens.ids[:limit] for tokens in embedder.tokenize(sample)]
    vectors = np.empty((len(sample), embedder.dimension), np.float32)
    for batch in plan([len(s) + embedder.special_tokens for s in sequences], budget):
        vectors[batch] = embedder.encode([sequences[i] for i in batch])
    return vectors


def test_int8_is_close(int8: Embedder, sample: list[str], full: Vectors) -> None:
    vectors = embed(int8, sample)
    cosines = (vectors * full).sum(axis=1)
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.95
    new = [text not in EDGES for text in sample]  # nothing was calibrated with these
    assert sum(new) >= 240
    assert cosines[new].mean() >= 0.99
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_it_says_of_itself(fp32: Embedder, int8: Embedder, engine: str) -> None:
    """The fp32 vectors of the engines may be compared, those of their int8s may not."""
    for embedder in (fp32, int8):
        check_identity(embedder)
    assert fp32.precision == "fp32"
    if engine == "onnx":
        assert int8.precision == "int8"
    else:
        assert re.fullmatch(CALIBRATED_INT8 + r"-[0-9a-f]{8}", int8.precision)


def check_identity(embedder: Embedder) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert (embedder.name, embedder.identity) == (name, f"{name}@{embedder.precision}")
    assert (embedder.dimension, embedder.max_tokens, embedder.special_tokens) == (384, 256, 2)


def test_padding_changes_no_vector(fp32: Embedder, engine: str, sample: list[str]) -> None:
    some = sample[::11]
    alone, together = embed(fp32, some, budget=1), embed(fp32, some, budget=10**6)
    # In bf16, where the engine has found that faster, the last bits depend on the shape.
    assert (alone * together).sum(axis=1).min() > (0.99999 if engine == "onnx" else 0.9999)


def test_offsets_are_those_of_the_text(int8: Embedder) -> None:
    text = "Nestlé's 😀 revenue \ud800 rose\x00 3.5% 日本"
    tokens = int8.tokenize([text])[0]
    pieces = [text[start:end] for start, end in tokens.offsets]
    assert len(tokens.ids) == len(tokens.offsets)
    assert [p for p in pieces if p in {"revenue", "rose", "3", "5", "%", "日"}] == [
        "revenue", "rose", "3", "5", "%", "日",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Revenue of Nestlé S.A. rose by 4.2% to $1,234 mn 😀 in Q3.\n\n日本語。 " * 3000,
        ("no-space," * 1200 + " ") * 9,
        "\ud800 word " * 8_000,
        "a" * 2**14 + " ",
        "rose " * 3276 + "rev\x0cenue\n\n" + "a " * 9000,
    ],
    ids=["prose", "few spaces", "surrogates", "ends in a space", "form feed"],
)
def test_a_long_text_has_the_tokens_that_it_has_as_a_whole(int8: Embedder, text: str) -> None:
    """It is tokenised in pieces, for the library's memory."""
    library = Tokenizer.from_file(str(model_settings().models_dir / int8.name / "fp32" / TOKENIZER))
    library.no_truncation()
    library.no_padding()
    whole = library.encode(text.replace("\ud800", "\ufffd"), add_special_tokens=False)
    tokens = int8.tokenize([text])[0]
    assert list(tokens.ids) == whole.ids
    assert list(tokens.offsets) == whole.offsets


def test_an_endless_word_is_tokenised_to_its_end(int8: Embedder) -> None:
    (tokens,) = int8.tokenize(["a" * 100_000])
    assert tokens.offsets[-1][1] == 100_000


def test_tokenize_does_not_cut(int8: Embedder) -> None:
    assert len(int8.tokenize(["word " * 5000])[0].ids) == 5000


def test_a_sequence_over_the_limit_is_refused(int8: Embedder) -> None:
    assert int8.encode([[2000] * 254]).shape == (1, 384)
    with pytest.raises(InvalidRecord, match="at most 254"):
        int8.encode([[2000], [2000] * 255])


def test_an_id_that_does_not_exist_fails_the_batch_only(int8: Embedder) -> None:
    with pytest.raises(TransientError, match="inference failed"):
        int8.encode([[10**9]])
    assert int8.encode([[2000]]).shape == (1, 384)


def test_nothing_and_empty_texts(int8: Embedder) -> None:
    assert int8.tokenize([]) == []
    assert int8.encode([]).shape == (0, 384)
    assert int8.encode([[]]).shape == (1, 384)


def test_from_many_threads_at_a_time(int8: Embedder, sample: list[str]) -> None:
    limit = int8.max_tokens - int8.special_tokens
    sequences = [tokens.ids[:limit] for tokens in int8.tokenize(sample[:64])]
    batches = [sequences[i : i + 4] for i in range(0, 64, 4)]
    expected = [int8.encode(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        for got, wanted in zip(threads.map(int8.encode, batches), expected, strict=True):
            assert (got * wanted).sum(axis=1).min() > 0.999


def test_closed(model_cache: Path, engine: str) -> None:
    embedder = next(embedder_of(engine, "fp32"))
    embedder.close()
    embedder.close()
    with pytest.raises(TransientError, match="closed"):
        embedder.encode([[2000]])
