"""Figures add up the same whatever the order, the repetition and the edits on the way."""

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.approval import Status
from services.kernel.errors import Invalid
from services.kernel.geography import Geography, Place
from services.kernel.region import Level, at_level
from services.reporting import rules
from services.reporting.rules import (
    BOOKS,
    INSTITUTION,
    MEMBERS_ACTIVE,
    MEMBERS_FLAGGED,
    MEMBERS_IDENTITY_VERIFIED,
    MEMBERS_PENDING,
    Asked,
    Contribution,
    HeadTotal,
    Kind,
    Meeting,
    Stay,
)

VILLAGES = ["9.178.1204.77.5", "9.178.1204.77.6", "9.178.1205.80.9", "9.141.1300.0.3"]
MONTHS = ["2026-03", "2026-04", "2026-05"]
MOMENT = datetime(2026, 5, 1, tzinfo=UTC)


def names(cells):
    by_number = {measure.number: measure.name for report in rules.REPORTS.values() for measure in report}
    return {by_number[number]: amount for (_, _, number), amount in cells.items()}


def test_a_measures_number_and_name_are_its_own():
    measures = [value for value in vars(rules).values() if isinstance(value, rules.Measure)]
    assert len({measure.number for measure in measures}) == len({measure.name for measure in measures}) == len(measures)


@pytest.mark.parametrize(
    ("status", "verdict", "verified", "added"),
    [
        (Status.DRAFT, "UNSPECIFIED", False, {}),
        (Status.SUBMITTED, "UNSPECIFIED", True, {"members_pending": 1}),
        (Status.SUBMITTED, "CLEAR", False, {"members_pending": 1}),
        (Status.SUBMITTED, "POTENTIAL", False, {"members_pending": 1, "members_flagged": 1}),
        (Status.SUBMITTED, "CONFIRMED", False, {"members_pending": 1, "members_flagged": 1}),
        (Status.REJECTED, "CONFIRMED", False, {"members_rejected": 1}),
        (Status.ACTIVE, "POTENTIAL", False, {"members_active": 1}),
        (Status.ACTIVE, "CLEAR", True, {"members_active": 1, "members_identity_verified": 1}),
        (Status.LEGACY, "POTENTIAL", False, {"members_legacy": 1}),
        (Status.INACTIVE, "CLEAR", True, {}),
    ],
)
def test_a_member_counts_where_she_stands(status, verdict, verified, added):
    assert names(rules.member(VILLAGES[0], "2026-04", status, verdict, identity_verified=verified)) == added


@pytest.mark.parametrize(
    ("kind", "status", "added"),
    [
        ("SHG", Status.ACTIVE, {"shgs_active": 1}),
        ("SHG", Status.SUBMITTED, {"shgs_pending": 1}),
        ("SHG", Status.REJECTED, {}),
        ("VO", Status.ACTIVE, {"vos_active": 1}),
        ("VO", Status.SUBMITTED, {}),
        ("CLF", Status.ACTIVE, {"clfs_active": 1}),
        ("SHG", Status.LEGACY, {"shgs_legacy": 1}),
        ("VO", Status.LEGACY, {}),
    ],
)
def test_an_institution_counts_by_its_kind(kind, status, added):
    assert names(rules.institution("9.178.1204", "2026-04", kind, status)) == added


@pytest.mark.parametrize(
    ("roles", "active", "added"),
    [
        (["SHG_BOOKKEEPER"], True, {"bookkeepers": 1}),
        (["SHG_BOOKKEEPER", "VO_BOOKKEEPER"], True, {"bookkeepers": 1}),
        (["SHG_BOOKKEEPER", "VO_TRANS_APPROVER"], True, {"bookkeepers": 1, "approvers": 1}),
        (["SHG_BOOKKEEPER"], False, {}),
        (["BLOCK_ADMIN", "A_ROLE_OF_LATER"], True, {}),
    ],
)
def test_a_user_counts_once_for_each_thing_she_is(roles, active, added):
    assert names(rules.user("2026-04", [(role, "9.178.1204") for role in roles], active=active)) == added


