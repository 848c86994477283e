"""Which records may be one woman, and why; nothing running."""

import re
from datetime import date
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from services.dedup import rules
from services.dedup.rules import Override, Record, Thresholds, Verdict, Yardstick, model
from services.dedup.rules.verdicts import SAME_DOCUMENT, SAME_PAPER
from services.kernel.approval import Status
from services.kernel.ids import uuid7

HERE, NEAR, FAR = "9.178.1204.77.5", "9.178.1204.78.6", "9.140.1300.90.7"
EMPTY = ""
LOCALES = Path(__file__).parents[2] / "services" / "locale"
BY = Yardstick(model.default(), Thresholds())
LEVELS = [level for comparison in model.MODELS[model.VERSION] for level in comparison.levels]


def record(**changes):
    plain = {
        "member_id": uuid7(),
        "revision": 1,
        "institution_id": uuid7(),
        "region": HERE,
        "name": "Sunita Devi",
        "relation_name": "Ramesh",
        "birth_year": 1988,
    }
    return Record(**{**plain, **changes})


def person(status=Status.SUBMITTED, **changes):
    return rules.person(record(**changes), status)


def verdict(one, other):
    return rules.screen(person(**one), [person(**other)], BY).verdict


TOKEN, ACCOUNT, PHONE = (
    {"identity_token": "t1"},
    {"ifsc": "SBIN0001234", "account_number": "123456789", "account_holding": "SINGLE"},
    {"mobile": "9123456780"},
)
PAPER = {"documents": ("AADHAAR_PAPER:0a1b2c",)}
STRANGER = {"name": "Zarina", "relation_name": "Salim", "region": FAR, "birth_year": 1960}
LOOK_ALIKE = {"name": "Sunitha Devi", "birth_year": 1989, **PHONE}

# What the two records say, and what follows. What is not said is as the builder says: Sunita Devi, wife of Ramesh, 1988.
STORIES = [
    ("nothing but the builder's", {}, {}, Verdict.POTENTIAL),
    ("one identity", TOKEN, {"name": "Suneeta Devi", **TOKEN}, Verdict.CONFIRMED),
    (
        "one identity under another name, elsewhere",
        TOKEN,
        {"name": "Zarina", "relation_name": "Salim", "region": FAR, "birth_year": 1960, **TOKEN},
        Verdict.CONFIRMED,
    ),
    ("looks alike, one without identity", {**PHONE, **TOKEN}, LOOK_ALIKE, Verdict.POTENTIAL),
    ("looks alike, neither with identity", PHONE, LOOK_ALIKE, Verdict.POTENTIAL),
    ("looks alike, two identities", {**PHONE, **TOKEN}, {**LOOK_ALIKE, "identity_token": "t2"}, Verdict.CLEAR),
    (
        "all alike, two identities",
        {**PHONE, **TOKEN, "born_on": date(1988, 5, 7)},
        {**PHONE, "identity_token": "t2", "born_on": date(1988, 5, 7)},
        Verdict.CLEAR,
    ),
    ("one account, two identities: the fraud list", {**ACCOUNT, **TOKEN}, {**ACCOUNT, "identity_token": "t2"}, Verdict.POTENTIAL),
    (
        "one account, else strangers",
        ACCOUNT,
        {"name": "Zarina", "relation_name": "Salim", "region": FAR, "birth_year": 1960, **ACCOUNT},
        Verdict.POTENTIAL,
    ),
    (
        "one voter card, else strangers",
        {"documents": ("VOTER_ID:ABC1234567",)},
        {"name": "Zarina", "relation_name": "Salim", "region": FAR, "documents": ("PAN:ABCDE1234F", "VOTER_ID:abc-1234567")},
        Verdict.POTENTIAL,
    ),
    ("one signed paper, else strangers", PAPER, STRANGER | PAPER, Verdict.POTENTIAL),
    ("one signed paper, one with an identity", PAPER | TOKEN, STRANGER | PAPER, Verdict.POTENTIAL),
    ("one signed paper, two identities", PAPER | TOKEN, {**STRANGER, **PAPER, "identity_token": "t2"}, Verdict.CLEAR),
    ("one signed paper, one identity", PAPER | TOKEN, STRANGER | PAPER | TOKEN, Verdict.CONFIRMED),
    ("one number on two kinds of paper", {"documents": ("PAN:1",), "name": "Meena"}, {"documents": ("PASSPORT:1",)}, Verdict.CLEAR),
    ("one joint account", {**ACCOUNT, "account_holding": "JOINT"}, {"name": "Zarina", **ACCOUNT, "account_holding": "JOINT"}, Verdict.CLEAR),
    ("a sister of one household", PHONE, {"name": "Anita Devi", "birth_year": 1990, **PHONE}, Verdict.CLEAR),
    ("a namesake in the village with another husband", {}, {"relation_name": "Mahesh", "birth_year": 1989}, Verdict.CLEAR),
    ("a namesake with a husband of the same name, far away", {}, {"region": FAR}, Verdict.CLEAR),
    ("moved, with her phone", PHONE, {"region": FAR, **PHONE}, Verdict.POTENTIAL),
    ("in another script", {"name": "सुनीता देवी", "relation_name": "रमेश"}, {"name": "Suneeta", "relation_name": "Ramesh"}, Verdict.POTENTIAL),
    ("of another generation", {}, {"birth_year": 1960}, Verdict.CLEAR),
    (
        "a name much alike to the eye",
        {"name": "Meena", **PHONE},
        {"name": "Mona", "relation_name": "Suresh", "birth_year": 1991, **PHONE},
        Verdict.CLEAR,
    ),
]


