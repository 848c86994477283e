"""Profiles' rules as tables: nothing running."""

from datetime import date, timedelta
from itertools import product
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.approval import MOVES, Status, Step, move
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, Forbidden, Invalid, Refused
from services.kernel.geography import Place
from services.kernel.ids import uuid7
from services.kernel.tally import MODULUS, fingerprint, total
from services.profiles.rules import geography, institution, member, review
from services.profiles.rules.institution import Kind
from services.profiles.rules.review import Decided, Decision, Verdict
from services.profiles.rules.revision import Held, is_repeat, must_be_current, must_stay

TODAY = date(2026, 4, 1)
FORMED = date(2022, 6, 3)
SHG = uuid7()


def code_of(call, *arguments, **named):
    """What it refuses with, and the field; empty where it does not."""
    try:
        call(*arguments, **named)
    except Refused as refused:
        return refused.code, refused.field
    return "", ""


# --- Members


def texts(**changes):
    plain = {
        "name": "Sunita Devi",
        "name_local": "सुनीता देवी",
        "gender": "FEMALE",
        "born_on": "1988-05-04",
        "birth_year": "",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "social_category": "OBC",
        "mobile": "6000917401",
        "account_number": "1000200917401",
        "ifsc": "ZZZZ0KLD001",
        "account_holding": "SINGLE",
        "joined_on": "2022-06-03",
    }
    return plain | changes


def parsed(**changes):
    return member.parse(texts(**changes), SHG, FORMED, TODAY)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": " "}, "NAME_MISSING", "name"),
        ({"name": "x" * 101}, "NAME_TOO_LONG", "name"),
        ({"name": "=cmd()"}, "NAME_INVALID", "name"),
        ({"relation_name": ""}, "NAME_MISSING", "relation_name"),
        ({"gender": "WOMEN"}, "VALUE_UNKNOWN", "gender"),
        ({"relation": "SISTER"}, "VALUE_UNKNOWN", "relation"),
        ({"social_category": ""}, "VALUE_UNKNOWN", "social_category"),
        ({"born_on": "", "birth_year": "0"}, "BIRTH_MISSING", "born_on"),
        ({"born_on": "4.5.1988"}, "DATE_INVALID", "born_on"),
        ({"born_on": "", "birth_year": "88"}, "BIRTH_INVALID", "birth_year"),
        ({"born_on": "", "birth_year": "1899"}, "BIRTH_INVALID", "birth_year"),
        ({"born_on": "", "birth_year": "2027"}, "BIRTH_IN_FUTURE", "birth_year"),
        ({"born_on": "2026-04-02"}, "BIRTH_IN_FUTURE", "born_on"),
        ({"birth_year": "1987"}, "BIRTH_YEARS_DIFFER", "birth_year"),
        ({"born_on": "2004-06-04"}, "BIRTH_TOO_YOUNG", "born_on"),
        ({"born_on": "", "birth_year": "2005"}, "BIRTH_TOO_YOUNG", "birth_year"),
        ({"joined_on": ""}, "DATE_INVALID", "joined_on"),
        ({"joined_on": "2026-04-02"}, "JOINED_IN_FUTURE", "joined_on"),
        ({"joined_on": "2022-06-02"}, "JOINED_TOO_EARLY", "joined_on"),
        ({"mobile": "12345"}, "MOBILE_INVALID", "mobile"),
        ({"account_number": "12"}, "ACCOUNT_INVALID", "account_number"),
        ({"account_number": "12345x"}, "ACCOUNT_INVALID", "account_number"),
        ({"account_number": "१२३४५६"}, "ACCOUNT_INVALID", "account_number"),
        ({"account_number": ""}, "ACCOUNT_INVALID", "account_number"),
        ({"ifsc": "ZZZZ1KLD001"}, "IFSC_INVALID", "ifsc"),
        ({"ifsc": "ZZZZ0KLD001\n"}, "", ""),  # What space surrounds does not count.
        ({"account_holding": ""}, "VALUE_UNKNOWN", "account_holding"),
        ({"account_number": "", "ifsc": "", "account_holding": ""}, "", ""),
        ({"mobile": ""}, "", ""),
        ({"born_on": "2004-06-03"}, "", ""),
        ({"born_on": "", "birth_year": "2004"}, "", ""),
        ({"gender": "f", "relation": "Husband", "social_category": "General"}, "", ""),
    ],
)
def test_a_member_is_what_she_must_be(changes, code, field):
    assert code_of(parsed, **changes) == (code, field)