HERE, THERE = VILLAGES[0], VILLAGES[3]


@pytest.mark.parametrize(
    ("status", "ended", "since_month", "added"),
    [
        (Status.ACTIVE, [Stay(THERE, "", "2026-05")], "2026-05", [(THERE, "2026-04", 1), (THERE, "2026-05", -1), (HERE, "2026-05", 1)]),
        (Status.INACTIVE, [Stay(HERE, "", "2026-06")], "", [(HERE, "2026-04", 1), (HERE, "2026-06", -1)]),
        (Status.ACTIVE, [Stay(HERE, "", "2026-06")], "2026-08", [(HERE, "2026-04", 1), (HERE, "2026-06", -1), (HERE, "2026-08", 1)]),
        # She came and went within a month, or was back before it ended.
        (Status.INACTIVE, [Stay(HERE, "", "2026-04")], "", []),
        (Status.ACTIVE, [Stay(HERE, "", "2026-06")], "2026-06", [(HERE, "2026-04", 1)]),
        # What happened before she was let in, of which it was told later.
        (Status.INACTIVE, [Stay(HERE, "", "2026-02")], "", []),
        (Status.ACTIVE, [Stay(THERE, "", "2026-02")], "2026-02", [(HERE, "2026-04", 1)]),
    ],
)
def test_a_stay_counts_from_the_month_in_which_it_began_to_the_one_in_which_it_ended(status, ended, since_month, added):
    of_member = rules.member(HERE, "2026-04", status, "CLEAR", identity_verified=False, ended=ended, since_month=since_month)
    assert of_member == {(region, month, MEMBERS_ACTIVE.number): amount for region, month, amount in added}
    of_shg = rules.institution(HERE, "2026-04", "SHG", status, ended=ended, since_month=since_month)
    assert of_shg == {(region, month, rules.SHGS_ACTIVE.number): amount for region, month, amount in added}


def held(**changes):
    plain = dict.fromkeys(
        "present due savings_paise disbursed_paise repaid_paise interest_paise fines_paise withdrawn_paise loans_given".split(),
        0,
    )
    return Meeting(**{**plain, "heads": (), **changes})


def test_a_meeting_adds_its_totals():
    said = held(
        present=9,
        due=12,
        savings_paise=120000,
        disbursed_paise=500000,
        repaid_paise=80000,
        interest_paise=9000,
        fines_paise=700,
        withdrawn_paise=30000,
        manual_books_differ=True,
        loans_given=2,
        heads=(HeadTotal("A01", 500000, 80000), HeadTotal("A03", 1, 2), HeadTotal("L01", 10000, 100000), HeadTotal("L02", 20000, 20000)),
    )
    assert names(rules.meeting(VILLAGES[0], "2026-04", said)) == {
        "meetings_held": 1,
        "attendance_present": 9,
        "attendance_due": 12,
        "savings_paise": 120000,
        "loans_disbursed_paise": 500000,
        "principal_repaid_paise": 80000,
        "interest_received_paise": 9000,
        "fines_paise": 700,
        "savings_withdrawn_paise": 30000,
        "meetings_manual_books_differ": 1,
        "loans_disbursed": 2,
        "loans_outstanding_paise": 420000,
        "savings_balance_paise": 90000,
    }


@pytest.mark.parametrize(
    ("heads", "added"),
    [
        # Money that changes its place, what members put in as shares, what lies elsewhere, and what is not explained yet.
        ("A02 A03 A04 A05 A06 A07 L03 L08 L09 L10", {}),
        ("A01", {"loans_outstanding_paise": -500}),
        ("L01 L02", {"savings_balance_paise": 500}),
        ("L04 L05 L07", {"borrowed_paise": 700, "borrowings_repaid_paise": 200}),
        ("L06", {"funds_received_paise": 500}),
        # These two are told by the meeting itself.
        ("I01 I02", {}),
        ("I03 I04 I05 I06", {"other_income_paise": 500}),
        ("E01 E02 E03 E04 E05 E06 E07 E08 E09 E10", {"expenses_paise": -500}),
    ],
)
def test_each_head_is_in_its_column(heads, added):
    for head in heads.split():
        assert names(rules.meeting(HERE, "2026-04", held(heads=(HeadTotal(head, 200, 700),)))) == {"meetings_held": 1, **added}, head
    each = tuple(HeadTotal(head, 200, 700) for head in heads.split())
    times = len(each)
    assert names(rules.meeting(HERE, "2026-04", held(heads=each))) == {"meetings_held": 1, **{name: times * paise for name, paise in added.items()}}


