"""Clusters on a real PostgreSQL: made, changed, and what whoever is in charge of them is bound by."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text

from services.chassis import audit, database
from services.identity import queries
from services.identity.commands import cluster, user
from services.identity.rules import cluster as rules
from services.identity.rules.user import Assignment, User
from services.identity.tables import sessions
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.kernel.geography import Geography, Place
from services.kernel.ids import uuid7
from services.kernel.region import NOWHERE

SERVICE = "identity"
TODAY = date(2026, 7, 1)
BLOCK = "9.178.1504"
GPS = [f"{BLOCK}.{number}" for number in range(1, 120)]
ELSEWHERE = "9.178.1505"
GEOGRAPHY = Geography(Place(path, path, "", date(1900, 1, 1)) for path in ("9", "9.178", BLOCK, *GPS, f"{GPS[0]}.11", ELSEWHERE, f"{ELSEWHERE}.7"))
ADMIN = Caller("IUP_BLOCK1", Role.BLOCK_ADMIN, BLOCK)


@pytest.fixture
def connection(connection):
    """Empty tables of its own in front of those that hold what flows have left there."""
    for table in ("clusters", "cluster_gps", "audit"):
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    return connection


def wanted(*gps, cluster_id=None, block=BLOCK, name="Purab"):
    return rules.check(cluster_id or uuid7(), block, name, gps, GEOGRAPHY, TODAY)


def audited(connection):
    return connection.execute(select(audit.audit.c.facts).where(audit.audit.c.action == "cluster.save").order_by(audit.audit.c.at)).scalars().all()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"block": "9.178"}, "REGION_LEVEL", "cluster.block"),
        ({"block": ""}, "REGION_LEVEL", "cluster.block"),
        ({"block": "9.178.9"}, "REGION_UNKNOWN", "cluster.block"),
        ({"block": "x"}, "REGION_INVALID", "cluster.block"),
        ({"name": " "}, "NAME_MISSING", "cluster.name"),
        ({"name": "<b>"}, "NAME_INVALID", "cluster.name"),
        ({"gps": [f"{BLOCK}.999"]}, "REGION_UNKNOWN", "cluster.gps"),
        ({"gps": [f"{ELSEWHERE}.7"]}, "CLUSTER_GP", "cluster.gps"),
        ({"gps": [BLOCK]}, "CLUSTER_GP", "cluster.gps"),
        ({"gps": [f"{GPS[0]}.11"]}, "CLUSTER_GP", "cluster.gps"),
        ({"gps": GPS[:101]}, "CLUSTER_TOO_LARGE", "cluster.gps"),
    ],
)
def test_a_cluster_that_cannot_be(changes, code, field):
    with pytest.raises(Invalid) as refused:
        wanted(*changes.pop("gps", ()), **changes)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_cluster_is_made_renamed_and_gps_go_in_and_out_of_it_each_on_record(connection):
    made = cluster.save(connection, ADMIN, wanted(GPS[0], GPS[1]))
    assert queries.clusters_of(connection, [made.cluster_id]) == queries.clusters_within(connection, BLOCK) == [made]
    assert cluster.save(connection, ADMIN, made) == made
    assert len(audited(connection)) == 1
    changed = cluster.save(connection, ADMIN, wanted(GPS[1], GPS[2], cluster_id=made.cluster_id, name="Pachchhim 2"))
    assert queries.clusters_within(connection, BLOCK) == [changed]
    assert audited(connection)[1] == {"block": BLOCK, "name": "Pachchhim 2", "added": [GPS[2]], "removed": [GPS[0]]}


def test_a_gp_is_in_one_cluster_at_most_and_the_refusal_names_the_other(connection):
    first = cluster.save(connection, ADMIN, wanted(GPS[0], name="Purab"))
    with pytest.raises(Conflict) as refused:
        cluster.save(connection, ADMIN, wanted(GPS[0], GPS[1], name="Dakkhin"))
    assert (refused.value.code, refused.value.params["name"], refused.value.params["gp"]) == ("GP_IN_OTHER_CLUSTER", "Purab", GPS[0])
    cluster.save(connection, ADMIN, wanted(cluster_id=first.cluster_id))
    cluster.save(connection, ADMIN, wanted(GPS[0], GPS[1], name="Dakkhin"))


def test_a_cluster_stays_in_its_block_and_belongs_to_whoever_sees_that(connection):
    first = cluster.save(connection, ADMIN, wanted(GPS[0]))
    district = Caller("IUP_D", Role.DISTRICT_ADMIN, "9.178")
    with pytest.raises(Conflict, match="stays in its block"):
        cluster.save(connection, district, wanted(f"{ELSEWHERE}.7", cluster_id=first.cluster_id, block=ELSEWHERE))
    with pytest.raises(Forbidden) as refused:
        cluster.save(connection, ADMIN, wanted(f"{ELSEWHERE}.7", block=ELSEWHERE))
    assert refused.value.code == "REGION_NOT_YOURS"


def test_whoever_is_in_charge_is_bound_by_the_gps_and_by_nothing_else_where_there_are_none(connection):
    full, other, empty = wanted(GPS[1], GPS[0]), wanted(GPS[2], name="Dakkhin"), wanted(name="Uttar")
    for one in (full, other, empty):
        cluster.save(connection, ADMIN, one)
    assert queries.cluster_gps(connection, []) == ()
    assert queries.cluster_gps(connection, [full.cluster_id, empty.cluster_id]) == (GPS[0], GPS[1])
    assert queries.cluster_gps(connection, [empty.cluster_id]) == (NOWHERE,)
    nobody = Caller("IUP_B", Role.BLOCK_PROGRAM_MANAGER, BLOCK, clusters=queries.cluster_gps(connection, [empty.cluster_id]))
    assert not any(nobody.sees_region(region) for region in ("", "9", BLOCK, *GPS))
    hers = Caller("IUP_B", Role.BLOCK_PROGRAM_MANAGER, BLOCK, clusters=queries.cluster_gps(connection, [full.cluster_id]))
    there = queries.clusters_within(connection, BLOCK)
    assert rules.seen(hers, there) == [full]
    assert rules.must_be_hers(hers, "") == rules.must_be_hers(hers, BLOCK) == BLOCK
    assert rules.seen(ADMIN, there) == [other, full, empty]


def test_of_two_clusters_that_take_a_gp_at_once_the_second_is_refused(up):
    block = f"9.178.{uuid7().int % 10**6}"
    geography = Geography(Place(path, path, "", date(1900, 1, 1)) for path in (block, f"{block}.1"))
    first, second = (rules.check(uuid7(), block, name, [f"{block}.1"], geography, TODAY) for name in ("Purab", "Dakkhin"))
    admin = Caller("IUP_BLOCK1", Role.BLOCK_ADMIN, block)
    answers = []

    def save_second():
        try:
            with database.transaction(SERVICE) as connection:
                answers.append(cluster.save(connection, admin, second))
        except Conflict as refused:
            answers.append(refused.code)

    with database.transaction(SERVICE) as connection:
        cluster.save(connection, admin, first)
        waiting = threading.Thread(target=save_second)
        waiting.start()
        waiting.join(0.5)
        assert answers == []
    waiting.join(30)
    assert answers == ["GP_IN_OTHER_CLUSTER"]


def test_whoever_is_in_charge_of_a_changed_cluster_goes_on_with_a_new_token(connection):
    one = wanted(GPS[1], GPS[0])
    cluster.save(connection, ADMIN, one)
    assert queries.in_charge_of(connection, one) == []
    manager = User(
        "IUP_BPM1", "Rekha Devi", "9876543210", (Assignment(Role.BLOCK_PROGRAM_MANAGER, BLOCK, cluster_ids=frozenset({one.cluster_id})),), TODAY
    )
    user.add(connection, ADMIN, manager, "")
    assert queries.in_charge_of(connection, one) == ["IUP_BPM1"]
    began = {"session_id": uuid7(), "user_id": "IUP_BPM1", "role": "BLOCK_PROGRAM_MANAGER", "device": b"", "generation": 0, "secret_hash": b""}
    began |= {"began_at": datetime.now(UTC), "ends_at": datetime.now(UTC) + timedelta(hours=1)}
    connection.execute(insert(sessions).values(began))
    cluster.save(connection, ADMIN, replace(one, gps=frozenset({GPS[1]})))
    assert connection.execute(select(sessions.c.generation).where(sessions.c.user_id == "IUP_BPM1")).scalar_one() == 1
