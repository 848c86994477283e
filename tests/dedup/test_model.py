"""What the model says of two records; nothing running."""

import gzip
import json
from dataclasses import fields, replace
from datetime import date
from math import isclose, log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup import rules
from services.dedup.rules import Person, Record, model
from services.kernel.approval import Status
from services.kernel.ids import uuid7

HERE, NEAR, FAR = "9.178.1204.77.5", "9.178.1204.78.6", "9.140.1300.90.7"
OLD = Path(__file__).with_name("model-1.json")  # Never changed: what it answers is what it answered.
MODEL = model.default()


def person(**changes):
    plain = {
        "member_id": uuid7(),
        "revision": 1,
        "institution_id": uuid7(),
        "region": HERE,
        "name": "Sunita Devi",
        "relation_name": "Ramesh",
        "birth_year": 1988,
    }
    return rules.person(Record(**{**plain, **changes}), Status.SUBMITTED)


def bits(one, other, artefact=MODEL):
    return model.score(one, other, artefact).bits


def codes(one, other):
    return [clue.code for clue in model.score(one, other, MODEL).clues]


PHONE, TOKEN, ACCOUNT = (
    {"mobile": "9123456780"},
    {"identity_token": "t1"},
    {"ifsc": "SBIN0001234", "account_number": "123456789", "account_holding": "SINGLE"},
)
BORN = {"born_on": date(1988, 5, 7)}
FULL = {**PHONE, **TOKEN, **ACCOUNT, **BORN}

# Two records, and what the model says first of each comparison.
STORIES = [
    ("all the same", FULL, FULL, "SAME_NAME SAME_TITLE SAME_RELATION SAME_BIRTH_DATE SAME_MOBILE_AND_VILLAGE SAME_ACCOUNT SAME_IDENTITY"),
    ("a phone elsewhere", PHONE, {**PHONE, "region": NEAR}, "SAME_NAME SAME_TITLE SAME_RELATION SAME_BIRTH_YEAR SAME_MOBILE_AND_BLOCK"),
    ("a phone far away", PHONE, {**PHONE, "region": FAR}, "SAME_NAME SAME_TITLE SAME_RELATION SAME_BIRTH_YEAR SAME_MOBILE_ELSEWHERE"),
    ("one without a phone", PHONE, {}, "SAME_NAME SAME_TITLE SAME_RELATION SAME_BIRTH_YEAR SAME_VILLAGE"),
    ("one without a place", PHONE, {**PHONE, "region": ""}, "SAME_NAME SAME_TITLE SAME_RELATION SAME_BIRTH_YEAR SAME_MOBILE"),
    ("a date and a year", BORN, {}, "SAME_NAME SAME_TITLE SAME_RELATION BIRTH_DATE_IN_YEAR SAME_VILLAGE"),
    ("two years", {}, {"birth_year": 1989}, "SAME_NAME SAME_TITLE SAME_RELATION BIRTH_YEAR_NEXT SAME_VILLAGE"),
    ("day and month exchanged", BORN, {"born_on": date(1988, 7, 5)}, "SAME_NAME SAME_TITLE SAME_RELATION BIRTH_DATE_SWAPPED SAME_VILLAGE"),
    ("married", {"name": "Sunita Kumari"}, {"relation_name": "Suresh"}, "SAME_NAME TITLE_OTHER RELATION_OTHER SAME_BIRTH_YEAR SAME_VILLAGE"),
    ("a name with its surname", {}, {"name": "Sunita Yadav"}, "SAME_FIRST_NAME SAME_RELATION SAME_BIRTH_YEAR SAME_VILLAGE"),
    ("a name by its sound", {"name": "Vimla"}, {"name": "Bimla"}, "NAME_SOUNDS_ALIKE SAME_RELATION SAME_BIRTH_YEAR SAME_VILLAGE"),
    ("two short names of one sound", {"name": "Meena"}, {"name": "Mona"}, "NAME_SOUNDS_LIKE SAME_RELATION SAME_BIRTH_YEAR SAME_VILLAGE"),
]


