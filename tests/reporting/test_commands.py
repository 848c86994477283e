"""The same on a real PostgreSQL, with real envelopes and the inbox."""

import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select

from protos.common_pb2 import Envelope
from protos.identity_pb2 import UserChanged
from protos.profiles_pb2 import InstitutionChanged, MemberChanged, MembersTallied, Status
from protos.transactions_pb2 import BooksMoved, HeadTotal, MeetingApproved
from services.chassis import mailbox
from services.chassis.hears import hearings, run_new
from services.kernel.errors import Invalid
from services.kernel.geography import Geography, Place
from services.kernel.ids import derived, uuid7
from services.kernel.tally import total
from services.reporting import commands, queries, rules
from services.reporting.consumer import Consumer
from services.reporting.rules import Asked
from services.reporting.tables import ageing, bookkeeping, contributions, figures, freshness, tallies

SERVICE = "reporting"
VILLAGES = ["9.178.1204.77.5", "9.178.1204.77.6", "9.178.1205.80.9", "9.141.1300.0.3"]
TOLD_AT = datetime(2026, 5, 10, 12, tzinfo=UTC)
TODAY = date(2026, 5, 20)
PLACES = [Place(path, f"Place {path}", "", date(2020, 1, 1)) for village in VILLAGES for path in rules.regions.ancestors(village)]
GEOGRAPHY = Geography(PLACES)
HEARINGS = {(hearing.source, hearing.event): hearing for hearing in hearings(SERVICE)}


@pytest.fixture
def connection(connection):
    """Nothing heard yet, whatever a demo left behind; rolled back with the rest."""
    for table in (figures, contributions, ageing, bookkeeping, freshness, tallies, mailbox.inbox, mailbox.inbox_pruned):
        connection.execute(delete(table))
    return connection


def envelope(source, message, subject, version=1, event_id=None, at=TOLD_AT):
    made = Envelope(
        event_id=str(event_id or uuid.uuid4()),
        source=source,
        event=message.DESCRIPTOR.name,
        sequence=1,
        subject=str(subject),
        version=version,
        body=message.SerializeToString(),
    )
    made.occurred_at.FromDatetime(at)
    return made


def member(member_id=None, version=1, at=TOLD_AT, **changes):
    member_id = member_id or uuid7()
    plain = {"region": VILLAGES[0], "status": Status.STATUS_ACTIVE, "month": "2026-04", "identity_verified": True}
    return envelope("profiles", MemberChanged(member_id=str(member_id), **{**plain, **changes}), member_id, version, at=at)


def meeting(meeting_id=None, **changes):
    meeting_id = meeting_id or uuid7()
    plain = {
        "meeting_id": str(meeting_id),
        "region": VILLAGES[0],
        "month": "2026-04",
        "members_present": 9,
        "members_due": 12,
        "savings_paise": 120000,
        "loans_disbursed_paise": 500000,
        "principal_repaid_paise": 80000,
        "maker_user": "IUP_SITA",
        "heads": [HeadTotal(head="A01", debit_paise=500000, credit_paise=80000)],
    }
    return envelope("transactions", MeetingApproved(**{**plain, **changes}), meeting_id, event_id=derived("meeting", meeting_id))


def shg(shg_id, version=1, **changes):
    plain = {"kind": "KIND_SHG", "region": VILLAGES[0], "status": "STATUS_ACTIVE", "month": "2026-04", "code": "S091"}
    return envelope("profiles", InstitutionChanged(institution_id=str(shg_id), **{**plain, **changes}), shg_id, version)


def books(institution_id, version=1, **changes):
    plain = {"region": VILLAGES[0], "approved_through": 4, "last_number": 6, "handed_back": 1, "last_held_on": "2026-04-17"}
    return envelope("transactions", BooksMoved(institution_id=str(institution_id), **{**plain, **changes}), institution_id, version)


