"""What the load tests work out from what they measured."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from loadtest import figures, known_items, machine, quality
from loadtest.corpus import Corpus, Filings
from loadtest.odd_queries import DOCUMENTS, ODD, Odd
from loadtest.scale import longest_gap


def test_a_spread_is_median_least_and_most() -> None:
    assert figures.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_ratios_are_taken_round_by_round() -> None:
    found = figures.ratios([90.0, 45.0, 30.0], [100.0, 50.0, 40.0])
    assert found == {"median": 0.9, "min": 0.75, "max": 0.9}
    with pytest.raises(ValueError, match="longer"):
        figures.ratios([1.0], [1.0, 2.0])


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [figures.percentile(values, p) for p in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert figures.percentile([7.0], 99) == 7
    with pytest.raises(ValueError, match="none"):
        figures.percentile([], 50)


def test_percentiles_have_the_largest_beside() -> None:
    found = figures.percentiles([4.0, 1.0, 3.0, 2.0])
    assert found == {"p50": 2.0, "p95": 4.0, "p99": 4.0, "max": 4.0}


def test_a_slope_of_a_line_is_exact() -> None:
    found, error = figures.slope([0, 1, 2, 3], [5, 7, 9, 11])
    assert found == pytest.approx(2)
    assert error == pytest.approx(0)


def test_noise_has_no_slope() -> None:
    noise = random.Random(1)
    found, error = figures.slope(range(500), [300 + noise.gauss(0, 5) for _ in range(500)])
    assert abs(found) < 3 * error


def test_steps_that_follow_each_other_count_as_few_samples() -> None:
    """Each level held for 100 samples: as a hundred measurements they would look certain."""
    levels = [0.0, 3.0, 1.0, 2.0, 0.0, 3.0, 1.0, 2.0, 1.0, 2.0]
    held = [level for level in levels for _ in range(100)]
    once = figures.slope(range(10), levels)
    assert figures.slope([n / 100 for n in range(1000)], held) == pytest.approx(once)


def test_a_slope_needs_three_samples_at_different_places() -> None:
    with pytest.raises(ValueError, match="three"):
        figures.slope([1, 2], [1, 2])
    with pytest.raises(ValueError, match="one place"):
        figures.slope([1, 1, 1], [1, 2, 3])


def test_a_corpus_gives_few_and_many_of_the_same_mix() -> None:
    corpus = Corpus("x" * n for n in range(1, 101))
    for count in (10, 100, 250):
        lengths = [len(text.text.split()[1]) for text in corpus.take(count)]
        assert sum(lengths) / count == pytest.approx(50, abs=5)
        assert min(lengths) <= 10
        assert max(lengths) >= 90


def test_no_two_texts_of_a_corpus_are_the_same() -> None:
    corpus = Corpus(["one", "two"])
    taken = [*corpus.take(50), *corpus.take(50)]
    assert len({text.id for text in taken}) == len({text.text for text in taken}) == 100


def test_the_longest_gap_is_between_two_moments_and_counts_from_its_beginning() -> None:
    progress = [(0.0, 0), (1.0, 5), (2.0, 5), (3.0, 5), (4.0, 9), (5.0, 9), (9.0, 9), (10.0, 10)]
    assert longest_gap(progress, 0, 5) == 2
    assert longest_gap(progress, 3, 5) == 2  # still without progress at 3, since 1
    assert longest_gap(progress, 4, 10) == 5
    assert longest_gap(progress, 0, 1) == 0


def test_filings_are_records_of_financial_documents_each_with_a_text_of_its_own() -> None:
    filings = Filings.samples()
    first, second = filings.take(30), filings.take(30)
    assert len({each.text for each in (*first, *second)}) == 60
    assert len({each.id for each in (*first, *second)}) == 60
    for each in first:
        value = json.loads(each.value)
        assert (value["id"], value["text"]) == (each.id, each.text)
        assert value["company"]
        assert value["document_type"]


def test_calls_are_read_as_filings(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"sentences": ["One.", "Two."], "reference": ["One."]}\n'))
    (call,) = Filings.calls(file).take(1)
    assert call.text.startswith("One. Two.\n")
    assert json.loads(call.value)["document_type"] == "transcript"


def test_without_vnni_less_is_asked_for_and_the_rest_told() -> None:
    less, more = machine.targets(vnni=False), machine.targets(vnni=True)
    assert less["pipeline_over_tutorial"] == 4.0
    assert more["pipeline_over_tutorial"] == 5.0
    assert less.keys() == more.keys()
    assert machine.targets() in (less, more)


def test_an_interval_holds_its_mean_and_narrows_with_the_count() -> None:
    few, many = figures.interval([0.0, 1.0] * 5), figures.interval([0.0, 1.0] * 500)
    assert few["low"] < few["mean"] == many["mean"] == 0.5 < few["high"]
    assert many["high"] - many["low"] < (few["high"] - few["low"]) / 5
    with pytest.raises(ValueError, match="none"):
        figures.interval([])


@pytest.mark.parametrize(
    ("found", "recalls", "mrr", "ndcg"),
    [
        (["a", "b"], (1, 1, 1), 1.0, 1.0),
        (["x", "a", *"mnopqrs", "b"], (0, 0.5, 1), 0.5, 0.5641),
        ([*"mnopqrstuvw", "a"], (0, 0, 0), 0.0, 0.0),
        ([], (0, 0, 0), 0.0, 0.0),
    ],
)
def test_what_a_ranking_is_worth(
    found: list[str], recalls: tuple[float, ...], mrr: float, ndcg: float
) -> None:
    got = quality.measures(found, frozenset("ab"))
    assert (got["recall@1"], got["recall@5"], got["recall@10"]) == recalls
    assert (got["mrr"], got["ndcg@10"]) == pytest.approx((mrr, ndcg), abs=1e-4)


def test_a_known_item_names_company_and_period_and_no_figure() -> None:
    call = {"id": "AAP_q2_2021", "ticker": "AAP", "quarter": 2, "year": 2021, "sentences": ["x"]}
    asked = [
        item.question
        for number in range(40)
        for item in known_items.questions(
            [call | {"id": f"AAP_{number}", "reference": ["q2 adjusted sales rose $3.40."]}]
        )
    ]
    assert len(asked) == 40
    assert all("adjusted sales rose" in each and "3.40" not in each for each in asked)
    assert {"AAP" in each or "Advance Auto Parts" in each for each in asked} == {True}
    assert all("2021" in each or "2Q21" in each for each in asked)
    assert not list(known_items.questions([call | {"reference": ["q2 $1.00"]}]))


def test_an_odd_query_is_right_by_its_first_hit_or_by_no_sure_one() -> None:
    assert Odd("BRK", ("brk",)).right([("brk", 0.1), ("x", 0.1)])
    assert Odd("NOW", ("NOW_",)).right([("NOW_q1_2021", 0.9)])
    assert not Odd("BRK", ("brk",)).right([("x", 0.9), ("brk", 0.8)])
    assert not Odd("BRK", ("brk",)).right([])
    assert Odd("nowhere").right([])
    assert Odd("nowhere").right([("x", 0.4)])
    assert not Odd("nowhere").right([("x", 0.5)])
    assert len(ODD) >= 30
    assert {one for odd in ODD for one in odd.first if not one.endswith("_")} <= DOCUMENTS.keys()