@pytest.mark.parametrize(("one", "other", "expected"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_in_each_comparison_the_first_level_that_holds_counts(one, other, expected):
    assert codes(person(**one), person(**other)) == expected.split()


def test_what_ships_says_that_it_is_of_invented_members():
    assert "invented members" in MODEL.name
    assert "invented members, seed" in MODEL.trained_on
    assert MODEL.caps.keys() == {arm.name for arm in rules.ARMS}


def test_a_score_is_its_clues_and_how_rare_a_double_is():
    found = model.score(person(**FULL), person(**FULL), MODEL)
    assert isclose(found.bits, MODEL.prior_bits + sum(clue.weight_centibits for clue in found.clues) / 100, abs_tol=0.05)
    assert found.bits > 8


def test_a_rare_name_says_more():
    def alike(name):
        return bits(person(name=name), person(name=name))

    assert alike("Zulekhani Devi") > alike("Mamta Devi") > alike("Sunita Devi")


def test_two_identities_outweigh_all_else():
    one, other = person(**FULL, name="Zulekhani Devi"), person(**{**FULL, "identity_token": "t2"}, name="Zulekhani Devi")
    assert bits(one, other) < 0


def test_women_of_one_household_are_not_one():
    assert bits(person(**PHONE), person(**PHONE, name="Anita Devi", birth_year=1995, relation_name="Suresh")) < 0


def test_a_larger_state_has_more_namesakes_and_a_village_stays_one():
    small, large = MODEL.for_state_of(200_000), MODEL.for_state_of(14_000_000)
    same = person(**BORN)
    assert bits(same, person(**BORN), large) == pytest.approx(bits(same, person(**BORN), small), abs=0.1)
    away = person(**BORN, region=FAR)
    assert bits(same, away, large) == pytest.approx(bits(same, away, small) - log2(70), abs=0.5)


def test_in_a_small_village_it_says_more_to_share_it():
    known = MODEL.with_villages({5: 50, 6: 900, 7: 50})
    small, large = person(), person(region=NEAR)
    assert bits(small, small, known) == pytest.approx(bits(large, large, known) + log2(18))


# --- Properties.

NAMES = ["Sunita Devi", "Suneeta Kumari", "Vimla", "Bimla Devi", "Meena", "सुनीता", "Sunita Sharma", "شبنم"]
PEOPLE = st.builds(
    person,
    name=st.sampled_from(NAMES),
    relation_name=st.sampled_from(["", *NAMES]),
    born_on=st.sampled_from([None, date(1988, 5, 7), date(1988, 7, 5), date(1989, 5, 7), date(1988, 1, 1)]),
    birth_year=st.sampled_from([0, 1986, 1988, 1991]),
    mobile=st.sampled_from(["", "9123456780", "9123456781"]),
    region=st.sampled_from([HERE, NEAR, FAR, "9.178.1204", ""]),
    account_number=st.sampled_from(["", "1", "2"]),
    account_holding=st.sampled_from(["SINGLE", "JOINT"]),
    identity_token=st.sampled_from(["", "t1", "t2"]),
)
# What is empty together: keys of one name, a date and its year, a place and what it lies in.
TOLD = {
    "name": ("name_fold", "name_skeleton", "name_first", "name_title"),
    "title": ("name_title",),
    "relation": ("relation_fold", "relation_skeleton", "relation_first"),
    "birth": ("born_on", "birth_year"),
    "date": ("born_on",),
    "mobile": ("mobile",),
    "place": ("block", "village"),
    "account": ("account",),
    "identity": ("identity_token",),
}


def without(one, *columns):
    return replace(one, **{column: None if column in {"born_on", "birth_year", "block", "village"} else "" for column in columns})


@given(PEOPLE, PEOPLE)
def test_a_score_is_the_same_from_either_side_and_every_time(one, other):
    assert model.score(one, other, MODEL) == model.score(other, one, MODEL) == model.score(one, other, MODEL)


@given(PEOPLE, PEOPLE)
def test_where_nothing_is_known_nothing_is_added(one, other):
    nobody = without(one, *{column for columns in TOLD.values() for column in columns})
    assert model.score(nobody, other, MODEL) == model.Score(MODEL.prior_bits, ())


@given(PEOPLE, st.sampled_from(sorted(TOLD)))
def test_to_leave_out_what_agrees_never_adds(one, told):
    assert bits(one, without(one, *TOLD[told])) <= bits(one, one) + 1e-9


@given(PEOPLE, PEOPLE, st.sampled_from(["title", "relation", "account", "identity"]))
def test_what_one_side_leaves_out_gives_no_clue(one, other, told):
    left_out = model.score(one, without(other, *TOLD[told]), MODEL)
    whole = model.score(one, other, MODEL)
    assert set(left_out.clues) <= set(whole.clues)
    assert isclose(left_out.bits, whole.bits - sum(own(clue, one, other) for clue in set(whole.clues) - set(left_out.clues)), abs_tol=1e-9)


def own(clue, one, other):
    """The exact bits of one clue: of a name, with how common it is."""
    level, weight, terms = next(each for _, levels in MODEL.levels for each in levels if each[0].code == clue.code)
    return weight - log2(max(terms.share(getattr(one, level.terms)), terms.share(getattr(other, level.terms)))) if terms else weight


@pytest.mark.parametrize("length", [100, 10_000])
def test_a_name_of_any_length_is_compared_in_bounded_time(length):
    one, other = (person(name="".join(chr(97 + (place * step) % 26) for place in range(length))) for step in (3, 5))
    assert bits(one, other) == bits(other, one)


# --- What is stored.


def test_an_artefact_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "model.json.gz"
    file.write_bytes(model.dump(MODEL))
    assert model.load(file) == MODEL
    assert model.dump(model.load(file)) == model.dump(MODEL)


# The pairs, and what the old model said of them when it was trained.
OLD_ANSWERS = [
    (FULL, FULL, 69.71713357314731),
    (PHONE, {**PHONE, "region": NEAR, "birth_year": 1989}, 12.014794793755403),
    ({}, {"name": "Sunita Yadav"}, -0.8372623676932722),
    (BORN, {"name": "सुनीता देवी", "born_on": date(1988, 7, 5)}, 7.288835406558574),
    (TOKEN, {"identity_token": "t2"}, -57.04508519539036),
]


@pytest.mark.parametrize(("one", "other", "expected"), OLD_ANSWERS)
def test_an_older_artefact_still_answers_as_it_did(one, other, expected):
    assert bits(person(**one), person(**other), model.load(OLD)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"version": 99}, "is of version 99"),
        ({"rates": {}}, "lacks SAME_NAME"),
        ({"terms": {}}, "lacks name_fold"),
        ({"prior": None, "surprise": 1}, "holds no model"),
    ],
)
def test_what_cannot_be_answered_from_is_refused(tmp_path, spoilt, said):
    file = tmp_path / "model.json"
    file.write_text(json.dumps(json.loads(OLD.read_text()) | spoilt))
    with pytest.raises(model.ArtefactError, match=said):
        model.load(file)


def test_no_file_is_no_model(tmp_path):
    for content in (b"", b"\x1f\x8b", gzip.compress(b"[]")):
        file = tmp_path / "model"
        file.write_bytes(content)
        with pytest.raises(model.ArtefactError, match="holds no model"):
            model.load(file)
    with pytest.raises(model.ArtefactError, match="holds no model"):
        model.load(tmp_path / "nowhere")


def test_every_version_can_be_looked_at():
    for comparisons in model.MODELS.values():
        all_codes = [level.code for comparison in comparisons for level in comparison.levels]
        assert len(all_codes) == len(set(all_codes))
        terms = {level.terms for comparison in comparisons for level in comparison.levels if level.terms}
        assert terms <= {field.name for field in fields(Person)}