def hear(connection, *envelopes):
    """What drain does with what came: a group for each kind of event."""
    groups = {}
    for came in envelopes:
        groups.setdefault((came.source, came.event), []).append(came)
    return sum(run_new(HEARINGS[kind], Consumer(), connection, group) for kind, group in groups.items())


def ask(connection, **changes):
    plain = {"report": "summary", "region": "", "level": "STATE", "from_month": "2026-04", "to_month": "2026-05"}
    question = rules.check(Asked(**{**plain, **changes}), "9", GEOGRAPHY, TODAY)
    rows, after = queries.report(connection, question)
    columns = [measure.name for measure in question.measures]
    return {row.region: dict(zip(columns, row.values, strict=True)) for row in rows}, after


def all_figures(connection):
    rows = connection.execute(select(figures).where(figures.c.amount != 0))
    return {(row.region, row.month, row.measure): row.amount for row in rows}


def test_an_approved_meeting_shows_at_every_level_and_only_once(connection):
    once = meeting()
    assert hear(connection, once, once) == 1
    assert hear(connection, once) == 0
    for level, region in zip(("STATE", "DISTRICT", "BLOCK", "GP", "VILLAGE"), rules.regions.ancestors(VILLAGES[0]), strict=True):
        rows, _ = ask(connection, level=level)
        assert rows[region]["savings_paise"] == 120000
        assert rows[region]["loans_outstanding_paise"] == 420000
        assert rows[region]["meetings_held"] == 1


def test_a_cut_off_adds_to_what_stands_and_to_nothing_that_moved(connection):
    openings = [HeadTotal(head="A01", debit_paise=420200), HeadTotal(head="L01", credit_paise=400000), HeadTotal(head="L06", credit_paise=7)]
    none = {"savings_paise": 0, "loans_disbursed_paise": 0, "principal_repaid_paise": 0, "heads": []}
    hear(connection, meeting(openings=openings, **none))
    rows, _ = ask(connection)
    said = {name: amount for name, amount in rows["9"].items() if amount and not name.startswith(("attendance", "meetings"))}
    assert said == {"loans_outstanding_paise": 420200, "savings_balance_paise": 400000}


def test_a_meeting_adds_what_came_in_and_went_out_under_every_head(connection):
    heads = [
        HeadTotal(head=head, debit_paise=debit_paise, credit_paise=credit_paise)
        for head, debit_paise, credit_paise in (
            ("L01", 100, 2000),
            ("L02", 50, 3000),
            ("I03", 0, 400),
            ("I05", 7, 0),
            ("E03", 900, 0),
            ("L04", 30, 70000),
            ("L07", 5000, 0),
            ("L06", 0, 15000),
            ("A05", 60000, 0),
        )
    ]
    hear(connection, meeting(savings_withdrawn_paise=150, loans_disbursed=3, heads=heads, manual_books_differ=True))
    rows, _ = ask(connection)
    assert rows["9"]["meetings_manual_books_differ"] == 1
    said = {name: amount for name, amount in rows["9"].items() if amount and not name.startswith(("attendance", "meetings", "principal"))}
    assert said == {
        "savings_paise": 120000,
        "loans_disbursed_paise": 500000,
        "savings_withdrawn_paise": 150,
        "savings_balance_paise": 4850,
        "loans_disbursed": 3,
        "other_income_paise": 393,
        "expenses_paise": 900,
        "borrowed_paise": 70000,
        "borrowings_repaid_paise": 5030,
        "funds_received_paise": 15000,
    }


def waits(connection, level="VILLAGE", **changes):
    rows, _ = ask(connection, level=level, **changes)
    columns = ("meetings_waiting", "groups_with_meetings_waiting", "meetings_handed_back")
    return {region: found for region, row in rows.items() if any(found := tuple(row[column] for column in columns))}