def test_what_a_cut_off_brought_in_stands_there_and_did_not_move():
    every = tuple(HeadTotal(head, 200, 700) for head in "A01 A03 A05 L01 L02 L03 L04 L05 L06 L07 L10".split())
    assert names(rules.meeting(HERE, "2026-04", held(present=9, due=12, openings=every))) == {
        "meetings_held": 1,
        "attendance_present": 9,
        "attendance_due": 12,
        "loans_outstanding_paise": -500,
        "savings_balance_paise": 1000,
    }
    assert names(rules.meeting(HERE, "2026-04", held(heads=every, openings=every)))["savings_balance_paise"] == 2000


@pytest.mark.parametrize(
    ("month", "last_number", "approved_through", "handed_back", "added"),
    [
        ("2026-04", 7, 7, 0, {}),
        ("2026-04", 8, 7, 0, {"meetings_waiting": 1, "groups_with_meetings_waiting": 1}),
        ("2026-04", 11, 7, 2, {"meetings_waiting": 4, "groups_with_meetings_waiting": 1, "meetings_handed_back": 2}),
        ("2026-04", 7, 7, 3, {"meetings_handed_back": 3}),
        # The first meeting was handed back: no other has been held, and still somebody should look.
        ("", 0, 0, 1, {"meetings_handed_back": 1}),
    ],
)
def test_books_add_what_waits_for_an_approver(month, last_number, approved_through, handed_back, added):
    cells = rules.books(HERE, month, last_number=last_number, approved_through=approved_through, handed_back=handed_back)
    assert names(cells) == added
    assert {(region, counted_in) for region, counted_in, _ in cells} <= {(HERE, month or "1900-01")}


@pytest.mark.parametrize(("region", "month"), [("9.x", "2026-04"), (VILLAGES[0], "2026-13"), (VILLAGES[0], "")])
def test_what_is_no_region_or_month_is_never_counted(region, month):
    with pytest.raises(Invalid):
        rules.institution(region, month, "SHG", Status.ACTIVE)


def contribution(**changes):
    plain = {"subject": "member:a", "version": 1, "occurred_at": MOMENT, "cells": Counter({(VILLAGES[0], "2026-04", MEMBERS_PENDING.number): 1})}
    return Contribution(**{**plain, **changes})


def test_a_move_takes_away_where_it_was():
    moved = contribution(version=2, cells=Counter({(VILLAGES[1], "2026-04", MEMBERS_ACTIVE.number): 1}))
    kept, change = rules.replace({"member:a": contribution()}, [moved])
    assert kept == [moved]
    assert rules.rolled_up(change) == {
        (VILLAGES[0], "2026-04", MEMBERS_PENDING.number): -1,
        (VILLAGES[1], "2026-04", MEMBERS_ACTIVE.number): 1,
        **{("9.178.1204.77"[:length], "2026-04", MEMBERS_PENDING.number): -1 for length in (1, 5, 10, 13)},
        **{("9.178.1204.77"[:length], "2026-04", MEMBERS_ACTIVE.number): 1 for length in (1, 5, 10, 13)},
    }


def test_an_older_or_equal_version_changes_nothing():
    held = {"member:a": contribution(version=2)}
    assert rules.replace(held, [contribution(version=1), contribution(version=2)]) == ([], Counter())


def of_books(region, version=1):
    cells = rules.books(region, "2026-04", last_number=3, approved_through=1, handed_back=0)
    return contribution(subject="books:1", version=version, cells=cells, region=region, last_held_on=date(2026, 4, 9))


