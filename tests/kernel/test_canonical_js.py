"""The canonical hash of a browser (clients/js/canonical.js) is Python's: over the vectors, over what JavaScript alone can say, and at random."""

import json
import os
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.canonical import canonical_text, content_hash, first_difference

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/canonical.json").read_text(encoding="utf-8"))
POSITION = VECTORS["closings"][0]["content"]
SAFE = 2**53 - 1


@pytest.fixture(scope="module")
def node():
    """Asks one process of node: a function's name and its arguments, for what it gave or how it refused."""
    program = shutil.which("node")
    if not program and not (os.getuid() == 0 and shutil.which("apt-get")):
        pytest.skip("node is not installed: as root, `apt-get install nodejs` brings it")
    assert program, "node is not installed: `python3 -m deploy.machine setup --dev` brings it"
    process = subprocess.Popen(
        [program, Path(__file__).with_name("canonical_lines.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )

    def ask_as_written(line):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def ask(call, *given):
        return ask_as_written(json.dumps({"call": call, "given": given}))

    ask.as_written = ask_as_written
    yield ask
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def js(expression):
    """An expression of JavaScript, for what JSON has no word for."""
    return {"$": expression}


@pytest.mark.parametrize("vector", VECTORS["contents"] + VECTORS["closings"], ids=lambda vector: vector["why"])
def test_the_vectors(node, vector):
    assert node("canonicalText", vector["content"]) == {"gave": vector["canonical"]}
    assert node("contentHash", vector["content"]) == {"gave": vector["sha256"]}
    assert node("firstDifference", vector["content"], vector["content"]) == {"gave": ""}


def refused(answer):
    return answer.keys() == {"refused"} and answer["refused"].startswith("TypeError: ")


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_what_is_no_content_is_refused(node, vector):
    for call, *before in (("canonicalText",), ("contentHash",), ("firstDifference", {})):
        assert refused(node(call, *before, vector["content"])), call


NESTED = "(() => { let a = {}; for (let i = 1; i < 10000; i++) a = {a}; return a; })()"


@pytest.mark.parametrize(
    "expression",
    [
        *("undefined", "NaN", "Infinity", "1e21", "2 ** 53", "-(2 ** 53)", "2n ** 63n", "-(2n ** 63n) - 1n", "Symbol()", "() => 1", "[1,,2]"),
        *("new Array(2)", "new Date(0)", "new Map()", "new Set([1])", "new Uint8Array(2)", "new (class A {})()", "Object('a')", "Object(1)", "/a/"),
        *(NESTED, "(() => { const a = {}; a.a = a; return a; })()"),
    ],
)
def test_what_only_javascript_can_say_wrong_is_refused_too(node, expression):
    for content in ({"a": js(expression)}, {"a": [js(expression)]}):
        assert refused(node("canonicalText", content))
    assert refused(node("canonicalText", js(expression)))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        *(("[-0, 0n, 5n, -5]", [0, 0, 5, -5]), ("2n ** 63n - 1n", 2**63 - 1), ("-(2n ** 63n)", -(2**63)), ("-0", 0), ("0n", 0)),
        *(("9007199254740991", SAFE), ("Object.assign(Object.create(null), {b: true})", {"b": True}), ("Object.create(null)", {})),
    ],
)
def test_what_javascript_has_two_words_for_is_one_content(node, expression, value):
    assert node("canonicalText", {"a": js(expression)}) == {"gave": canonical_text({"a": value})}


def test_of_a_name_that_json_has_twice_both_take_the_last(node):
    content = '{"a": "1", "__proto__": "2", "a": "3", "__proto__": "4"}'
    assert node.as_written(f'{{"call": "canonicalText", "given": [{content}]}}') == {"gave": canonical_text(json.loads(content))}


# --- The closing position


@pytest.mark.parametrize("vector", VECTORS["closings"], ids=lambda vector: vector["why"])
@pytest.mark.parametrize("said", [int, str, lambda integer: js(f"{integer}n")], ids=["Number", "text", "BigInt"])
def test_a_positions_hash_is_one_however_its_amounts_are_said(node, vector, said):
    position = vector["content"]
    balances = {account: said(paise) for account, paise in position["balances"].items()}
    assert node("closingHash", {**position, "number": said(position["number"]), "balances": balances}) == {"gave": vector["sha256"]}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"institution_id": wrong} for wrong in (POSITION["institution_id"].upper(), "", None, [POSITION["institution_id"]])),
        *({"held_on": wrong} for wrong in ("5.10.2026", "2026-10-05T00:00", "2026-10-05\n", 20261005)),
        *({"number": wrong} for wrong in ("", "03", "1.0", 1.5, None, True, js("undefined"))),
        *({"balances": {"A03": wrong}} for wrong in ("", " 1", "+1", "-0", "00", "1e3", "0x10", "१", 0.5, None, False, [], 2**53, str(2**63))),
        *({"balances": {wrong: 1}} for wrong in ("", "A3", "a03", "A03/", "L01/m1", f"L01/{POSITION['institution_id'].upper()}", "__proto__")),
        *({"balances": wrong} for wrong in (None, [], "A03", js("new Map()"))),
    ],
    ids=str,
)
def test_what_is_no_position_is_refused(node, wrong):
    assert refused(node("closingHash", {**POSITION, **wrong}))


# --- At random

# Unassigned characters (Cn) are left out: each side may know a Unicode of another year, and what that has made of them since.
letters = st.characters(exclude_categories=["Cs", "Cn"]) | st.sampled_from(
    [chr(code) for code in range(0x1E100) if unicodedata.combining(chr(code)) or unicodedata.decomposition(chr(code))]
)
texts = st.text(letters, max_size=12)
names = st.text("abcXYZ019_-/", min_size=1, max_size=4) | st.sampled_from(["__proto__", "constructor", "toString", "valueOf", "10", "9"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
contents = st.dictionaries(names, values, max_size=6)


def carried(value):
    """A content as a line of JSON can carry it: an integer that a Number cannot hold as BigInt."""
    if isinstance(value, dict):
        return {name: carried(part) for name, part in value.items()}
    if isinstance(value, list):
        return [carried(part) for part in value]
    return value if isinstance(value, bool) or not isinstance(value, int) or -SAFE <= value <= SAFE else js(f"{value}n")


@settings(max_examples=600, deadline=None)
@given(contents, contents)
def test_any_content_has_the_same_text_and_hash_in_both(node, one, other):
    assert node("canonicalText", carried(one)) == {"gave": canonical_text(one)}
    assert node("contentHash", carried(one)) == {"gave": content_hash(one).hex()}
    assert node("firstDifference", carried(one), carried({**one, **other})) == {"gave": first_difference(one, {**one, **other})}
