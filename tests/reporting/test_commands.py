"""The same on a real PostgreSQL, with real envelopes and the inbox."""

import uuid
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from protos.common_pb2 import Envelope
from protos.identity_pb2 import UserChanged
from protos.profiles_pb2 import InstitutionChanged, MemberChanged, MembersTallied, Status
from protos.transactions_pb2 import MeetingApproved
from services.chassis import mailbox
from services.chassis.hears import hearings, run_new
from services.kernel.geography import Geography, Place
from services.kernel.ids import derived, uuid7
from services.kernel.tally import total
from services.reporting import commands, queries, rules
from services.reporting.consumer import Consumer
from services.reporting.rules import Asked
from services.reporting.tables import contributions, figures, freshness, tallies

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
    for table in (figures, contributions, freshness, tallies, mailbox.inbox, mailbox.inbox_pruned):
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
    }
    return envelope("transactions", MeetingApproved(**{**plain, **changes}), meeting_id, event_id=derived("meeting", meeting_id))


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
    told = [member(), meeting(), member(region=VILLAGES[2])]
    hear(connection, *told)
    before = all_figures(connection)
    commands.empty(connection)
    assert all_figures(connection) == {}
    assert hear(connection, *told) == 3
    assert all_figures(connection) == before


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