def test_what_waits_for_an_approver_is_what_the_newest_word_of_the_books_says(connection):
    one, two = uuid7(), uuid7()
    hear(connection, books(one, 3), books(one, 2, last_number=9), books(two, 1, approved_through=6, handed_back=0))
    hear(connection, books(one, 1, last_number=5))
    for level, region in zip(("STATE", "DISTRICT", "BLOCK", "GP", "VILLAGE"), rules.regions.ancestors(VILLAGES[0]), strict=True):
        assert waits(connection, level) == {region: (2, 1, 1)}
    hear(connection, books(two, 2, last_held_on="2026-05-01", handed_back=0), books(one, 4, approved_through=6, handed_back=0))
    assert waits(connection) == {VILLAGES[0]: (2, 1, 0)}
    assert waits(connection, to_month="2026-04") == {}
    hear(connection, books(two, 3, approved_through=0, last_number=0, handed_back=1, last_held_on=""))
    assert waits(connection, to_month="2026-04") == {VILLAGES[0]: (0, 0, 1)}
    kept = select(contributions.c.subject, contributions.c.last_held_on, contributions.c.region)
    assert set(map(tuple, connection.execute(kept))) == {(f"books:{one}", date(2026, 4, 17), VILLAGES[0]), (f"books:{two}", None, VILLAGES[0])}


def test_an_institution_that_moves_takes_along_what_waits(connection):
    shg_id = uuid7()
    hear(connection, shg(shg_id), books(shg_id))
    hear(connection, shg(shg_id, 2, region=VILLAGES[2]))
    assert waits(connection) == {VILLAGES[2]: (2, 1, 1)}
    hear(connection, books(shg_id, 2, last_number=7))  # Told before the books had heard of the move.
    assert waits(connection) == {VILLAGES[2]: (3, 1, 1)}
    hear(connection, shg(shg_id, 3, region=VILLAGES[3]))
    assert waits(connection, "DISTRICT") == {"9.141": (3, 1, 1)}


def test_books_with_a_day_that_is_none_are_refused(connection):
    with pytest.raises(Invalid):
        hear(connection, books(uuid7(), last_held_on="2026-02-30"))


def test_a_bookkeepers_work_is_the_approved_meetings_of_the_months_by_block(connection):
    once = meeting()
    hear(connection, once, meeting(), meeting(maker_user="IUP_GITA"), once)
    hear(connection, once, meeting(month="2026-05", region=VILLAGES[1]), meeting(month="2026-03"), meeting(month="2026-06"))
    hear(connection, meeting(region=VILLAGES[2]), meeting(region="9.178.1204", maker_user="IUP_RITA"))
    assert queries.meetings_kept(connection, "9.178.1204", "2026-04", "2026-05") == {"IUP_GITA": 1, "IUP_RITA": 1, "IUP_SITA": 3}
    assert queries.meetings_kept(connection, "9.178.1204", "2026-06", "2026-06") == {"IUP_SITA": 1}
    assert queries.meetings_kept(connection, "9.178.1205", "2026-04", "2026-04") == {"IUP_SITA": 1}
    assert queries.meetings_kept(connection, "9.178", "2026-03", "2026-06") == {}


@pytest.mark.parametrize(("made", "statements"), [(books, 6), (shg, 6), (meeting, 4)])
def test_a_batch_takes_as_many_statements_as_one_event(connection, made, statements):
    ids = [uuid7() for _ in range(200)]
    hear(connection, *map(shg, ids[:100]), *map(books, ids[100:150]))
    sent = []
    count = lambda *said: sent.append(said[2])  # noqa: E731 - it is taken off again below
    event.listen(connection, "before_cursor_execute", count)
    hear(connection, *(made(one, region=VILLAGES[number % 4], **({} if made is meeting else {"version": 2})) for number, one in enumerate(ids)))
    event.remove(connection, "before_cursor_execute", count)
    assert len(sent) == statements, sent


def test_a_stock_is_all_changes_up_to_then_and_a_flow_those_within(connection):
    hear(connection, meeting(month="2026-03"), meeting(month="2026-04"), meeting(month="2026-05"))
    rows, _ = ask(connection, from_month="2026-04", to_month="2026-04")
    assert rows["9"]["savings_paise"] == 120000
    assert rows["9"]["loans_outstanding_paise"] == 840000


