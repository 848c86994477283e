"""One hash for one content: the vectors that every implementation must reproduce, and what the rules promise."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.canonical import canonical_text, content_hash, first_difference

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/canonical.json").read_text(encoding="utf-8"))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner, max_size=4),
    max_leaves=8,
)
contents = st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), values, max_size=6)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["why"])
def test_the_vectors(vector):
    assert canonical_text(vector["content"]) == vector["canonical"]
    assert content_hash(vector["content"]).hex() == vector["sha256"]


def test_the_example_in_the_page_is_right():
    page = (ROOT / "docs/canonical.md").read_text(encoding="utf-8")
    content, canonical = re.findall(r"```json\n(.*?)\n```", page, re.DOTALL)
    (sha256,) = re.findall(r"SHA-256 is `(\w+)`", page)
    assert canonical_text(json.loads(content)) == canonical
    assert content_hash(json.loads(content)).hex() == sha256


def test_two_spellings_of_one_name_are_one_content():
    spelled = {vector["why"]: vector["sha256"] for vector in VECTORS}
    assert spelled["letters that are made of two become one (NFC)"] == spelled["another spelling of the same letters is the same content"]


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


def test_what_is_no_content_is_our_bug():
    with pytest.raises(TypeError):
        canonical_text({"amount": 0.5})
