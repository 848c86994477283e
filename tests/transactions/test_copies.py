"""What the books keep of what profiles tells: the newest of it whatever the order, on a real PostgreSQL."""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from alembic import command
from sqlalchemy import select, text

from protos.profiles_pb2 import InstitutionChanged, MemberChanged
from services.chassis import migrate
from services.chassis.hears import Event
from services.kernel.ids import uuid7
from services.transactions.consumer import Consumer
from services.transactions.tables import institutions, members

SERVICE = "transactions"
VILLAGE = "9.178.1204.77.5"
ORDERS = list(permutations(range(3)))
FIRST, SECOND = str(uuid7()), str(uuid7())
PAISE = 100_00


def event(version, body):
    return Event(uuid7(), "", version, datetime.now(UTC), body)


def hear_institution(connection, institution_id, version, **said):
    told = {"kind": "KIND_SHG", "region": VILLAGE, "status": "STATUS_ACTIVE", "formed_on": "2026-04-01", **said}
    Consumer().institution_changed(connection, event(version, InstitutionChanged(institution_id=str(institution_id), **told)))


def hear_member(connection, member_id, version, **said):
    told = {"region": VILLAGE, "status": "STATUS_ACTIVE", **said}
    Consumer().member_changed(connection, event(version, MemberChanged(member_id=str(member_id), **told)))


def terms(connection, institution_id):
    """At which version; its accounts, what each member saves, and how often."""
    asked = select(institutions.c.version, institutions.c.banks, institutions.c.compulsory_paise, institutions.c.savings_frequency)
    return tuple(connection.execute(asked.where(institutions.c.institution_id == institution_id)).one())


# What an institution was told to be, version by version: without an account, with one, and with another in its place.
VERSIONS = (
    {},
    {"accounts": [{"row_id": FIRST}], "compulsory_savings_paise": PAISE, "savings_frequency": "WEEKLY"},
    {
        "accounts": [{"row_id": FIRST, "ended_on": "2026-11-02"}, {"row_id": SECOND}],
        "compulsory_savings_paise": 2 * PAISE,
        "savings_frequency": "MONTHLY",
    },
)
KEPT = ((1, None, 0, ""), (2, [[FIRST, None]], PAISE, "WEEKLY"), (3, [[FIRST, "2026-11-02"], [SECOND, None]], 2 * PAISE, "MONTHLY"))


@pytest.mark.parametrize("order", ORDERS)
def test_of_accounts_and_saving_the_newest_version_stands_whatever_the_order(connection, order):
    institution_id = uuid7()
    for heard, place in enumerate(order, 1):
        hear_institution(connection, institution_id, place + 1, **VERSIONS[place])
        assert terms(connection, institution_id) == KEPT[max(order[:heard])]


def test_an_account_or_a_saving_that_is_no_more_is_not_kept(connection):
    institution_id = uuid7()
    hear_institution(connection, institution_id, 1, **VERSIONS[1])
    hear_institution(connection, institution_id, 2)
    assert terms(connection, institution_id) == (2, None, 0, "")


def test_after_the_upgrade_a_restatement_fills_what_was_not_told_before(connection):
    connection.execute(text("set local search_path to pg_temp"))
    made = migrate.config(SERVICE, SERVICE)
    made.attributes["connection"] = connection
    command.upgrade(made, "transactions_0003")
    institution_id = uuid7()
    held = "insert into institutions (institution_id, kind, region, status, version) values (:institution_id, 'SHG', :region, 'ACTIVE', 7)"
    connection.execute(text(held), {"institution_id": institution_id, "region": VILLAGE})
    command.upgrade(made, "transactions_0006")
    hear_institution(connection, institution_id, 5, **VERSIONS[1])
    assert terms(connection, institution_id)[1:] == (None, 0, ""), "what is older stays out"
    for heard in (VERSIONS[2], VERSIONS[1]):
        hear_institution(connection, institution_id, 7, **heard)
        assert terms(connection, institution_id) == (7, *KEPT[2][1:])


@pytest.mark.parametrize("order", ORDERS)
def test_of_a_member_the_newest_version_stands_whatever_the_order(connection, order):
    """She was of one SHG, went to another, and died there: until that day she is of it, and from then on off its lists."""
    member_id, old, new = uuid7(), str(uuid7()), str(uuid7())
    stays = [{"institution_id": old, "region": VILLAGE, "to_on": "2026-08-31"}, {"institution_id": new, "region": VILLAGE, "to_on": "2026-11-09"}]
    stays[1]["from_on"] = "2026-08-31"
    told = (
        {"institution_id": old},
        {"institution_id": new, "ended_stays": stays[:1], "since_on": "2026-08-31"},
        {"institution_id": new, "ended_stays": stays, "status": "STATUS_INACTIVE"},
    )
    for place in order:
        hear_member(connection, member_id, place + 1, **told[place])
    her = connection.execute(select(members).where(members.c.member_id == member_id)).one()
    assert (her.version, str(her.institution_id), her.status, her.since_on) == (3, new, "INACTIVE", None)
    assert her.ended == [[old, "", "2026-08-31"], [new, "2026-08-31", "2026-11-09"]]
