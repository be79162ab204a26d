"""The page's filters, as what is asked with them gets them."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from pydantic import TypeAdapter

from tickertape.stores.conditions import PART_CHARACTERS_MAX
from web.fields import Filters
from web.pages import STATIC


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script")
def test_chips_become_comparisons() -> None:
    chips = [
        ("ticker", "ON"),
        ("published>", "2024-01-01"),
        ("published<2025", ""),
        ("price<", "1"),
        ("price>0", ""),
        ("company~", "a=b"),
        ("both", "1"),
        ("both>", "2"),
    ]
    script = (STATIC / "filters.js").read_text()
    script += f"console.log(JSON.stringify(compared(new Map({json.dumps(chips)}))));"
    ran = subprocess.run(
        ["node", "--input-type=module", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(ran.stdout) == {
        "ticker": "ON",
        "published": {"gte": "2024-01-01", "lt": "2025"},
        "price": {"lte": "1", "gt": "0"},
        "company": {"contains": "a=b"},
        "both": {"=": "1", "gte": "2"},  # refused, as by GET
    }


def test_the_page_asks_with_them() -> None:
    assert "filters: compared(filters)" in (STATIC / "search.js").read_text()


def test_the_description_says_how_long_a_part_may_be() -> None:
    schema = json.dumps(TypeAdapter(Filters).json_schema())
    assert f'"maxLength": {PART_CHARACTERS_MAX}' in schema
