"""Samples are distinct, repeatable, and their figures add up."""

import re
from itertools import islice

import pytest

from models import FinancialDocument
from tickertape.decode import Limits
from tickertape.encode import to_json
from tickertape.record import Record
from tickertape.samples import TEXTS, samples


def test_each_is_different_and_always_the_same():
    some = list(samples(1000))
    assert len({each["id"] for each in some}) == 1000
    assert len({each["text"] for each in some}) == 1000
    assert some[:5] == list(samples(5))


def test_the_first_twelve_are_of_twelve_kinds_and_companies():
    some = list(samples(len(TEXTS)))
    assert len({each["company"] for each in some}) == len(some) == 12
    kinds = {each["document_type"] for each in some}
    assert {"10-K", "10-Q", "8-K", "news", "earnings-release", "earnings-call"} <= kinds


@pytest.mark.parametrize("sample", list(samples(192)), ids=lambda sample: sample["id"])
def test_reads_as_a_document(sample):
    assert not re.search(r"[{}]", sample["text"] + sample["title"])
    assert len(sample["text"].split()) > 200
    assert sample["text"].count("\n\n") >= 4
    assert sample["company"].split()[0] in sample["text"]
    record = Record("t", 0, 0, None, to_json(sample), (), 0)
    found = FinancialDocument.decode(record, Limits())
    assert found.published is not None
    assert found.metadata == {}


def test_the_figures_of_a_release_add_up():
    amount = r"\$([\d,]+\.\d)"
    for sample in islice(samples(600), 0, None, len(TEXTS)):
        text = sample["text"]

        def find(pattern, text=text):
            found = re.search(pattern, text)
            assert found, pattern
            return [float(each.replace(",", "")) for each in found.groups()]

        moved = re.search(r"Revenue (rose|fell) ([\d.]+)% to", text)
        assert moved
        (now, before) = find(rf"to {amount} million, compared with {amount} million")
        sign = 1 if moved[1] == "rose" else -1
        assert (now / before - 1) * 100 == pytest.approx(sign * float(moved[2]), abs=0.051)
        (a,) = find(rf"to {amount} million and made up")
        (b,) = find(rf"segment (?:rose|fell)[^$]*{amount} million\.\n")
        assert a + b == pytest.approx(now)
        (gross,) = find(rf"Gross profit was {amount}")
        (margin,) = find(r"a gross margin of ([\d.]+)%")
        assert gross / now * 100 == pytest.approx(margin, abs=0.051)
        (selling, research) = find(rf"{amount} million and research and development {amount}")
        (operating,) = find(rf"operating income of {amount}")
        assert gross - selling - research == pytest.approx(operating)
        (flow, spent, free) = find(
            rf"cash flow was {amount} million[^$]*{amount} million, free cash flow was {amount}"
        )
        assert flow - spent == pytest.approx(free)
        (cash, debt, net) = find(
            rf"{amount} million of cash and {amount} million of debt, a net debt of {amount}"
        )
        assert debt - cash == pytest.approx(net)
