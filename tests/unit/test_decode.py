"""Bytes to fields: what users send, and what is refused with which words."""

import contextlib
import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickertape import decode, values
from tickertape.decode import Fields, Limits, parse, peek
from tickertape.documents import anonymous_id
from tickertape.encode import iso, iso_day
from tickertape.errors import InvalidRecord, PermanentError, TooLarge, Undecodable
from tickertape.record import Record
from tickertape.versions import Origin, Version


def record(value, key=None, headers=(), **more):
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Record("t", 3, 7, key, raw, headers, 1_700_000_000_123, **more)


class TestParse:
    def test_reads_what_strict_json_refuses_but_producers_send(self):
        assert parse(b'{"a": NaN, "b": Infinity}')["b"] == float("inf")
        assert parse(b'{"a": "x\\ud800y"}') == {"a": "x\ud800y"}
        assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
        assert parse(b'{"id": 340282366920938463463374607431768211456}') == {"id": 2**128}

    @pytest.mark.parametrize("form", ["utf-16", "utf-16-le", "utf-16-be"])
    def test_reads_utf_16(self, form):
        sent = '{"id": "a", "text": "Ore \u2013 \u00a35m"}'
        assert parse(sent.encode(form)) == {"id": "a", "text": "Ore \u2013 \u00a35m"}

    def test_drops_what_fausts_serialiser_adds(self):
        assert parse(b'{"a": 1, "__faust": {"ns": "app.Text"}}') == {"a": 1}

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (None, "no value"),
            (b"", "empty"),
            (b"\xff\xfe", r"not UTF-8.*looks like UTF-16"),
            (b"\xff\xfeh\0i\0", r"not UTF-8.*looks like UTF-16"),
            (b"\x1f\x8b\x08\0\0", "gzipped"),
            (b"<doc>text</doc>", "not JSON.*looks like XML"),
            (b'{"text": "\xed\xa0\x80"}', "not UTF-8"),
            (b"\0\0\0\0\7\x02abc", "Schema Registry"),
            (b'{"text": "a\0b"}', "not JSON"),
            (b"hello", "not JSON"),
            (b'{"text": "cut', "not JSON"),
            (b"{'text': 'single'}", "not JSON"),
            (b"[" * 100_000, "nested too deep"),
            (b'{"id": ' + b"9" * 5000 + b"}", "number too long"),
            (b"null", "got null"),
            (b'["a"]', "got an array"),
            (b'"postgres://u:hunter2@h/db"', "got a string"),
            (b"17", "got a number"),
        ],
    )
    def test_refuses_what_is_no_object(self, value, words):
        with pytest.raises(Undecodable, match=words) as caught:
            parse(value)
        assert "hunter2" not in str(caught.value)

    @settings(deadline=None)
    @given(st.binary())
    def test_arbitrary_bytes_raise_nothing_else(self, value):
        with contextlib.suppress(Undecodable):
            assert isinstance(parse(value), dict)