def test_a_members_content_is_the_same_whichever_way_it_came():
    assert parsed(name="  Sunita   Devi ", gender="f", birth_year="1988").content() == parsed().content()
    assert parsed(mobile="+91 60009 17401").content() == parsed().content()


@pytest.mark.parametrize(
    ("year", "gender", "notes"),
    [(1988, "F", []), (0, "", []), (1979, "F", ["BIRTH_YEAR"]), (1988, "M", ["GENDER"]), (1979, "MALE", ["BIRTH_YEAR", "GENDER"])],
)
def test_evidence_that_differs_is_noted_and_not_refused(year, gender, notes):
    assert member.identity_notes(parsed(), year, gender) == notes


# --- Institutions


def shg_texts(**changes):
    plain = {"kind": "SHG", "name": "Ujala", "name_local": "उजाला", "region": "9.178.1504.11.111", "formed_on": "2022-06-03", "parent_id": ""}
    return plain | changes


def parsed_shg(savings=10000, **changes):
    return institution.parse(shg_texts(**changes), savings, TODAY)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({}, "", ""),
        ({"kind": "SHG "}, "", ""),
        ({"kind": "BANK"}, "KIND_UNKNOWN", "kind"),
        ({"kind": "VO"}, "REGION_LEVEL", "region"),
        ({"kind": "VO", "region": "9.178.1504.11"}, "", ""),
        ({"kind": "CLF", "region": "9.178.1504"}, "", ""),
        ({"region": "9.178.1504"}, "REGION_LEVEL", "region"),
        ({"region": "9.178.x"}, "REGION_INVALID", "region"),
        ({"name": ""}, "NAME_MISSING", "name"),
        ({"formed_on": "2026-04-02"}, "FORMED_IN_FUTURE", "formed_on"),
        ({"formed_on": "soon"}, "DATE_INVALID", "formed_on"),
        ({"parent_id": "x"}, "ID_INVALID", "parent_id"),
        ({"savings": -1}, "AMOUNT_NEGATIVE", "compulsory_savings_paise"),
        ({"savings": 10**13}, "AMOUNT_TOO_LARGE", "compulsory_savings_paise"),
    ],
)
def test_an_institution_is_what_it_must_be(changes, code, field):
    assert code_of(parsed_shg, **changes) == (code, field)


@pytest.mark.parametrize(
    ("child", "parent", "code"),
    [
        ({"parent_id": ""}, None, ""),
        ({}, None, "PARENT_UNKNOWN"),
        ({}, {"kind": "VO", "region": "9.178.1504.12"}, ""),
        ({}, {"kind": "CLF", "region": "9.178.1504"}, "PARENT_KIND"),
        ({}, {}, "PARENT_KIND"),
        ({}, {"kind": "VO", "region": "9.178.1505.12"}, "PARENT_ELSEWHERE"),
        ({"kind": "CLF", "region": "9.178.1504"}, {"kind": "VO", "region": "9.178.1504.12"}, "PARENT_KIND"),
    ],
)
def test_a_federation_is_of_one_block_and_of_the_next_level(child, parent, code):
    made = parsed_shg(**({"parent_id": str(uuid7())} | child))
    assert code_of(institution.check_parent, made, parsed_shg(**parent) if parent is not None else None)[0] == code


@pytest.mark.parametrize(
    ("kind", "members", "code"),
    [
        (Kind.SHG, {}, "MEMBERS_TOO_FEW"),
        (Kind.SHG, {Status.ACTIVE: 4}, "MEMBERS_TOO_FEW"),
        (Kind.SHG, {Status.ACTIVE: 5}, ""),
        (Kind.SHG, {Status.ACTIVE: 5, Status.REJECTED: 3}, ""),
        (Kind.SHG, {Status.ACTIVE: 12, Status.SUBMITTED: 1}, "MEMBERS_PENDING"),
        (Kind.SHG, {Status.ACTIVE: 12, Status.DRAFT: 1}, "MEMBERS_PENDING"),
        (Kind.VO, {}, ""),
        (Kind.CLF, {Status.DRAFT: 1}, ""),
    ],
)
def test_an_shg_needs_five_active_members_and_none_pending(kind, members, code):
    assert code_of(institution.check_members, kind, members)[0] == code


@pytest.mark.parametrize(("kind", "role"), list(product(Kind, Role)))
def test_only_the_bookkeeper_of_that_kind_enters_a_new_one(kind, role):
    assert (code_of(institution.check_maker, kind, role)[0] == "") == (role == f"{kind}_BOOKKEEPER")


