"""Profiles' rules as tables: nothing running."""

from datetime import date
from itertools import product
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.approval import MOVES, Act, Status, Step, move
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, Forbidden, Refused
from services.kernel.ids import uuid7
from services.kernel.tally import MODULUS, fingerprint, total
from services.profiles.rules import institution, review
from services.profiles.rules.institution import Kind
from services.profiles.rules.lists import DEFAULTS
from services.profiles.rules.review import Decided, Decision, Verdict
from services.profiles.rules.revision import Held, is_repeat, must_be_current, must_stay

TODAY = date(2026, 4, 1)


def code_of(call, *arguments, **named):
    """What it refuses with, and the field; empty where it does not."""
    try:
        call(*arguments, **named)
    except Refused as refused:
        return refused.code, refused.field
    return "", ""


# --- Institutions


def below(**changes):
    return {"kind": "SHG", "region": "9.178.1504.11.111", "parent_id": str(uuid7())} | changes


def above(**changes):
    return {"kind": "VO", "region": "9.178.1504.12"} | changes


CLF = {"kind": "CLF", "region": "9.178.1504"}


@pytest.mark.parametrize(
    ("child", "parent", "code"),
    [
        ({"kind": "SHG", "region": "9.178.1504.11.111"}, None, ""),
        (below(), None, "PARENT_UNKNOWN"),
        (below(), above(), ""),
        (below(), CLF, "PARENT_KIND"),
        (below(), below(), "PARENT_KIND"),
        (below(), above(region="9.178.1505.12"), "PARENT_ELSEWHERE"),
        (below(**CLF), above(), "PARENT_KIND"),
        (below(), above(area=["9.178.1504.12"]), "PARENT_ELSEWHERE"),
        (below(), above(area=["9.178.1504.12", "9.178.1504.11.112"]), "PARENT_ELSEWHERE"),
        (below(), above(area=["9.178.1504.12", "9.178.1504.11.111"]), ""),
        (below(**above()), CLF | {"area": ["9.178.1504.12"]}, ""),
        (below(**above()), CLF | {"area": ["9.178.1504.11"]}, "PARENT_ELSEWHERE"),
    ],
)
def test_a_federation_is_of_one_block_and_of_the_next_level_and_serves_the_place(child, parent, code):
    assert code_of(institution.check_parent, child, parent)[0] == code


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
        ((Status.ACTIVE, 1), 2, {"name": "b"}, False),
    ],
)
def test_revisions_are_counted_and_said_once(held, revision, content, outcome):
    holding = Held(*held, Act.PROFILE, {"name": "a"}) if held else None
    if isinstance(outcome, bool):
        assert is_repeat(holding, revision, Act.PROFILE, content) is outcome
    else:
        with pytest.raises(Refused) as refused:
            is_repeat(holding, revision, Act.PROFILE, content)
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
        (["UGLY"], {}, [], "VALUE_UNKNOWN"),
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
        words = review.hand_back(reasons, "look again", [], DEFAULTS, TODAY)
        review.check_duplicate_reason(words.reasons, findings, checked)

    assert code_of(check)[0] == code


def test_reasons_are_in_the_order_of_the_list_each_once():
    assert review.hand_back(["OTHER", "DUPLICATE", "OTHER"], "look again", [], DEFAULTS, TODAY).reasons == ["DUPLICATE", "OTHER"]


def test_nobody_approves_her_own_entry_under_either_user_id():
    checker = Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, "9.178.1504", person="p1")
    review.must_not_be_maker(checker, "IUP_BK", "p2")
    for maker in (("IUP_BPM", "p2"), ("IUP_BK", "p1")):
        with pytest.raises(Forbidden):
            review.must_not_be_maker(checker, *maker)
    review.must_not_be_maker(Caller("IUP_BPM"), "IUP_BK", "")  # No claim on either side is no match.


# --- The tally


def test_the_tally_does_not_depend_on_order_and_tells_one_version_from_the_next():
    ids = [(uuid4(), version) for version in range(20)]
    assert total(ids) == total(reversed(ids)) == sum(fingerprint(*one) for one in ids) % MODULUS
    assert total(ids) != total([(ids[0][0], 99), *ids[1:]])
    assert 0 <= total(ids) < MODULUS