def test_a_member_who_moves_is_subtracted_where_she_was(connection):
    member_id = uuid7()
    hear(connection, member(member_id, 2, region=VILLAGES[2]))
    hear(connection, member(member_id, 1, region=VILLAGES[0]))
    hear(connection, member(member_id, 3, region=VILLAGES[3]))
    rows, _ = ask(connection, level="DISTRICT")
    assert {region: row["members_active"] for region, row in rows.items()} == {"9.141": 1, "9.178": 0}
    assert queries.registered_members(connection, "9") == 1


def test_users_and_institutions_count_too(connection):
    user = UserChanged(user_id="IUP_SITA", active=True, month="2026-04", places=[UserChanged.Place(role="SHG_BOOKKEEPER", region="9.178.1204")])
    shg = InstitutionChanged(institution_id=str(uuid7()), kind="KIND_SHG", region=VILLAGES[0], status="STATUS_ACTIVE", month="2026-04")
    hear(connection, envelope("identity", user, user.user_id), envelope("profiles", shg, shg.institution_id))
    rows, _ = ask(connection, region="9.178.1204", level="BLOCK")
    assert (rows["9.178.1204"]["bookkeepers"], rows["9.178.1204"]["shgs_active"]) == (1, 1)


def test_the_region_asked_for_has_a_row_even_without_figures(connection):
    rows, after = ask(connection)
    assert set(rows["9"].values()) == {0}
    assert after == ""
    assert ask(connection, level="VILLAGE") == ({}, "")
    assert queries.as_of(connection) is None


def test_pages_follow_each_other_by_region(connection):
    hear(connection, *(member(region=village) for village in VILLAGES))
    seen, after = [], ""
    while True:
        rows, after = ask(connection, level="VILLAGE", size=3, after=after)
        seen += rows
        if not after:
            break
    assert seen == sorted(VILLAGES)
    rows, _ = ask(connection, region="9.178.1204", level="VILLAGE")
    assert list(rows) == VILLAGES[:2]


def test_as_of_is_when_the_newest_event_was_told(connection):
    hear(connection, member(at=TOLD_AT), member(at=TOLD_AT + timedelta(hours=1)))
    hear(connection, member(at=TOLD_AT - timedelta(hours=1)))
    assert queries.as_of(connection) == TOLD_AT + timedelta(hours=1)


def tallied(members, at=TOLD_AT, **changes):
    plain = {"block": "9.178.1204", "members": len(members), "fingerprint": total(members)}
    message = MembersTallied(**{**plain, **changes})
    message.at.FromDatetime(at)
    return envelope("profiles", message, message.block)


def test_a_copy_that_agrees_with_its_owner_is_no_work_item(connection):
    ours = [member(), member(region=VILLAGES[1]), member(status=Status.STATUS_SUBMITTED), member(region=VILLAGES[2])]
    hear(connection, *ours, tallied([(UUID(came.subject), 1) for came in ours[:2]]))
    assert commands.compare_tallies(connection, TOLD_AT + timedelta(hours=1)) == 0
    assert queries.told(connection) == []


def test_a_copy_that_drifts_is_a_work_item_until_it_is_mended(connection):
    one, two = member(), member()
    hear(connection, one, tallied([(UUID(one.subject), 1), (UUID(two.subject), 1)]))
    assert commands.compare_tallies(connection, TOLD_AT + timedelta(minutes=1)) == 0  # It may still be on its way.
    assert commands.compare_tallies(connection, TOLD_AT + timedelta(minutes=6)) == 1
    hear(connection, two)
    assert commands.compare_tallies(connection, TOLD_AT + timedelta(minutes=7)) == 0


