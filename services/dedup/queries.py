"""Reads people, candidates and screenings: one function a question."""

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Connection, RowMapping, and_, bindparam, literal, select, tuple_, union, union_all
from sqlalchemy.sql.elements import ColumnElement

from services.chassis.sight import within
from services.dedup import rules
from services.dedup.rules import ARMS, Arm, Clue, Match, Override, Person, Screening, Verdict
from services.dedup.tables import contested, matches, people, screenings, statuses
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.kernel.region import NATION

_PERSON = [people.c[field.name] for field in fields(Person)]


def _person(row: RowMapping) -> Person:
    return Person(**{field.name: row[field.name] for field in fields(Person) if field.name != "status"}, status=Status(row["status"]))


def person(connection: Connection, member_id: UUID) -> tuple[Person, int] | None:
    """What is compared of a member, and the version of it."""
    row = connection.execute(select(people.c.version, *_PERSON).where(people.c.member_id == member_id)).mappings().one_or_none()
    return (_person(row), row["version"]) if row else None


def decided(connection: Connection, member_id: UUID) -> tuple[int, Status] | None:
    """The newest decision on a member: on which revision, and what."""
    row = connection.execute(select(statuses.c.revision, statuses.c.status).where(statuses.c.member_id == member_id)).one_or_none()
    return (row.revision, Status(row.status)) if row else None


# --- Candidates: one statement, an arm each, and each arm bounded.


def _arm_select(arm: Arm) -> Any:  # noqa: ANN401 - a Select of columns by name
    conditions: list[ColumnElement[bool]] = [people.c[column] == bindparam(column) for column in arm.columns]
    if arm.near_year:
        conditions.append(people.c.birth_year.between(bindparam("year_from"), bindparam("year_to")))
    conditions += [people.c.member_id != bindparam("member_id"), people.c.status != Status.REJECTED]
    return select(literal(arm.name).label("arm"), *_PERSON).where(and_(*conditions)).limit(arm.most + 1)


@cache
def _arms(serving: tuple[Arm, ...]) -> CompoundSelect[Any]:
    return union_all(*map(_arm_select, serving))


def candidates(connection: Connection, one: Person) -> tuple[Person, list[Person]]:
    """Who may be she, as far as any arm finds; and she herself without a phone or account that too many share."""
    serving = tuple(arm for arm in ARMS if arm.serves(one))
    if not serving:
        return one, []
    values: dict[str, object] = {column: getattr(one, column) for arm in serving for column in arm.columns}
    year = one.birth_year or 0
    values |= {"member_id": one.member_id, "year_from": year - rules.BIRTH_YEARS_APART_MAX, "year_to": year + rules.BIRTH_YEARS_APART_MAX}
    rows = connection.execute(_arms(serving), values).mappings().all()
    found: dict[UUID, Person] = {}
    crowded = set()
    for arm in serving:
        of_arm = [row for row in rows if row["arm"] == arm.name]
        if len(of_arm) <= arm.most or arm.certain:
            found |= {row["member_id"]: _person(row) for row in of_arm}
        else:
            crowded.add(arm.columns)
    one = replace(one, mobile="" if ("mobile",) in crowded else one.mobile, account="" if ("account",) in crowded else one.account)
    return one, list(found.values())


# --- Screenings.


def screen(connection: Connection, one: Person) -> Screening:
    """Compare a record with all that are on the books, as of now."""
    return rules.screen(*candidates(connection, one))


def screening(connection: Connection, member_id: UUID, regions: Collection[str] = (NATION,)) -> tuple[Screening, int] | None:
    """The last screening that was told of a member, if she lies in one of these regions, and its version."""
    asked = select(screenings).where(screenings.c.member_id == member_id, within(screenings.c.region, regions))
    found = _with_matches(connection, connection.execute(asked).mappings().all())
    return found[0] if found else None


def _with_matches(connection: Connection, rows: Sequence[RowMapping]) -> list[tuple[Screening, int]]:
    if not rows:
        return []
    current = [(row["member_id"], row["version"]) for row in rows]
    by_member: dict[UUID, list[Match]] = {}
    for row in connection.execute(select(matches).where(tuple_(matches.c.member_id, matches.c.version).in_(current))):
        made = Match(
            row.finding_id,
            row.other_id,
            row.other_revision,
            Verdict(row.verdict),
            Override(row.override),
            row.weight_centibits,
            tuple(Clue(*clue) for clue in row.clues),
        )
        by_member.setdefault(row.member_id, []).append(made)
    return [
        (
            Screening(
                row["member_id"],
                row["revision"],
                row["region"],
                Verdict(row["verdict"]),
                rules.gravest_first(by_member.get(row["member_id"], [])),
            ),
            row["version"],
        )
        for row in rows
    ]


def concerned(connection: Connection, member_id: UUID) -> set[UUID]:
    """Whose screening or contested case names this member now."""
    current = and_(screenings.c.member_id == matches.c.member_id, screenings.c.version == matches.c.version)
    naming = select(matches.c.member_id).join(screenings, current).where(matches.c.other_id == member_id)
    contesting = select(contested.c.member_id).where(contested.c.other_id == member_id, contested.c.settled_at.is_(None))
    return set(connection.execute(union(naming, contesting)).scalars())


def screenings_after(connection: Connection, after: UUID | None, size: int) -> list[tuple[Screening, int]]:
    """All screenings, a page at a time, for a restatement."""
    query = select(screenings).order_by(screenings.c.member_id).limit(size)
    return _with_matches(connection, connection.execute(query.where(screenings.c.member_id > after) if after else query).mappings().all())


def members_after(connection: Connection, region: str, after: UUID | None, size: int) -> list[UUID]:
    """The members of a region, a page at a time, for screening them again."""
    query = select(people.c.member_id).where(within(people.c.region, [region])).order_by(people.c.member_id).limit(size)
    return list(connection.execute(query.where(people.c.member_id > after) if after else query).scalars())


def screening_in_sight(connection: Connection, caller: Caller, member_id: UUID) -> Screening:
    """The last screening of a member whom the caller sees: officers alone ask, whose sight is by region."""
    found = screening(connection, member_id, caller.regions)
    if found is None:
        raise NotFound("SCREENING_UNKNOWN", "No screening of this member is in your sight.", field="member_id")
    return found[0]


def flagged(connection: Connection, caller: Caller, after: UUID | None, size: int) -> list[Screening]:
    """The screenings in the caller's region that found something; a rejected record's is history."""
    query = (
        select(screenings)
        .join(people, people.c.member_id == screenings.c.member_id)
        .where(screenings.c.verdict != "CLEAR", people.c.status != Status.REJECTED, within(screenings.c.region, caller.regions))
        .order_by(screenings.c.member_id)
        .limit(size)
    )
    rows = connection.execute(query.where(screenings.c.member_id > after) if after else query).mappings().all()
    return [found for found, _ in _with_matches(connection, rows)]


def open_contests(connection: Connection, member_id: UUID) -> set[UUID]:
    """The records that contest an active member."""
    query = select(contested.c.other_id).where(contested.c.member_id == member_id, contested.c.settled_at.is_(None))
    return set(connection.execute(query).scalars())
