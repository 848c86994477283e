"""One hash for one content: the vectors that every implementation must reproduce, and what the rules promise."""

import json
import re
from datetime import date
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from protos import transactions_pb2
from services.kernel.canonical import canonical_text, content_hash, first_difference

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/canonical.json").read_text(encoding="utf-8"))
HASHED = VECTORS["contents"] + VECTORS["closings"]
BY_WHY = {vector["why"]: vector for vector in HASHED}

names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
contents = st.dictionaries(names, values, max_size=6)


@pytest.mark.parametrize("vector", HASHED, ids=lambda vector: vector["why"])
def test_the_vectors(vector):
    assert canonical_text(vector["content"]) == vector["canonical"]
    assert content_hash(vector["content"]).hex() == vector["sha256"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_what_is_no_content_is_refused(vector):
    for call in (canonical_text, content_hash, lambda content: first_difference({}, content), lambda content: first_difference(content, {})):
        with pytest.raises(TypeError):
            call(vector["content"])


def nested(levels):
    content = {}
    for _ in range(levels - 1):
        content = {"a": content}
    return content


@pytest.mark.parametrize(
    "value",
    [0.0, float("nan"), Decimal(0), b"", b"ab", bytearray(b"ab"), {1: "a"}, {1}, set(), date(2026, 10, 5), object(), 2**63, nested(10_000)],
    ids=lambda value: type(value).__name__,
)
def test_what_only_python_can_say_wrong_is_refused_too(value):
    for content in ({"a": value}, {"a": [value]}):
        with pytest.raises(TypeError):
            canonical_text(content)


def test_a_number_that_has_a_name_is_a_number():
    assert canonical_text({"a": IntEnum("Kind", "ONE TWO")(2)}) == '{"a":"2"}'


def test_the_example_in_the_page_is_right():
    page = (ROOT / "docs/canonical.md").read_text(encoding="utf-8")
    content, canonical = re.findall(r"```json\n(.*?)\n```", page, re.DOTALL)
    (sha256,) = re.findall(r"SHA-256 is `(\w+)`", page)
    assert canonical_text(json.loads(content)) == canonical
    assert content_hash(json.loads(content)).hex() == sha256


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("letters that are made of two become one (NFC)", "another spelling of the same letters is the same content"),
        ("the same name in Hindi, its letters made of one", "the same name in Hindi, its letters made of two"),
    ],
)
def test_two_spellings_of_one_name_are_one_content(one, other):
    assert BY_WHY[one]["content"] != BY_WHY[other]["content"]
    assert BY_WHY[one]["sha256"] == BY_WHY[other]["sha256"]


def test_a_meetings_content_is_what_the_proto_carries():
    """The vector has every field of a sheet but the lock, and a sheet sent and read again has its hash."""
    vector = BY_WHY["a meeting with every screen"]
    sheet = transactions_pb2.MeetingSheet
    assert vector["content"].keys() == set(sheet.DESCRIPTOR.fields_by_name) - {"lock"}
    cut_off = sheet.DESCRIPTOR.fields_by_name["cut_off"].message_type
    assert vector["content"]["cut_off"].keys() == set(cut_off.fields_by_name)
    for within, parts in ((sheet.DESCRIPTOR, vector["content"]), (cut_off, vector["content"]["cut_off"])):
        for name, part in parts.items():
            if within.fields_by_name[name].message_type and name != "cut_off":
                assert {inner for one in part for inner in one} == set(within.fields_by_name[name].message_type.fields_by_name), name
    sent = json_format.ParseDict(vector["content"], sheet()).SerializeToString()
    read = json_format.MessageToDict(sheet.FromString(sent), preserving_proto_field_name=True)
    # What protobuf drops is an empty field, and an empty message that is there stays one: both are left out.
    assert content_hash(read).hex() == vector["sha256"]


def test_a_meeting_names_the_hash_of_the_position_after_it():
    position = BY_WHY["a position: heads and accounts, what is zero left out, one that has turned"]
    assert BY_WHY["a meeting with every screen"]["content"]["closing_hash"] == position["sha256"]


@given(contents)
def test_a_field_that_is_empty_is_no_field(content):
    for nothing in (0, False, None, "", [], {}):
        assert content_hash({**content, "extra": nothing}) == content_hash({name: part for name, part in content.items() if name != "extra"})


@given(contents)
def test_the_canonical_text_is_its_own_canonical_text(content):
    once = canonical_text(content)
    again = json.loads(once)
    # An object may have become empty on the way; only then does a second pass leave more out.
    if "{}" not in once:
        assert canonical_text(again) == once


@given(contents, contents)
def test_two_contents_have_one_hash_or_a_field_in_which_they_differ(one, other):
    assert (content_hash(one) == content_hash(other)) == (first_difference(one, other) == "")
    assert content_hash(dict(reversed(one.items()))) == content_hash(one)