def test_a_tally_says_nothing_of_what_changed_after_it(connection):
    one, later = member(), member(at=TOLD_AT + timedelta(minutes=1))
    hear(connection, one, later, tallied([(UUID(one.subject), 1)]))
    assert commands.compare_tallies(connection, TOLD_AT + timedelta(hours=1)) == 0
    newer = tallied([(UUID(one.subject), 1), (UUID(later.subject), 1)], at=TOLD_AT + timedelta(days=1))
    hear(connection, newer, tallied([], at=TOLD_AT))
    assert [told.at for told in queries.told(connection)] == [TOLD_AT + timedelta(days=1)]


def test_a_rebuild_forgets_everything_and_hears_it_all_again(connection):
    shg_id = uuid7()
    told = [member(), meeting(), member(region=VILLAGES[2]), shg(shg_id, region=VILLAGES[1]), books(shg_id)]
    hear(connection, *told)
    before = all_figures(connection)
    commands.empty(connection)
    assert all_figures(connection) == {}
    assert queries.meetings_kept(connection, "9.178.1204", "2026-04", "2026-04") == {}
    assert hear(connection, *told) == 5
    assert all_figures(connection) == before
    assert queries.meetings_kept(connection, "9.178.1204", "2026-04", "2026-04") == {"IUP_SITA": 1}


@st.composite
def lives(draw, places=VILLAGES):
    """When somebody was let in, and what is known after each act of her life: where she stayed, as [place, from, to], each day after the other.

    An act may be told late: its day may come before the one on which she was let in.
    """
    activated_on, day = date(2026, 3, 15), date(2026, 1, 20)
    stays = [[draw(st.sampled_from(places)), None, None]]
    known = [[tuple(stay) for stay in stays]]
    for gap_days, goes_on in draw(st.lists(st.tuples(st.integers(1, 45), st.booleans()), max_size=6)):
        day += timedelta(days=gap_days)
        lasts = stays[-1][2] is None
        if lasts:
            stays[-1][2] = day
        if goes_on or not lasts:  # She is transferred, or comes back.
            stays.append([draw(st.sampled_from(places)), day, None])
        known.append([tuple(stay) for stay in stays])
    return activated_on, known


def counted(activated_on, stays, region, month):
    """Whether she counts in a region at the end of a month: she had been let in, she had come, and she had not gone."""
    begun = [(place, max(from_on or activated_on, activated_on), to_on) for place, from_on, to_on in stays if f"{place}.".startswith(f"{region}.")]
    return sum(f"{from_on}"[:7] <= month and (to_on is None or month < f"{to_on}"[:7]) for _, from_on, to_on in begun)


MONTHS = [f"2026-{month:02}" for month in range(1, 13)]


def end_of_month(connection, measure):
    """The figure of each region at the end of each month, nought where there is none."""
    changes = [(row.region, row.month, row.amount) for row in connection.execute(select(figures).where(figures.c.measure == measure.number))]
    regions = {region for village in VILLAGES for region in rules.regions.ancestors(village)}
    return {
        (region, month): sum(amount for place, changed, amount in changes if place == region and changed <= month)
        for region in regions
        for month in MONTHS
    }


def told_of(activated_on, stays):
    """What profiles says of stays."""
    lasts = stays[-1][2] is None
    ended = stays[:-1] if lasts else stays
    since = stays[-1][1] if lasts else None
    status = Status.STATUS_ACTIVE if lasts else Status.STATUS_INACTIVE
    said = {"region": stays[-1][0], "status": status, "month": f"{activated_on}"[:7], "since_on": f"{since or ''}"}
    return said, [{"from_on": f"{from_on or ''}", "to_on": f"{to_on}"} for _, from_on, to_on in ended]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(st.tuples(lives(), st.booleans()), min_size=1, max_size=3))
