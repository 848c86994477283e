"""What keeps a query within a caller's sight, on a real PostgreSQL: which rows, and by which index."""

from uuid import UUID

import pytest
from sqlalchemy import select, text

from services.chassis.sight import in_sight
from services.kernel.caller import Caller, Role
from services.kernel.region import NOWHERE
from services.profiles.tables import institutions

SERVICE = "profiles"
CLF, VO, OTHER_VO, SHG, OTHER_SHG, FAR_SHG = (UUID(int=number) for number in range(1, 7))
BLOCK = "9.178.1504"
ROWS = [
    (CLF, None, BLOCK),
    (VO, CLF, f"{BLOCK}.1"),
    (OTHER_VO, CLF, f"{BLOCK}.2"),
    (SHG, VO, f"{BLOCK}.1.11"),
    (OTHER_SHG, OTHER_VO, f"{BLOCK}.2.21"),
    (FAR_SHG, None, f"{BLOCK}0.1.11"),  # Its block's code begins as the other's.
]
OFFICER = Caller("IUP_X", Role.BLOCK_PROGRAM_MANAGER, BLOCK)
IN_CHARGE = Caller("IUP_X", Role.BLOCK_PROGRAM_MANAGER, BLOCK, clusters=(f"{BLOCK}.1", f"{BLOCK}.3"))
ON_THE_VO_SIDE = Caller("IUP_X", Role.SHG_TRANS_APPROVER, BLOCK, frozenset({VO}))
ON_THE_CLF_SIDE = Caller("IUP_X", Role.VO_TRANS_APPROVER, BLOCK, frozenset({CLF}))


@pytest.fixture
def table(connection):
    """A table of its own in front of the service's: a state of strangers, and those that the tests are about."""
    connection.execute(text("create temporary table institutions (id uuid primary key, parent_id uuid, region text) on commit drop"))
    connection.execute(text("create index on institutions (parent_id)"))
    connection.execute(text("create index on institutions (region)"))
    a_region = "'9.' || n % 75 || '.' || n % 800 || '.5.' || n"
    strangers = f"insert into institutions select gen_random_uuid(), gen_random_uuid(), {a_region} from generate_series(1, 20000) n"
    connection.execute(text(strangers))
    for row in ROWS:
        connection.execute(text("insert into institutions values (:id, :parent, :region)"), dict(zip(("id", "parent", "region"), row, strict=True)))
    connection.execute(text("analyze institutions"))
    return connection


def asked(caller):
    return select(institutions.c.id).where(in_sight(caller, institutions.c.id, institutions.c.region, institutions))


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        (OFFICER, {CLF, VO, OTHER_VO, SHG, OTHER_SHG}),
        (IN_CHARGE, {VO, SHG}),
        (Caller("IUP_X", Role.BLOCK_PROGRAM_MANAGER, BLOCK, clusters=(NOWHERE,)), set()),
        (Caller("IUP_X", Role.SHG_BOOKKEEPER, BLOCK, frozenset({SHG})), {SHG}),
        (Caller("IUP_X", Role.CLF_BOOKKEEPER, BLOCK, frozenset({CLF})), {CLF}),
        (ON_THE_VO_SIDE, {VO, SHG}),
        (ON_THE_CLF_SIDE, {CLF, VO, OTHER_VO, SHG, OTHER_SHG}),
        (Caller("IUP_X", Role.SHG_TRANS_APPROVER, BLOCK), set()),
    ],
)
def test_each_sees_what_is_hers(table, caller, seen):
    assert set(table.execute(asked(caller)).scalars()) == seen


def test_the_nation_sees_all(table):
    assert len(table.execute(asked(Caller("IIN_X", Role.NATIONAL_PROGRAM_MANAGER))).all()) == 20_000 + len(ROWS)


@pytest.mark.parametrize("caller", [OFFICER, IN_CHARGE, ON_THE_VO_SIDE, ON_THE_CLF_SIDE])
def test_an_index_finds_what_is_hers(table, caller):
    statement = asked(caller).compile(table.engine, compile_kwargs={"render_postcompile": True})
    plan = "\n".join(table.exec_driver_sql(f"explain {statement}", statement.construct_params()).scalars())
    assert "Seq Scan" not in plan, plan
    one = asked(caller).where(institutions.c.id == SHG).compile(table.engine, compile_kwargs={"render_postcompile": True})
    plan = "\n".join(table.exec_driver_sql(f"explain {one}", one.construct_params()).scalars())
    assert "Seq Scan" not in plan, plan
