"""Who leaves is settled before, where the state asks for it: what the books tell of that, and whom it lets go."""

from dataclasses import replace
from datetime import date
from itertools import permutations

import pytest
from sqlalchemy import select

from protos import profiles_pb2
from protos.common_pb2 import Envelope
from protos.transactions_pb2 import MemberSettled
from services.chassis import settings
from services.chassis.hears import hearings, run_new
from services.kernel.ids import derived, uuid7
from services.kernel.policies import RULES, Period, Policies
from services.profiles import consumer
from services.profiles.commands import life, member
from services.profiles.queries import MEMBER
from services.profiles.rules.life import check_settled
from services.profiles.tables import institutions, members
from tests.profiles import rows
from tests.profiles.builders import (
    SERVICE,
    TODAY,
    active_shg,
    approve,
    approve_institution,
    bookkeeper,
    code_of,
    edited,
    emptied,
    manager,
    said_of,
    screen,
)

pytestmark = pytest.mark.usefixtures("land")

[HEARING] = [one for one in hearings(SERVICE) if one.event == "MemberSettled"]
FAR_VILLAGE = "9.178.1505.88.881"
CAME, ON, LATER = "2026-03-05", "2026-03-20", "2026-03-25"
ACTS = ({"act": "LEAVE", "reason": "MARRIAGE"}, {"act": "DEATH"}, {"act": "TRANSFER"})


@pytest.fixture
def connection(connection):
    return emptied(connection)


@pytest.fixture
def shg(connection):
    """An SHG with one woman more than it needs: its id, its bookkeeper, and her."""
    shg_id, maker, women = active_shg(connection, members=6)
    return shg_id, maker, women[5]


def needs_settlement(monkeypatch, *periods):
    """What the state's file would say."""
    said = replace(settings.state(), policies=Policies({"leaving_needs_settlement": periods}))
    monkeypatch.setattr(settings, "state", lambda: said)


@pytest.fixture
def strict(monkeypatch):
    needs_settlement(monkeypatch, Period(1, TODAY))


def settled(member_id, shg_id, on=ON, reason="LEFT"):
    """As the relay of the books publishes it."""
    meeting_id = uuid7()
    message = MemberSettled(member_id=str(member_id), institution_id=str(shg_id), meeting_id=str(meeting_id), settled_on=on, reason=reason)
    envelope = Envelope(source="transactions", event="MemberSettled", subject=str(member_id), sequence=1, body=message.SerializeToString())
    envelope.event_id = str(derived("MemberSettled", meeting_id, member_id))
    return envelope


def hear(connection, *envelopes):
    return run_new(HEARING, consumer.Consumer(), connection, envelopes)


def kept(connection, member_id):
    row = connection.execute(select(members.c.settled_on, members.c.settled_with).where(members.c.id == member_id)).one()
    return str(row.settled_on or ""), row.settled_with


def happens(connection, maker, member_id, revision=2, **said):
    return life.submit(connection, maker, MEMBER, member_id, revision, {"on": ON} | said, TODAY)


# --- The rule


@pytest.mark.parametrize(
    ("on", "with_her_own", "code"),
    [
        (None, False, "SETTLEMENT_MISSING"),
        (date(2026, 3, 20), True, ""),
        (date(2026, 3, 5), True, ""),  # On the very day on which she came.
        (date(2026, 3, 4), True, "SETTLEMENT_MISSING"),
        (date(2026, 3, 20), False, "SETTLEMENT_MISSING"),
    ],
)
def test_she_is_settled_with_whom_she_leaves_since_she_came_there(on, with_her_own, code):
    own_id, since = uuid7(), date(2026, 3, 5)
    arguments = (on, (own_id if with_her_own else uuid7()) if on else None, own_id, since)
    if code:
        assert code_of(check_settled, *arguments) == code
    else:
        check_settled(*arguments)


def test_a_state_that_says_nothing_asks_for_none():
    assert RULES["leaving_needs_settlement"].default == 0


# --- What is heard


def test_what_the_books_tell_is_shown_and_counts_once(connection, shg, serving):
    shg_id, _, she = shg
    made, calling = serving
    calling["who"] = manager()

    def shown():
        return made.GetMember(profiles_pb2.GetMemberRequest(member_id=str(she)), None)

    before = shown()
    assert (before.settled_on, before.settled_with) == ("", "")
    came = settled(she, shg_id)
    assert [hear(connection, came, came), hear(connection, came)] == [1, 0]
    after = shown()
    assert (after.settled_on, after.settled_with) == (ON, str(shg_id))
    assert after.version == before.version, "nobody is told of it"


@pytest.mark.parametrize("days", list(permutations((CAME, ON, LATER))))
def test_the_newest_settlement_stays_in_whatever_order_they_come(connection, shg, days):
    _, _, she = shg
    whom = {day: uuid7() for day in days}
    for day in days:
        hear(connection, settled(she, whom[day], day))
    assert kept(connection, she) == (LATER, whom[LATER])


def test_a_settlement_of_nobody_is_our_mistake_and_parked(connection, shg):
    with pytest.raises(LookupError):
        hear(connection, settled(uuid7(), shg[0]))