def test_a_member_counts_in_each_month_where_she_was_and_leaving_changes_no_month_before(connection, data, women):
    commands.empty(connection)
    told, newest = [], []
    for (activated_on, known), verified in women:
        member_id = uuid7()
        told.append(member(member_id, 1, region=known[0][0][0], status=Status.STATUS_SUBMITTED, month="2026-01"))
        for version, stays in enumerate(known, 2):
            said, ended = told_of(activated_on, stays)
            ended = [{"region": stay[0], **days} for stay, days in zip(stays, ended, strict=False)]
            told.append(member(member_id, version, identity_verified=verified, activated=True, ended_stays=ended, **said))
        newest.append(told[-1])
    for came in data.draw(st.permutations([*told, *data.draw(st.lists(st.sampled_from(told), max_size=4))])):
        hear(connection, came)
    figures_now = end_of_month(connection, rules.MEMBERS_ACTIVE)
    assert figures_now == {
        (region, month): sum(counted(activated_on, known[-1], region, month) for (activated_on, known), _ in women) for region, month in figures_now
    }
    of_verified = [life for life, verified in women if verified]
    assert end_of_month(connection, rules.MEMBERS_IDENTITY_VERIFIED) == {
        (region, month): sum(counted(activated_on, known[-1], region, month) for activated_on, known in of_verified) for region, month in figures_now
    }
    live = all_figures(connection)
    commands.empty(connection)
    hear(connection, *newest)
    assert all_figures(connection) == live


def test_what_happened_later_changes_no_month_before(connection):
    member_id, region = uuid7(), VILLAGES[0]
    hear(connection, member(member_id, 1, month="2026-02", activated=True))
    before = end_of_month(connection, rules.MEMBERS_ACTIVE)
    went = {"region": region, "to_on": "2026-05-09"}
    hear(connection, member(member_id, 2, region=VILLAGES[3], month="2026-02", activated=True, ended_stays=[went], since_on="2026-05-09"))
    after = end_of_month(connection, rules.MEMBERS_ACTIVE)
    assert {cell for cell in before if before[cell] != after[cell]} == {
        (place, month) for place in {*rules.regions.ancestors(region), *rules.regions.ancestors(VILLAGES[3])} - {"9"} for month in MONTHS[4:]
    }
    assert [after[region, "2026-04"], after[region, "2026-05"], after[VILLAGES[3], "2026-05"]] == [1, 0, 1]


def test_who_was_never_let_in_by_a_checker_was_never_active(connection):
    ended = [{"region": VILLAGES[0], "to_on": "2026-05-09"}]
    hear(connection, member(status=Status.STATUS_INACTIVE, ended_stays=ended))
    plain = {"kind": "KIND_SHG", "region": VILLAGES[0], "status": Status.STATUS_INACTIVE, "month": "2026-04"}
    hear(connection, envelope("profiles", InstitutionChanged(ended_periods=[{"to_on": "2026-05-09"}], **plain), uuid7()))
    assert all_figures(connection) == {}
    hear(connection, member(status=Status.STATUS_LEGACY, ended_stays=ended, since_on="2026-05-10"))
    assert {measure for _, _, measure in all_figures(connection)} == {rules.MEMBERS_LEGACY.number}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives(VILLAGES[:1]), st.sampled_from([("SHG", rules.SHGS_ACTIVE), ("VO", rules.VOS_ACTIVE), ("CLF", rules.CLFS_ACTIVE)]))
def test_an_institution_counts_in_each_month_in_which_it_was_in_being(connection, life, kind):
    commands.empty(connection)
    (activated_on, known), (name, measure), shg_id = life, kind, uuid7()
    for version, stays in enumerate(known, 1):
        said, ended = told_of(activated_on, stays)
        message = InstitutionChanged(institution_id=str(shg_id), kind=f"KIND_{name}", code="S091", ended_periods=ended, **said)
        hear(connection, envelope("profiles", message, shg_id, version))
        held = end_of_month(connection, measure)
        assert held == {(region, month): counted(activated_on, stays, region, month) for region, month in held}


