"""What a user points at is read; what is wrong is named with its file and line."""

import gzip
import io
import json
import os
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape.feed import FeedDocument, Shape, Skipped, content_id, read


def write(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data if isinstance(data, bytes) else data.encode()
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(path)


def pairs(found):
    return [(e.id, e.payload["text"]) if isinstance(e, FeedDocument) else str(e) for e in found]


LINES = '{"id": 1, "text": "a"}\n\n{"id": "x", "text": "b", "report": "r", "order": 2}\r\n'


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.ndjson", "a.json", "a.json.gz"])
def test_json_lines(tmp_path, name):
    found = list(read([write(tmp_path, name, LINES)]))
    assert pairs(found) == [("1", "a"), ("x", "b")]
    assert found[1].payload == {"id": "x", "text": "b", "report": "r", "order": 2}
    assert found[1].where.endswith(f"{name}:3")


def test_a_bad_line_is_named_and_the_next_one_is_read(tmp_path):
    path = write(
        tmp_path,
        "a.jsonl",
        b'{"id": 1, "text": "a"}\n{"id": 2, "te\n[1]\n{"id": 4}\n{"id": 5, "text": " "}\n'
        b'{"id": 6, "text": "\xff"}\n{"id": [7], "text": "g"}\n{"id": 8, "text": "h"}',
    )
    good, *bad, last = read([path])
    assert (good.id, last.id) == ("1", "8")
    assert [str(b).removeprefix(f"{path}:").split(":")[0] for b in bad] == list("234567")
    reasons = " ".join(b.reason for b in bad)
    for expected in ("not JSON", "got an array", "text: expected", "not UTF-8", "id: expected"):
        assert expected in reasons


def test_a_line_that_is_too_long_is_skipped_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr("tickertape.feed.RECORD_BYTES_MAX", 40)
    path = write(tmp_path, "a.jsonl", '{"text": "%s"}\n{"id": 2, "text": "b"}\n' % ("a" * 500))
    found = pairs(read([path]))
    assert found == [f"{path}:1: over 40 bytes", ("2", "b")]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("count", [0, 1, 3, 2000])
def test_a_json_array(tmp_path, indent, count):
    documents = [{"id": n, "text": f"text {n} ]}},[", "deep": {"a": [1]}} for n in range(count)]
    path = write(tmp_path, "a.json", json.dumps(documents, indent=indent))
    assert pairs(read([path])) == [(str(d["id"]), d["text"]) for d in documents]


def test_one_json_object_over_many_lines(tmp_path):
    path = write(tmp_path, "a.json", json.dumps({"id": 1, "text": "a"}, indent=2) + "\n")
    assert pairs(read([path])) == [("1", "a")]


def test_a_broken_array_gives_what_came_before(tmp_path):
    path = write(tmp_path, "a.json", '[\n{"id": 1, "text": "a"},\n{"id": 2, "tex')
    assert pairs(read([path])) == [("1", "a"), f"{path}:3: not JSON from here on"]


@pytest.mark.parametrize("name", ["sentences", "paragraphs", "text", "content", "body"])
def test_a_text_in_pieces_is_joined(tmp_path, name):
    path = write(tmp_path, "a.jsonl", json.dumps({"id": 1, name: ["a", "b"], "reference": ["r"]}))
    (found,) = read([path])
    assert found.payload == {"id": "1", "text": "a\nb", "reference": ["r"]}


def test_the_topics_own_names(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"id": 1, "text": "a"}\n{"document_id": 2, "content": "b"}')
    found = list(read([path], Shape(id="document_id", text="content")))
    assert [e.payload for e in found] == [
        {"document_id": "1", "content": "a"},
        {"document_id": "2", "content": "b"},
    ]


def test_a_topic_that_needs_no_text(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"document_id": "d", "operation": "delete"}')
    (found,) = read([path], Shape(id="document_id", text=None))
    assert found.payload == {"document_id": "d", "operation": "delete"}


def test_no_id_is_an_id_made_of_the_content(tmp_path):
    one = write(tmp_path, "a.jsonl", '{"text": "a", "n": 1}\n{"text": "b"}\n"bare"')
    two = write(tmp_path, "b.jsonl", '{"text": "b"}\n\n{"text": "a", "n": 1}')
    ids = [e.id for e in read([one])]
    assert len(set(ids)) == 3
    assert [e.id for e in read([two])] == [ids[1], ids[0]]


class TestTexts:
    def test_a_file_is_a_document(self, tmp_path):
        (found,) = read([write(tmp_path, "note.md", "\ufeff# Title\n\nText é.\n")])
        assert found.id == "note.md"
        assert found.payload["text"] == "# Title\n\nText é.\n"

    def test_a_folder_is_read_in_order_with_all_below_it(self, tmp_path):
        for name in ("b/z.txt", "b/a/n.md", "a.txt.gz", "c.jsonl", ".hidden.txt", ".git/x.txt"):
            write(tmp_path, f"docs/{name}", '{"id": "line", "text": "l"}')
        write(tmp_path, "docs/picture.png", b"\x89PNG\0")
        found = list(read([str(tmp_path / "docs")]))
        documents = [e.id for e in found if isinstance(e, FeedDocument)]
        assert documents == ["docs/a.txt", "line", "docs/b/z.txt", "docs/b/a/n.md"]
        (passed,) = [e for e in found if isinstance(e, Skipped)]
        assert passed.passed
        assert str(passed).startswith(f"{tmp_path / 'docs/picture.png'}: passed over: .png is none")

    def test_what_is_passed_over_is_named_and_no_mistake(self, tmp_path):
        for name in ("a.pdf", "b.htm", "c.csv", "LICENSE"):
            write(tmp_path, f"docs/{name}", "x")
        *passed, nothing = read([str(tmp_path / "docs")])
        assert [p.where.rpartition("/")[2] for p in passed] == [
            "LICENSE",
            "a.pdf",
            "b.htm",
            "c.csv",
        ]
        assert all(p.passed for p in passed)
        assert not nothing.passed

    def test_ids_do_not_depend_on_how_the_folder_is_named(self, tmp_path, monkeypatch):
        write(tmp_path, "docs/a.txt", "a")
        monkeypatch.chdir(tmp_path)
        forms = (str(tmp_path / "docs"), "docs", "./docs/", "docs/../docs")
        assert {next(iter(read([form]))).id for form in forms} == {"docs/a.txt"}

    def test_two_files_of_one_name_are_not_one_document(self, tmp_path):
        one, two = (write(tmp_path, f"{n}/a.txt", n) for n in ("one", "two"))
        first, second = read([one, two])
        assert first.id == "a.txt"
        assert isinstance(second, Skipped)
        assert "a.txt" in second.reason

    @pytest.mark.parametrize("form", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    @pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.json"])
    def test_other_forms_of_unicode_by_their_mark(self, tmp_path, form, name):
        text = "Tamsin Ore plc \u2013 half year \U0001f4c8. " * 5000
        data = text if ".txt" in name else "\r\n".join([json.dumps({"id": 1, "text": text})] * 2)
        marked = data if form in ("utf-16", "utf-32") else f"\ufeff{data}"
        found = list(read([write(tmp_path, name, marked.encode(form))]))
        assert {e.payload["text"] for e in found} == {text}
        assert len(found) == (1 if ".txt" in name else 2)

    def test_a_page_on_stdin_is_not_sent(self, monkeypatch):
        page = io.BytesIO(b"<!doctype html><title>Results</title><p>Revenue rose.")
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(page)))
        (problem,) = read(["-"])
        assert "a web page" in problem.reason

    def test_windows_text(self, tmp_path):
        (found,) = read([write(tmp_path, "a.txt", "5 € • net".encode("cp1252"))])
        assert found.payload["text"] == "5 € • net"

    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            ("a.txt", b" \n", "empty"),
            ("a.pdf", b"%PDF\0\1", "a PDF"),
            ("a.txt", b"%PDF-1.7 with no NUL in its head", "a PDF"),
            ("a.dat", b"\0\1\2", "not a text"),
            ("a.html", b"<p>Revenue rose.</p>", ".html is none of"),
            ("a.htm.gz", b"<p>Revenue rose.</p>", ".htm is none of"),
            ("a.csv", b"id,text\n1,a\n", ".csv is none of"),
            ("a.txt", b"\n <!DOCTYPE html><p>Revenue rose.</p>", "a web page"),
            ("a", b"\xef\xbb\xbf<HTML><body>Revenue rose.", "a web page"),
            ("a.txt", b"<!-- saved from url=(9)a -->\r\n<!DOCTYPE html><p>Revenue.", "a web page"),
            ("a.md", b"<head><title>Results</title></head>Revenue rose.", "a web page"),
            ("a.jsonl.gz", None, "cannot be read"),
            ("missing.txt", ..., "cannot be read: No such file"),
        ],
    )
    def test_what_cannot_be_read(self, tmp_path, name, data, reason):
        path = tmp_path / name
        if data is None:
            path.write_bytes(gzip.compress(b'{"text": "a"}' * 9999)[:-20])
        elif data is not ...:
            path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        *_, problem = read([str(path)])
        assert isinstance(problem, Skipped)
        assert reason in problem.reason
        assert str(path) in problem.where

    def test_an_empty_folder_is_said(self, tmp_path):
        assert "in this folder" in str(*read([str(tmp_path)]))