def test_no_form_says_that_she_is_settled(connection, shg):
    shg_id, maker, she = shg
    hear(connection, settled(she, shg_id))
    held = approve(connection, she)
    waits = member.submit(connection, maker, she, 2, edited(held, name="Farida Bano", settled_on=LATER, settled_with=str(uuid7())), None, TODAY)
    assert not {"settled_on", "settled_with"} & {*waits.waiting.content, *held.content}
    screen(connection, waits)
    approve(connection, she, 2)
    assert kept(connection, she) == (ON, shg_id)


# --- Who is let go


@pytest.mark.parametrize("said", ACTS, ids=lambda said: said["act"])
@pytest.mark.parametrize("reason", ["LEFT", "MOVED"])
def test_she_goes_once_she_is_settled(connection, shg, strict, said, reason):
    shg_id, maker, she = shg
    if said["act"] == "TRANSFER":
        said = said | {"to_institution_id": str(active_shg(connection, name="Roshni")[0])}
    waiting = happens(connection, maker, she, **said)
    assert waiting.waiting.act == said["act"], "handed in before as well"
    assert code_of(approve, connection, she, 2) == "SETTLEMENT_MISSING"
    hear(connection, settled(she, uuid7()))
    assert code_of(approve, connection, she, 2) == "SETTLEMENT_MISSING"
    hear(connection, settled(she, shg_id, LATER, reason))
    gone = approve(connection, she, 2)
    assert gone.waiting is None
    assert approve(connection, she, 2) == gone


def test_where_the_state_does_not_ask_she_goes_at_once(connection, shg, monkeypatch):
    _, maker, she = shg
    happens(connection, maker, she, **ACTS[0])
    needs_settlement(monkeypatch, Period(1, date(2025, 1, 1), date(2026, 3, 31)), Period(0, TODAY))  # Judged by the day of the approval.
    assert approve(connection, she, 2).row.status == "INACTIVE"
    needs_settlement(monkeypatch, Period(1, TODAY))
    happens(connection, maker, she, 3, act="REVIVE", on=LATER)
    assert approve(connection, she, 3).row.status == "ACTIVE", "who comes needs none"


def test_who_comes_back_is_settled_anew(connection, shg, strict):
    shg_id, maker, she = shg
    hear(connection, settled(she, shg_id))
    happens(connection, maker, she, **ACTS[0])
    approve(connection, she, 2)
    happens(connection, maker, she, 3, act="REVIVE", on="2026-03-22")
    approve(connection, she, 3)
    happens(connection, maker, she, 4, act="DEATH", on="2026-03-24")
    assert code_of(approve, connection, she, 4) == "SETTLEMENT_MISSING"
    hear(connection, settled(she, shg_id, LATER))
    assert approve(connection, she, 4).row.status == "INACTIVE"


def test_a_corrected_day_of_joining_does_not_bring_back_an_earlier_settlement(connection, shg, strict):
    old, maker, she = shg
    new, _, _ = active_shg(connection, name="Roshni")
    hear(connection, settled(she, old, CAME, "MOVED"))
    happens(connection, maker, she, act="TRANSFER", on=CAME, to_institution_id=str(new))
    approve(connection, she, 2)
    happens(connection, bookkeeper(new), she, 3, act="TRANSFER", on=ON, to_institution_id=str(old))
    assert code_of(approve, connection, she, 3) == "SETTLEMENT_MISSING", "what her old SHG has said is not the new one's"
    hear(connection, settled(she, new, ON, "MOVED"))
    back = approve(connection, she, 3)
    # As a list may say; and her first SHG's books tell of her once more, late.
    earlier = members.c.content.op("||")({"joined_on": "2023-04-14"})
    connection.execute(members.update().where(members.c.id == back.row.id).values(content=earlier, settled_on=date(2026, 3, 6), settled_with=old))
    happens(connection, maker, she, 4, **ACTS[0], on=LATER)
    assert code_of(approve, connection, she, 4) == "SETTLEMENT_MISSING"


def test_between_blocks_the_manager_who_lets_her_go_looks_first(connection, shg, strict):
    shg_id, maker, she = shg
    known = {"kind": "SHG", "status": "ACTIVE", "region": FAR_VILLAGE, "name_key": "roshni"}
    far = rows.put(connection, institutions, **known, content=said_of(region=FAR_VILLAGE))
    happens(connection, maker, she, act="TRANSFER", to_institution_id=str(far))
    assert code_of(approve, connection, she, 2) == "SETTLEMENT_MISSING"
    hear(connection, settled(she, shg_id, ON, "MOVED"))
    assert approve(connection, she, 2).waiting.released_by == "IUP_BPM"
    there = manager(user_id="IUP_FAR", person="far manager", region="9.178.1505")
    assert approve(connection, she, 2, who=there).row.institution_id == far


def test_whom_a_closed_shg_takes_along_nothing_holds(connection, shg, strict):
    """What is between her and its books is a matter of its end."""
    shg_id, maker, she = shg
    life.submit(connection, maker, "", shg_id, 2, {"act": "CLOSE", "on": ON, "reason": "DEFUNCT"}, TODAY)
    assert approve_institution(connection, shg_id, 2).row.status == "INACTIVE"
    assert kept(connection, she) == ("", None)