STATUSES = st.sampled_from([Status.STATUS_DRAFT, Status.STATUS_SUBMITTED, Status.STATUS_REJECTED, Status.STATUS_ACTIVE])
EDITS = st.lists(st.tuples(st.sampled_from(VILLAGES), STATUSES, st.booleans()), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(EDITS, min_size=1, max_size=4), st.lists(st.integers(0, 10**7), max_size=3))
def test_any_order_and_any_repetition_give_the_figures_of_a_fresh_restate(connection, data, members, savings):
    commands.empty(connection)
    told, newest = [], []
    for edits in members:
        member_id = uuid7()
        versions = [
            member(member_id, version, region=village, status=status, identity_verified=verified)
            for version, (village, status, verified) in enumerate(edits, 1)
        ]
        told += versions
        newest.append(versions[-1])
    meetings = [meeting(savings_paise=amount, region=VILLAGES[amount % 4]) for amount in savings]
    delivered = data.draw(st.permutations([*told, *meetings, *data.draw(st.lists(st.sampled_from([*told, *meetings]), max_size=6))]))
    cut = data.draw(st.integers(1, 6))
    for start in range(0, len(delivered), cut):
        hear(connection, *delivered[start : start + cut])
    live = all_figures(connection)
    commands.empty(connection)
    hear(connection, *newest, *meetings)
    assert all_figures(connection) == live
    for level in range(1, 5):
        sums = {}
        for (region, month, measure), amount in live.items():
            if region.count(".") == level:
                key = (region.rpartition(".")[0], month, measure)
                sums[key] = sums.get(key, 0) + amount
        assert {key: amount for key, amount in sums.items() if amount} == {k: a for k, a in live.items() if k[0].count(".") == level - 1}


STANDS = st.lists(
    st.tuples(st.sampled_from(VILLAGES), st.integers(0, 3), st.integers(0, 2), st.sampled_from(["04-05", "04-30", "05-01"])), max_size=4
)
MOVES = st.lists(st.sampled_from(VILLAGES), max_size=3)
MAKERS = st.lists(
    st.tuples(st.sampled_from(["IUP_SITA", "IUP_GITA"]), st.sampled_from(VILLAGES), st.sampled_from(["2026-04", "2026-05"])), max_size=4
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(st.tuples(STANDS, MOVES), min_size=1, max_size=3), MAKERS)
def test_books_count_as_they_stand_last_where_their_institution_is_last_whatever_came_first(connection, data, groups, makers):
    commands.empty(connection)
    told, expected = [], Counter()
    for stands, moves in groups:
        shg_id = uuid7()
        told += [shg(shg_id, version, region=village) for version, village in enumerate(moves, 1)]
        for version, (village, waiting, handed_back, day) in enumerate(stands, 1):
            stood = {"region": village, "last_number": 4 + waiting, "handed_back": handed_back, "last_held_on": f"2026-{day}"}
            told.append(books(shg_id, version, **stood))
        if stands:
            village, waiting, handed_back, day = stands[-1]
            for region in rules.regions.ancestors(moves[-1] if moves else village):
                expected[region, f"2026-{day[:2]}", rules.MEETINGS_WAITING.number] += waiting
                expected[region, f"2026-{day[:2]}", rules.GROUPS_WAITING.number] += waiting > 0
                expected[region, f"2026-{day[:2]}", rules.MEETINGS_HANDED_BACK.number] += handed_back
    told += [meeting(maker_user=maker, region=village, month=month) for maker, village, month in makers]
    again = data.draw(st.lists(st.sampled_from(told), max_size=6)) if told else []
    delivered, cut = data.draw(st.permutations([*told, *again])), data.draw(st.integers(1, 8))
    for start in range(0, len(delivered), cut):
        hear(connection, *delivered[start : start + cut])
    measures = {rules.MEETINGS_WAITING.number, rules.GROUPS_WAITING.number, rules.MEETINGS_HANDED_BACK.number}
    counted_now = {cell: amount for cell, amount in all_figures(connection).items() if cell[2] in measures}
    assert counted_now == {cell: amount for cell, amount in expected.items() if amount}
    kept = Counter((village.rpartition(".")[0].rpartition(".")[0], month, maker) for maker, village, month in makers)
    assert {(row.block, row.month, row.maker_user): row.meetings for row in connection.execute(select(bookkeeping))} == kept