def of_shg(region, version=1):
    return contribution(subject="institution:1", version=version, cells=Counter(), region=region)


@pytest.mark.parametrize(
    ("held", "came", "changed"),
    [
        ([], [of_books(HERE)], {HERE: 2}),
        ([of_books(HERE)], [of_shg(THERE)], {HERE: -2, THERE: 2}),
        ([of_shg(THERE)], [of_books(HERE)], {THERE: 2}),
        ([], [of_books(HERE), of_shg(THERE)], {THERE: 2}),
        ([of_shg(THERE), of_books(THERE)], [of_books(HERE, 2)], {}),
        ([of_shg(THERE, 2), of_books(THERE)], [of_shg(HERE, 1)], {}),
        ([of_shg(HERE), of_books(HERE)], [of_shg(HERE, 2)], {}),
        ([of_shg(HERE), of_books(HERE)], [contribution(subject="institution:2", region=THERE, cells=Counter())], {}),
    ],
)
def test_books_lie_where_profiles_says_that_their_institution_does(held, came, changed):
    kept, change = rules.replace({contribution.subject: contribution for contribution in held}, came)
    assert {region: amount for (region, _, measure), amount in change.items() if measure == rules.MEETINGS_WAITING.number and amount} == changed
    assert changed or {contribution.subject for contribution in kept} <= {contribution.subject for contribution in came}  # Nothing is rewritten.
    newest = {contribution.subject: contribution for contribution in [*held, *kept]}
    if {"books:1", "institution:1"} <= newest.keys():
        assert newest["books:1"].region == newest["institution:1"].region
        assert newest["books:1"].last_held_on == date(2026, 4, 9)


STATUSES = st.sampled_from(list(Status))
PLACES = st.sampled_from(VILLAGES)
VERDICTS = st.sampled_from(["CLEAR", "POTENTIAL", "CONFIRMED"])
ENDED = st.lists(st.builds(Stay, PLACES, st.sampled_from(["", *MONTHS]), st.sampled_from(MONTHS)), max_size=3)
MEMBER = st.builds(rules.member, PLACES, st.sampled_from(MONTHS), STATUSES, VERDICTS, identity_verified=st.booleans(), ended=ENDED)
SHG = st.builds(rules.institution, PLACES, st.sampled_from(MONTHS), st.sampled_from(["SHG", "VO", "CLF"]), STATUSES, ended=ENDED)
PAISE = st.integers(0, 10**9)
HEADS = st.lists(st.builds(HeadTotal, st.sampled_from(["A01", "A03", "L01", "L02", "L04", "L06", "I04", "E03"]), PAISE, PAISE), max_size=4)
MEETING = st.builds(
    rules.meeting,
    PLACES,
    st.sampled_from(MONTHS),
    st.builds(Meeting, st.integers(0, 20), st.integers(0, 20), *[PAISE] * 6, st.integers(0, 5), HEADS.map(tuple)),
)


@st.composite
def books(draw, version):
    last_number, region, month = draw(st.integers(0, 9)), draw(PLACES), draw(st.sampled_from(MONTHS))
    approved_through, handed_back = draw(st.integers(0, last_number)), draw(st.integers(0, 2))
    cells = rules.books(region, month, last_number=last_number, approved_through=approved_through, handed_back=handed_back)
    return {"cells": cells, "region": region, "last_held_on": date(2026, int(month[5:]), version)}


@st.composite
def lives(draw):
    """Versions of some subjects, one after the other: edits, moves, approvals, rejections."""

    def what(kind, version):
        if kind == BOOKS:
            return draw(books(version))
        return {"cells": draw(SHG), "region": draw(PLACES)} if kind == INSTITUTION else {"cells": draw(MEMBER)}

    return [
        contribution(subject=f"{kind}{number}", version=version, **what(kind, version))
        for kind in ("member:", INSTITUTION, BOOKS)
        for number in range(draw(st.integers(1, 4)))
        for version in range(1, draw(st.integers(1, 5)) + 1)
    ]