@pytest.mark.parametrize(
    ("remark", "code"), [("", "REMARK_MISSING"), ("  ", "REMARK_MISSING"), ("\0", "REMARK_MISSING"), ("x" * 501, "REMARK_TOO_LONG"), ("name", "")]
)
def test_a_remark_says_something(remark, code):
    assert code_of(institution.check_remark, remark)[0] == code


# --- The workflow and revisions


@pytest.mark.parametrize(("status", "step"), list(product(Status, Step)))
def test_a_move_is_in_the_table_or_it_is_refused(status, step):
    if (status, step) in MOVES:
        assert move(status, step) == MOVES[status, step]
    else:
        with pytest.raises(Conflict):
            move(status, step)


@pytest.mark.parametrize(
    ("held", "revision", "content", "outcome"),
    [
        (None, 1, {"name": "a"}, False),
        (None, 0, {"name": "a"}, "REVISION_INVALID"),
        (None, -1, {"name": "a"}, "REVISION_INVALID"),
        (None, 2, {"name": "a"}, False),
        (None, 10_001, {"name": "a"}, "REVISION_INVALID"),
        ((Status.DRAFT, 0), 1, {"name": "b"}, False),
        ((Status.DRAFT, 0), 2, {"name": "b"}, False),
        ((Status.SUBMITTED, 1), 1, {"name": "a"}, True),
        ((Status.SUBMITTED, 1), 1, {"name": "b"}, "REVISION_CONTENT"),
        ((Status.SUBMITTED, 1), 2, {"name": "b"}, "LOCKED"),
        ((Status.REJECTED, 1), 1, {"name": "a"}, True),
        ((Status.REJECTED, 1), 2, {"name": "b"}, False),
        ((Status.REJECTED, 2), 1, {"name": "a"}, "REVISION_OLD"),
        ((Status.ACTIVE, 1), 1, {"name": "a"}, True),
        ((Status.ACTIVE, 1), 1, {"name": "b"}, "REVISION_CONTENT"),
        ((Status.ACTIVE, 1), 2, {"name": "b"}, "MOVE_NOT_ALLOWED"),
    ],
)
def test_revisions_are_counted_and_said_once(held, revision, content, outcome):
    holding = Held(*held, {"name": "a"}) if held else None
    if isinstance(outcome, bool):
        assert is_repeat(holding, revision, content) is outcome
    else:
        with pytest.raises(Refused) as refused:
            is_repeat(holding, revision, content)
        assert refused.value.code == outcome
        assert refused.value.field == ("name" if outcome == "REVISION_CONTENT" else refused.value.field)


def test_a_checker_decides_on_the_revision_that_she_saw():
    must_be_current(2, 2)
    assert [code_of(must_be_current, 2, seen)[0] for seen in (1, 3)] == ["REVISION_OLD"] * 2
    assert code_of(must_stay, {"a": 1, "b": 1}, {"a": 1, "b": 2}, "a") == ("", "")
    assert code_of(must_stay, {"a": 1, "b": 1}, {"a": 1, "b": 2}, "a", "b") == ("FIELD_FIXED", "b")


# --- Decisions

NO, REJECT, TRANSFER, FIELD = Decision.NOT_A_DUPLICATE, Decision.DUPLICATE_REJECT, Decision.DUPLICATE_TRANSFER, Decision.FIELD_VERIFICATION
P, C = Verdict.POTENTIAL, Verdict.CONFIRMED


@pytest.mark.parametrize(
    ("screened", "findings", "decisions", "code"),
    [
        (True, {}, [], ""),
        (False, {}, [], "NOT_SCREENED"),
        (True, {"a": P}, [], "FINDING_UNDECIDED"),
        (True, {"a": P}, [("a", NO, "seen both")], ""),
        (True, {"a": P}, [("a", NO, " ")], "REASON_MISSING"),
        (True, {"a": P}, [("a", NO, "x" * 501)], "REASON_TOO_LONG"),
        (True, {"a": P}, [("b", NO, "seen both")], "FINDING_UNKNOWN"),
        (True, {"a": P}, [("a", NO, "seen"), ("a", NO, "seen")], "FINDING_TWICE"),
        (True, {"a": P, "b": P}, [("a", NO, "seen both")], "FINDING_UNDECIDED"),
        (True, {"a": P}, [("a", FIELD, "")], "FINDING_UNDECIDED"),
        (True, {"a": P}, [("a", REJECT, "")], "FINDING_DUPLICATE"),
        (True, {"a": P}, [("a", TRANSFER, "")], "FINDING_DUPLICATE"),
        (True, {"a": C}, [], "FINDING_CONFIRMED"),
        (True, {"a": C}, [("a", NO, "I know her")], "FINDING_CONFIRMED"),
        (True, {"a": C}, [("a", TRANSFER, "")], "FINDING_CONFIRMED"),
        (True, {"a": P, "b": C}, [("a", NO, "seen"), ("b", NO, "seen")], "FINDING_CONFIRMED"),
    ],
)
def test_who_may_be_approved(screened, findings, decisions, code):
    said = [Decided(*one) for one in decisions]
    assert code_of(review.check_approval, screened=screened, findings=findings, decisions=said)[0] == code


