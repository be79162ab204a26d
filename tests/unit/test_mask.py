"""No secret is shown, and no figure of a document is hidden."""

import json

import pytest

from tickertape.mask import MASK, is_secret, mask, mask_text


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "db_password", "dbPassword", "pwd", "secret", "client-secret"),
        *("token", "accessToken", "api_key", "apiKey", "APIKey", "x-api-key", "private_key"),
        *("aws_secret_access_key", "Authorization", "credentials", "ssl.key.password", "apikey"),
    ],
)
def test_secret_names(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("prompt_tokens", "completion_tokens", "key", "id", "keyword", "tokenizer", "host"),
        *("primary_key", "token_count", "author", "compass", "", "___"),
    ],
)
def test_other_names(name):
    assert not is_secret(name)


def test_masks_anywhere_in_a_tree_and_leaves_the_tree_alone():
    payload = {
        "db_type": "postgresql",
        "connection_params": {"host": "h", "password": "hunter2", "nested": [{"token": "hunter2"}]},
        "uri": "mongodb://u:hunter2@h/db",
        "secret": None,
    }
    before = json.dumps(payload)
    shown = mask(payload)
    assert "hunter2" not in json.dumps(shown)
    assert shown["connection_params"]["host"] == "h"
    assert shown["secret"] is None
    assert json.dumps(payload) == before


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:hunter2@host:5432/db",
        "redis://:hunter2@host",
        "postgres://u:p@hunter2@host/db",
        "https://hunter2@host/x",
        "host=h user=u password=hunter2 dbname=d",
        "host=h password='hunter2 x' dbname=d",
        "Server=h;Pwd=hunter2;Database=d",
        "https://h/x?api_key=hunter2&y=1",
        '{"db_password": "hunter2", "cut',
        '{"password": "a\\"hunter2"',
        "Authorization: Bearer hunter2hunter2hunter2",
    ],
)
def test_masks_inside_strings(text):
    shown = mask_text(text)
    assert "hunter2" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "Basic earnings per share were $1.20; diluted, $1.17.",
        "See https://example.com:8080/report?quarter=3 or write to ir@example.com.",
        "The bearer depositary receipts rose 4%.",
        "mongodb://user@host/db",
    ],
)
def test_leaves_documents_alone(text):
    assert mask_text(text) == text


def test_a_tree_of_any_depth():
    deep: dict = {"password": "hunter2"}
    for _ in range(5000):
        deep = {"a": deep}
    shown = mask(deep)
    for _ in range(99):
        shown = shown["a"]
    assert shown["a"] == MASK


@pytest.mark.parametrize("shift", range(0, 5000, 499))
@pytest.mark.parametrize(
    "secret",
    [
        "postgres://reporting:hunter2-hunter2@db/x",
        "https://hunter2@host/x",
        "password = 'hunter2 and more'",
        '"api_key": "hunter2 \\" hunter2"',
        "Authorization: Bearer hunter2hunter2hunter2",
    ],
)
def test_a_long_text_is_masked_as_a_short_one_is(secret, shift):
    """It is looked at a window after the other: a secret may lie across the border of two."""
    before, after = "rose 4 percent. " * 4096, " and fell again." * 5000
    text = f"{before[: len(before) - shift]}{secret}{after}"
    shown = mask_text(text)
    assert "hunter2" not in shown
    assert shown == text.replace(secret, mask_text(secret))


def test_a_secret_longer_than_a_window():
    shown = mask_text(f"{'a ' * 40_000}password='{'hunter2 ' * 40_000}' and user=b {'c ' * 9_000}")
    assert "hunter2" not in shown
    assert "user=b" in shown


def test_a_quote_that_was_cut_off():
    assert "hunter2" not in mask_text("host=h password='hunter2 and so")