class TestTimestamp:
    MOMENT = datetime(2024, 1, 31, 10, 0, 0, tzinfo=UTC).timestamp()

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (1706695200, 0),
            (1706695200.5, 0.5),
            (1706695200500, 0.5),
            ("1706695200", 0),
            ("1706695200.25", 0.25),
            ("1706695200500", 0.5),
            (" 1706695200 ", 0),
            ("2024-01-31T10:00:00Z", 0),
            ("2024-01-31t10:00:00z", 0),
            ("2024-01-31 10:00:00", 0),
            ("2024-01-31T10:00:00", 0),
            ("2024-01-31T12:00:00+02:00", 0),
            ("2024-01-31 12:00:00+0200", 0),
            ("2024-01-31T10:00:00.123Z", 0.123),
            ("2024-01-31T10:00:00.123456789Z", 0.123456),
            ("2024-01-31T10:00", 0),
            ("2024-01-31", -36_000),
            ("20240131", -36_000),
            ("20240131T100000Z", 0),
        ],
    )
    def test_reads(self, value, seconds):
        assert values.timestamp("timestamp", value) == pytest.approx(self.MOMENT + seconds)

    def test_reads_old_times_and_eight_digits_that_are_no_date(self):
        assert values.timestamp("t", -86_400) == -86_400
        assert values.timestamp("t", 0) == 0
        assert values.timestamp("t", "99999999") == 99_999_999

    @pytest.mark.parametrize("value", [None, ""])
    def test_absent(self, value):
        assert values.timestamp("t", value) is None

    @pytest.mark.parametrize(
        "value",
        [
            *("yesterday", "31.01.2024", "01/31/2024", "2024-13-01", "2024-01-31_10:00", "nan"),
            *("2024-01-31T25:00", "2024-W05-3", "1e400", "-", "١٧٠٦٦٩٥٢٠٠", "0x10"),
            *(True, [], {}, float("nan"), float("inf"), 10**400, 1_700_000_000_000_000_000),
            "0001-01-01T00:00:00+14:00",
        ],
    )
    def test_refuses_and_names_the_field(self, value):
        with pytest.raises(InvalidRecord, match=r"^published: expected .*ISO 8601"):
            values.timestamp("published", value)

    @settings(deadline=None)
    @given(st.floats(-62_135_596_800, 253_402_300_799))
    def test_what_is_written_reads_as_the_same(self, seconds):
        once = values.timestamp("t", seconds if abs(seconds) < 1e11 else seconds * 1000)
        assert values.timestamp("t", iso(once)) == once

    def test_a_day_is_written_as_a_date(self):
        assert iso_day(values.timestamp("t", "2024-01-31")) == "2024-01-31"
        assert iso_day(self.MOMENT) == "2024-01-31T10:00:00+00:00"
        assert iso_day(None) is None


class TestIdentifier:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            *(
                ("a", "a"),
                (" a ", " a "),
                (7, "7"),
                (0, "0"),
                (-3, "-3"),
                (7.0, "7"),
                (7.5, "7.5"),
                (1e300, "1e+300"),
            ),
            *(
                (2**64 + 1, "18446744073709551617"),
                ("x\ud800", "x\ufffd"),
                (None, None),
                ("", None),
            ),
        ],
    )
    def test_strings_and_numbers(self, value, text):
        assert values.identifier("id", value) == text

    @pytest.mark.parametrize(
        "value", [True, False, [], {}, ["a"], float("nan"), "a\0b", "x" * 1025, "é" * 513]
    )
    def test_refuses(self, value):
        with pytest.raises(InvalidRecord, match=r"^id: expected"):
            values.identifier("id", value)

    def test_a_long_integer_keeps_its_digits_through_parse(self):
        fields = Fields(record(b'{"id": 12345678901234567890123}'), Limits())
        assert fields.id() == "12345678901234567890123"

    def test_absent_is_the_key_then_where_the_record_stands(self):
        assert Fields(record({"id": 5}, b"k"), Limits()).id() == "5"
        assert Fields(record({"id": ""}, b"k"), Limits()).id() == "k"
        anonymous = Fields(record({"id": None}), Limits()).id()
        assert anonymous == anonymous_id(Origin("t", 3, 7))

    def test_where_a_rekeyed_record_stands_is_where_it_first_stood(self):
        moved = record({}, None, [("tickertape-origin", b"first/1/2")], trusted=True)
        assert Fields(moved, Limits()).id() == anonymous_id(Origin("first", 1, 2))

    @pytest.mark.parametrize(
        ("key", "text"), [(b"\xff\x01", "ff01"), (b"\0\0\0\x07", "00000007"), ("é".encode(), "é")]
    )
    def test_a_binary_key_is_its_hex_digits(self, key, text):
        assert decode.key_text(record({}, key)) == text