@pytest.mark.parametrize(("one", "other", "expected"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_stories(one, other, expected):
    assert verdict(one, other) is expected
    assert verdict(other, one) is expected


def test_who_may_override():
    def override(one, other):
        return rules.match(person(**one), person(**other), BY).override

    assert override(TOKEN, TOKEN) is Override.NOBODY
    assert override({}, {}) is Override.OFFICER
    assert override(ACCOUNT, {"name": "Zarina", **ACCOUNT}) is Override.SUPERVISOR
    assert override({"documents": ("PAN:A1",)}, {"name": "Zarina", "documents": ("PAN:A1",)}) is Override.SUPERVISOR
    assert override(PAPER, STRANGER | PAPER) is Override.SUPERVISOR
    assert override({"born_on": date(1988, 5, 7), **PHONE}, {"born_on": date(1988, 5, 7), **PHONE}) is Override.SUPERVISOR


def test_the_officer_reads_why():
    found = rules.match(person(**PHONE), person(**LOOK_ALIKE, identity_token="t1"), BY)
    assert [clue.words for clue in found.clues] == [
        "the same name, spelt otherwise",
        "the same title behind the name",
        "the same husband's or parent's name",
        "birth years one apart",
        "the same mobile number in the same village",
    ]
    weights = BY.model.prior_bits * 100 + sum(clue.weight_centibits for clue in found.clues)
    assert found.weight_centibits == pytest.approx(weights, abs=len(found.clues))


def clues(one, other):
    return model.score(one, other, BY.model).clues


def test_an_empty_value_is_never_a_clue():
    nobody = {"name": EMPTY, "relation_name": EMPTY, "birth_year": 0, "region": EMPTY}
    assert clues(person(**nobody), person(**nobody)) == ()
    assert clues(person(**nobody), person(born_on=date(1988, 5, 7), **TOKEN, **ACCOUNT, **PHONE)) == ()
    assert rules.lookups(person(**nobody)) == set()


@pytest.mark.parametrize("column", ["name", "relation_name", "birth_year", "mobile", "region", "account_number", "identity_token"])
def test_what_one_side_leaves_out_speaks_neither_for_nor_against(column):
    full = {"born_on": None, **TOKEN, **ACCOUNT, **PHONE}
    # A phone and a place are one comparison: the clue changes, and is not lost.
    left_out = {**full, column: 0 if column == "birth_year" else EMPTY}
    both, one = clues(person(**full), person(**full)), clues(person(**full), person(**left_out))
    assert not [clue for clue in one if clue.weight_centibits < 0]
    assert len(one) == len(both) - (column not in {"mobile", "region"}) - (column == "name")  # A name takes its title along.


def test_what_is_written_where_nothing_is_known_is_empty():
    assert person(born_on=date(1988, 1, 1)).born_on is None
    assert person(born_on=date(1988, 1, 1)).birth_year == 1988
    assert person(mobile="9999999999").mobile == ""
    assert person(mobile="9876543210").mobile == "9876543210"
    assert person(**{**ACCOUNT, "account_holding": "GROUP"}).account == ""
    assert person(region="9.178.1204.0.5").village == 5
    assert person(region="9.178.1204").village is None
    assert person(region="9.178").block is None


def test_places_are_their_codes():
    assert (person().block, person().village) == (1204, 5)


def test_codes_are_stable_names():
    codes = [level.code for level in LEVELS]
    assert len(codes) == len(set(codes))
    assert {"SAME_IDENTITY", "NAME_SOUNDS_ALIKE"} <= set(codes)


def test_a_rejected_record_and_she_herself_are_nobodys_double():
    one = person(**TOKEN)
    rejected = person(Status.REJECTED, **TOKEN)
    assert rules.screen(one, [one, rejected], BY).verdict is Verdict.CLEAR


def test_the_gravest_comes_first_and_there_is_an_end():
    one = person(**TOKEN)
    others = [person() for _ in range(30)] + [person(**TOKEN)]
    found = rules.screen(one, others, BY)
    assert found.verdict is Verdict.CONFIRMED
    assert [match.verdict for match in found.matches] == [Verdict.CONFIRMED] + [Verdict.POTENTIAL] * (rules.MATCHES_MAX - 1)
    assert rules.screen(one, reversed(others), BY) == found


def test_a_finding_keeps_its_id_while_both_records_stay():
    one, other = person(), person()
    assert rules.match(one, other, BY).finding_id == rules.match(one, other, BY).finding_id
    again = person(member_id=one.member_id, revision=2)
    changed = person(member_id=other.member_id, revision=2)
    ids = {rules.match(a, b, BY).finding_id for a, b in ((one, other), (other, one), (again, other), (one, changed))}
    assert len(ids) == 4


@pytest.mark.parametrize("step", [None, (1, Status.ACTIVE), (1, Status.REJECTED), (2, Status.ACTIVE)])
@pytest.mark.parametrize("revision", [1, 2])
def test_a_decision_stands_until_a_later_revision(step, revision):
    expected = Status.SUBMITTED if step is None or step[0] < revision else step[1]
    assert rules.status_of(revision, step) is expected


def test_who_came_from_the_old_mis_is_not_decided_on():
    assert rules.status_of(0, (0, Status.LEGACY)) is Status.SUBMITTED


NAMES = ["Sunita Devi", "Suneeta Kumari", "Vimla", "Bimla Devi", "Meena", "", "सुनीता", "Sunita Sharma"]
PEOPLE = st.builds(
    person,
    name=st.sampled_from([name for name in NAMES if name]),  # Nobody is handed in without one.
    relation_name=st.sampled_from(NAMES),
    born_on=st.sampled_from([None, date(1988, 5, 7), date(1988, 7, 5), date(1989, 5, 7), date(1988, 1, 1)]),
    birth_year=st.sampled_from([0, 1986, 1988, 1991]),
    mobile=st.sampled_from(["", "9123456780", "9123456781"]),
    region=st.sampled_from([HERE, NEAR, FAR, ""]),
    account_number=st.sampled_from(["", "1", "2"]),
    account_holding=st.sampled_from(["SINGLE", "JOINT"]),
    identity_token=st.sampled_from(["", "t1", "t2"]),
    documents=st.sampled_from([(), ("PAN:A1",), ("PAN:A1", "VOTER_ID:B2"), ("VOTER_ID:B2", "PAN:-"), ("AADHAAR_PAPER:C3",)]),
)


@given(PEOPLE, PEOPLE)
def test_a_comparison_is_the_same_from_either_side(one, other):
    assert clues(one, other) == clues(other, one)


@given(PEOPLE, PEOPLE)
def test_confirmed_is_the_same_identity_and_nothing_else(one, other):
    same = bool(one.identity_token) and one.identity_token == other.identity_token
    assert (rules.screen(one, [other], BY).verdict is Verdict.CONFIRMED) is same


@given(PEOPLE, PEOPLE)
def test_whoever_matches_shares_a_lookup(one, other):
    """Otherwise no arm would find her, and no lock would make the second see the first."""
    if rules.match(one, other, BY):
        assert rules.lookups(one) & rules.lookups(other)


@pytest.mark.parametrize("catalogue", sorted(LOCALES.glob("*.po")), ids=lambda path: path.stem)
def test_every_reason_is_said_in_each_language(catalogue):
    with catalogue.open("rb") as written:
        said = {message.id for message in read_po(written) if message.string and not message.fuzzy}
    assert {re.sub(r"\d+", "#", level.words) for level in LEVELS} | {SAME_DOCUMENT.words, SAME_PAPER.words} <= said