@given(st.dictionaries(st.sampled_from("abcd"), st.sampled_from([P, C])), st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(Decision))))
def test_a_confirmed_finding_is_never_cleared(findings, decisions):
    said = [Decided(finding, decision, "reason") for finding, decision in decisions]
    try:
        review.check_approval(screened=True, findings=findings, decisions=said)
    except Refused:
        return
    assert C not in findings.values()
    assert {one.finding_id for one in said} == set(findings)


@pytest.mark.parametrize(
    ("reasons", "findings", "decisions", "code"),
    [
        ([], {}, [], "REASON_MISSING"),
        (["UGLY"], {}, [], "REASON_UNKNOWN"),
        (["NAME_WRONG"], {}, [], ""),
        (["OTHER", "PHOTO_MISSING"], {"a": P}, [], ""),
        (["DUPLICATE"], {}, [], "REASON_UNFOUNDED"),
        (["DUPLICATE"], {"a": P}, [], "REASON_UNFOUNDED"),
        (["DUPLICATE"], {"a": P}, [("a", NO, "seen")], "REASON_UNFOUNDED"),
        (["DUPLICATE"], {"a": P}, [("a", REJECT, "")], ""),
        (["DUPLICATE"], {"a": P}, [("a", TRANSFER, "")], ""),
        (["DUPLICATE"], {"a": C}, [], ""),
        (["DUPLICATE"], {"a": C}, [("a", NO, "seen")], "FINDING_CONFIRMED"),
    ],
)
def test_who_may_be_handed_back(reasons, findings, decisions, code):
    def check():
        checked = review.check_decisions(findings, [Decided(*one) for one in decisions])
        review.check_duplicate_reason(review.check_reasons(reasons), findings, checked)

    assert code_of(check)[0] == code


def test_reasons_are_in_the_order_of_the_list_each_once():
    assert review.check_reasons(["OTHER", "DUPLICATE", "OTHER"]) == ["DUPLICATE", "OTHER"]


def test_nobody_approves_her_own_entry_under_either_user_id():
    checker = Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, "9.178.1504", person="p1")
    review.must_not_be_maker(checker, "IUP_BK", "p2")
    for maker in (("IUP_BPM", "p2"), ("IUP_BK", "p1")):
        with pytest.raises(Forbidden):
            review.must_not_be_maker(checker, *maker)
    review.must_not_be_maker(Caller("IUP_BPM"), "IUP_BK", "")  # No claim on either side is no match.


# --- Geography

FILES = {
    "1-state.csv": "S.No.,State Code,State Version,State Name,State Name\n1,9,1,UTTAR PRADESH,उत्तर प्रदेश\n2,10,1,BIHAR,BIHAR\n",
    "2-district.csv": '\ufeff"State Code","State Name","District Code","District Name"\n'
    '9,"UTTAR PRADESH",178,"SANT KABEER NAGAR"\n10,BIHAR,212,PATNA\n',
    "3-subdistrict.csv": "S.No.,State Code,State Name,District Code,District Name,Sub-district Code,Sub-district Version,Sub-district Name\n"
    "1,9,UP,178,S,942,2,K\n",
    "blocks.csv": "S.No.,State Code,State Name,District Code,District Name,Block Code,Block Version,Block Name ,Block Name\n"
    "1,9,UP,178,S,1504,1,KHALILABAD,\n2,9,UP,999,S,1505,1,LOST,\n3,10,BIHAR,212,PATNA,1956,1,FATUHA,\n",
    "villages.csv": "A title of LGD\nS.No.,Village Code,Village Version,Village Name (In English),Village Name (In Local),"
    "State Code,District Code,Sub-District Code\n"
    "1,111,1,Chandanpatti,चन्दनपट्टी,9,178,942\n2,112,1,Belwa,,9,178,942\n3,,1,Nameless,,9,178,942\n4,113,1,,,9,178,942\n5,114,1,Alone,,9,178,942\n",
    "gps.csv": "S.No.;State Code;Local Body Code;Local Body Name (In Englsih);Local Body Name (In Local)\n1;9;11;Chandanpatti;चन्दनपट्टी\n",
    "mapping.csv": "State Code,Village Code,Block Code,Local Body Code\n9,111,1504,11\n9,112,1504,\n9,115,1504,11\n9,111,1504,\n",
}