class TestText:
    @pytest.mark.parametrize(
        "value",
        [None, "", "  \n", "\0", "\u200b\u200b", "\x07\b", "\ufeff \u00ad", 5, True, ["a"], {}],
    )
    def test_refuses_what_is_no_text(self, value):
        with pytest.raises(InvalidRecord, match=r"^text: expected a non-empty string"):
            Fields(record({"text": value}), Limits()).text("text")

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            ({"schema": {"type": "struct"}, "payload": {"text": "t"}}, "schemas.enable=false"),
            ({"before": None, "after": {"text": "t"}, "op": "c"}, "ExtractNewRecordState"),
            ({"schema": {}, "payload": {"after": {}, "op": "u"}}, "enable=false.*ExtractNew"),
            ({"specversion": "1.0", "type": "x", "id": "1", "data": {"text": "t"}}, "CloudEvent"),
            ({"records": [{"value": {"text": "t"}}]}, "REST proxy"),
            ({"data": {"text": "t"}}, "'data'.*at the top"),
        ],
    )
    def test_an_envelope_is_named_with_what_to_do(self, sent, words):
        fields = Fields(record(sent), Limits())
        fields.id()
        with pytest.raises(InvalidRecord, match=rf"^text: expected a non-empty string.*{words}"):
            fields.text("text")

    def test_fields_that_envelopes_have_are_metadata_of_a_document(self):
        sent = {"text": "t", "schema": {"a": 1}, "payload": {"b": 2}, "op": "c", "after": {}}
        fields = Fields(record(sent), Limits())
        assert fields.text("text") == "t"
        assert fields.metadata()["payload"] == {"b": 2}

    def test_is_cleaned_and_keeps_its_length(self):
        text = Fields(record({"text": "a\0b\ud800c 😀"}), Limits()).text("text")
        assert text == "a b\ufffdc 😀"

    def test_the_limit_is_in_bytes_and_names_its_setting(self):
        limits = Limits(text_bytes_max=6)
        assert Fields(record({"text": "ééé"}), limits).text("text") == "ééé"
        with pytest.raises(TooLarge, match="TICKERTAPE_TEXT_BYTES_MAX"):
            Fields(record({"text": "éééa"}), limits).text("text")

    def test_the_first_name_that_is_there(self):
        fields = Fields(record({"original_text": None, "text": "a"}), Limits())
        assert fields.text("original_text", "text") == "a"


class TestVersion:
    @pytest.mark.parametrize(
        ("value", "number"),
        [(0, 0), (7, 7), ("7", 7), (7.0, 7), ("9" * 18, 10**18 - 1), ("", None)],
    )
    def test_reads(self, value, number):
        assert values.version("version", value) == number

    @pytest.mark.parametrize(
        "value",
        [-1, 1.5, "v1", "9" * 19, 10**18, True, "1.2", "-1", "٣", [], float("inf")],
    )
    def test_refuses(self, value):
        with pytest.raises(InvalidRecord, match=r"^version: expected"):
            values.version("version", value)

    def test_an_explicit_one_keeps_the_first_offset(self):
        moved = record({}, None, [("tickertape-version", b"1600000000000.4")], trusted=True)
        assert decode.explicit_version(9, moved) == Version((9,), moved.stamp)
        assert decode.explicit_version(None, moved) == moved.version
        assert (moved.stamp.ms, moved.stamp.offset) == (1_600_000_000_000, 4)
        assert decode.explicit_version(None, record({})).label == "1700000000123.7"