class TestStdin:
    def give(self, monkeypatch, data):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        return list(read(["-"]))

    def test_json_lines(self, monkeypatch):
        found = self.give(monkeypatch, b'\n {"id": 1, "text": "a"}\nnope\n{"id": 3, "text": "c"}')
        assert pairs(found)[0::2] == [("1", "a"), ("3", "c")]

    def test_a_text(self, monkeypatch):
        (found,) = self.give(monkeypatch, b"Net income rose.\nSo did costs.\n")
        assert found.payload["text"] == "Net income rose.\nSo did costs.\n"
        assert found.id == content_id(b"Net income rose.\nSo did costs.\n")

    def test_nothing(self, monkeypatch):
        assert pairs(self.give(monkeypatch, b"")) == ["stdin: empty"]


@settings(deadline=None, max_examples=60)
@given(data=st.binary(), name=st.sampled_from(["a.jsonl", "a.json", "a.txt", "a.json.gz"]))
def test_any_bytes_are_read_or_named(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(data)
    for found in read([str(path)]):
        assert found.where.startswith(str(path))


def test_a_large_file_is_not_held_in_memory(tmp_path):
    """The second document comes before the rest of the file was read."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR)
    try:
        os.write(end, b'{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n')
        found = read([str(path)])
        assert [next(found).id, next(found).id] == ["1", "2"]
        found.close()
    finally:
        os.close(end)