def test_lgds_files_make_the_places_of_one_state():
    places, bad = geography.places(geography.read(FILES, 9))
    assert [(place.path, place.name, place.name_local) for place in places] == [
        ("9", "UTTAR PRADESH", "उत्तर प्रदेश"),
        ("9.178", "SANT KABEER NAGAR", ""),
        ("9.178.1504", "KHALILABAD", ""),
        ("9.178.1504.0", "No Gram Panchayat", ""),
        ("9.178.1504.0.112", "Belwa", ""),
        ("9.178.1504.11", "Chandanpatti", "चन्दनपट्टी"),
        ("9.178.1504.11.111", "Chandanpatti", "चन्दनपट्टी"),
    ]
    assert [(one.file, one.row, one.reason) for one in bad] == [
        ("blocks.csv", 3, "the district 999 of the block 1505 is not known"),
        ("mapping.csv", 4, "the village 115 has no name in any file"),
        ("villages.csv", 5, "the code of the village is missing"),
        ("villages.csv", 6, "the name of the village 113 is missing"),
        ("villages.csv", 7, "the block (none) of the village 114 is not known"),
    ]


def test_a_village_in_two_gram_panchayats_has_two_paths():
    mapping = FILES["mapping.csv"] + "9,111,1504,12\n"
    gps = FILES["gps.csv"] + "2;9;12;Rampatti;\n"
    places, _ = geography.places(geography.read(FILES | {"mapping.csv": mapping, "gps.csv": gps}, 9))
    assert [place.path for place in places if place.path.endswith(".111")] == ["9.178.1504.11.111", "9.178.1504.12.111"]


def test_what_cannot_be_read_is_refused_and_the_rest_goes_in():
    broken = {"a.csv": FILES["villages.csv"] + '6,116,1,"' + "x" * 200_000, "b.csv": FILES["blocks.csv"].replace("KHALILABAD", "KH\ufffd")}
    _, bad = geography.places(geography.read(FILES | broken, 9))
    assert {("a.csv", 0), ("b.csv", 2)} <= {(one.file, one.row) for one in bad}


def test_files_without_the_state_make_no_places_rather_than_end_all():
    assert geography.places(geography.read({"x.csv": "a,b\n1,2\n"}, 9))[0] == []


def place(path, name="N", valid_from=geography.BEGINNING, valid_to=None):
    return Place(path, name, "", valid_from, valid_to)


def test_what_changes_ends_on_the_day_and_what_stays_is_left_alone():
    day, next_day = date(2026, 4, 1), date(2026, 5, 1)
    first = geography.revise([], [place("9"), place("9.1"), place("9.2")], day)
    assert first == [place("9"), place("9.1"), place("9.2")]
    second = geography.revise(first, [place("9"), place("9.1", "M"), place("9.3")], day)
    assert second == [
        place("9"),
        place("9.1", valid_to=day),
        place("9.1", "M", day),
        place("9.2", valid_to=day),
        place("9.3", valid_from=day),
    ]
    assert geography.revise(second, [place("9"), place("9.1", "M"), place("9.3")], next_day) == second
    assert geography.revise(second, [place("9"), place("9.1", "L")], day)[1:4] == [
        place("9.1", valid_to=day),
        place("9.1", "L", day),
        place("9.2", valid_to=day),
    ]


# --- The tally


def test_the_tally_does_not_depend_on_order_and_tells_one_version_from_the_next():
    ids = [(uuid4(), version) for version in range(20)]
    assert total(ids) == total(reversed(ids)) == sum(fingerprint(*one) for one in ids) % MODULUS
    assert total(ids) != total([(ids[0][0], 99), *ids[1:]])
    assert 0 <= total(ids) < MODULUS


@given(st.dates(date(1900, 1, 1), TODAY + timedelta(days=400)), st.dates(date(2020, 1, 1), TODAY + timedelta(days=400)))
def test_whoever_is_taken_in_was_grown_up_when_she_joined(born, joined):
    try:
        made = parsed(born_on=born.isoformat(), joined_on=joined.isoformat())
    except Invalid:
        return
    assert made.born_on is not None
    assert FORMED <= made.joined_on <= TODAY
    assert (made.joined_on.year - born.year, (made.joined_on.month, made.joined_on.day)) >= (18, (born.month, born.day)) or (
        made.joined_on.year - born.year > 18
    )