class TestMetadata:
    def read(self, value, limits=None):
        return Fields(record(value), limits or Limits()).metadata()

    def test_unknown_fields_become_metadata_and_explicit_entries_win(self):
        found = self.read({"lang": "en", "page": 3, "metadata": {"page": 4, "deep": {"a": [1]}}})
        assert found == {"lang": "en", "page": 4, "deep": {"a": [1]}}

    def test_a_field_that_was_taken_does_not(self):
        fields = Fields(record({"text": "a", "x": 1}), Limits())
        fields.text("text")
        assert fields.metadata() == {"x": 1}

    @pytest.mark.parametrize("value", ["a", 5, [], True])
    def test_must_be_an_object(self, value):
        with pytest.raises(InvalidRecord, match=r"^metadata: expected an object"):
            self.read({"metadata": value})

    def test_is_made_safe_for_every_writer(self):
        found = self.read(b'{"n": NaN, "big": 99999999999999999999, "s": "\\udc00\\u0000"}')
        assert found == {"n": None, "big": "99999999999999999999", "s": "\ufffd "}
        assert orjson.loads(orjson.dumps(found)) == found

    def test_depth_is_limited(self):
        def nested(levels):
            return json.loads('{"a":' * levels + "1" + "}" * levels)

        assert self.read({"metadata": nested(values.DEPTH_MAX)})
        with pytest.raises(InvalidRecord, match=r"^metadata: expected at most 64 levels"):
            self.read({"metadata": nested(values.DEPTH_MAX + 1)})

    def test_size_is_limited(self):
        with pytest.raises(TooLarge, match=r"metadata: .*TICKERTAPE_TEXT_BYTES_MAX"):
            self.read({"x": "a" * 100}, Limits(text_bytes_max=50))


class TestVector:
    def test_reads_numbers(self):
        assert values.vector("vector", [1, 2.5, -0.0]) == [1.0, 2.5, 0.0]
        assert values.vector("vector", None) == []

    @pytest.mark.parametrize(
        "item", [None, "1", True, float("nan"), float("inf"), 1e39, 10**400, [1.0]]
    )
    def test_refuses_and_names_the_place(self, item):
        with pytest.raises(InvalidRecord, match=r"^vector\[1\]: expected a finite"):
            values.vector("vector", [0.5, item, 0.5])

    def test_refuses_what_is_no_array(self):
        with pytest.raises(InvalidRecord, match=r"^vector: expected an array"):
            values.vector("vector", {"0": 1})


class TestOthers:
    def test_strings(self):
        assert values.strings("f", ["a", "b"]) == ["a", "b"]
        for wrong in ("a,b", ["a", 1], {"a": 1}):
            with pytest.raises(InvalidRecord, match=r"^f"):
                values.strings("f", wrong)

    def test_integer(self):
        assert values.integer("n", 3.0) == 3
        for wrong in (-1, True, "3", 1.5, 2**63):
            with pytest.raises(InvalidRecord, match=r"^n: expected an integer"):
                values.integer("n", wrong)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ([], False),
            ([("tickertape-force", b"1")], True),
            ([("tickertape-force", b"true")], True),
            ([("tickertape-force", b"False")], False),
            ([("tickertape-force", b"0")], False),
            ([("tickertape-force", None)], False),
        ],
    )
    def test_forced(self, headers, expected):
        assert decode.forced(record({}, None, headers)) is expected


class TestPeek:
    def test_reads_what_can_be_read_of_a_record_that_is_wrong(self):
        assert peek(record({"id": 4, "text": None, "batch_id": "b"})) == ("4", "b")
        assert peek(record({"document_id": "d", "batch_id": ["b"]})) == ("d", None)

    def test_falls_back_to_key_and_header(self):
        broken = record(b"{", b"k", [("tickertape-batch", b"b7")])
        assert peek(broken) == ("k", "b7")
        assert peek(record(None, None)) == (None, None)

    @settings(deadline=None)
    @given(st.binary(), st.none() | st.binary(max_size=2000))
    def test_never_raises(self, value, key):
        peek(record(value, key))


def test_every_refusal_is_permanent():
    assert issubclass(InvalidRecord, PermanentError)
    assert issubclass(Undecodable, PermanentError)
    assert issubclass(TooLarge, PermanentError)