def fold(batches):
    """What the tables would hold: the very functions that the command runs, on dictionaries."""
    held, heard, figures = {}, set(), Counter()
    for batch in batches:
        states = [came for came in batch if isinstance(came, Contribution)]
        kept, change = rules.replace(held, states)
        held |= {contribution.subject: contribution for contribution in kept}
        for number, cells in (came for came in batch if not isinstance(came, Contribution)):
            if number not in heard:
                heard.add(number)
                change.update(cells)
        for cell, amount in rules.rolled_up(change).items():
            figures[cell] += amount
    return {cell: amount for cell, amount in figures.items() if amount}


@given(st.data(), lives(), st.lists(MEETING, max_size=5))
def test_any_order_and_any_repetition_give_the_figures_of_a_fresh_restate(data, told, meetings):
    deltas = list(enumerate(meetings))
    newest = {state.subject: state for state in told}
    restated = fold([[*newest.values(), *deltas]])
    again = data.draw(st.lists(st.sampled_from([*told, *deltas]), max_size=10))
    delivered = data.draw(st.permutations([*told, *deltas, *again]))
    cuts = data.draw(st.integers(1, 7))
    assert fold(delivered[start : start + cuts] for start in range(0, len(delivered), cuts)) == restated


@given(lives())
def test_every_level_is_the_sum_of_the_level_below(told):
    figures = fold([told])
    for level in (Level.STATE, Level.DISTRICT, Level.BLOCK, Level.GP):
        summed = Counter()
        for (region, month, measure), amount in figures.items():
            if region.count(".") + 1 == level + 1:
                summed[at_level(region, level), month, measure] += amount
        here = {cell: amount for cell, amount in figures.items() if cell[0].count(".") + 1 == level}
        assert here == {cell: amount for cell, amount in summed.items() if amount}


TODAY = date(2026, 5, 20)
GEOGRAPHY = Geography(Place(path, path, "", date(2020, 1, 1)) for path in ["9.178", "9.178.1204", "9.178.1204.77", VILLAGES[0]])


def asked(**changes):
    plain = {"report": "summary", "region": "", "level": "DISTRICT", "from_month": "2026-04", "to_month": "2026-05"}
    return Asked(**{**plain, **changes})


def test_an_empty_region_is_the_state_itself():
    question = rules.check(asked(), "9", GEOGRAPHY, TODAY)
    assert (question.region, question.level, question.size) == ("9", Level.DISTRICT, 50)
    assert MEMBERS_FLAGGED.number in question.stocks
    assert all(measure.kind is Kind.STOCK for measure in question.measures if measure.number in question.stocks)
    assert MEMBERS_IDENTITY_VERIFIED in question.measures


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"report": "everything"}, "REPORT_UNKNOWN"),
        ({"region": "9.999"}, "REGION_UNKNOWN"),
        ({"region": "10"}, "REGION_UNKNOWN"),
        ({"region": "9.178; drop"}, "REGION_INVALID"),
        ({"level": "NATION"}, "REGION_LEVEL"),
        ({"level": "HAMLET"}, "REGION_LEVEL"),
        ({"region": "9.178.1204", "level": "DISTRICT"}, "REGION_LEVEL"),
        ({"from_month": "2026-5"}, "MONTH_INVALID"),
        ({"to_month": "2026-06"}, "MONTH_IN_FUTURE"),
        ({"from_month": "2026-05", "to_month": "2026-04"}, "MONTH_ORDER"),
        ({"size": 501}, "PAGE_INVALID"),
        ({"size": -1}, "PAGE_INVALID"),
        ({"after": "9.178.1204"}, "PAGE_INVALID"),
        ({"after": "10.178"}, "PAGE_INVALID"),
    ],
)
def test_what_may_not_be_asked_is_refused_by_code(changes, code):
    with pytest.raises(Invalid) as refused:
        rules.check(asked(**changes), "9", GEOGRAPHY, TODAY)
    assert refused.value.code == code
    assert str(refused.value)
