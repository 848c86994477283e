"""Reads people, candidates and screenings: one function a question."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, and_, case, func, literal, select, text, true, tuple_, union

from services.chassis import settings
from services.chassis.database import one_line
from services.chassis.sight import among, within
from services.dedup import rules
from services.dedup.rules import ARMS, Arm, Artefact, Clue, Match, Override, Person, Screening, Thresholds, Verdict, Yardstick, model
from services.dedup.rules import institution as group_rules
from services.dedup.rules.institution import Group, GroupMatch, GroupScreening, InCommon
from services.dedup.tables import (
    contested,
    institution_matches,
    institution_screenings,
    institutions,
    labels,
    matches,
    models,
    people,
    screenings,
    statuses,
)
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.kernel.month import IST, today
from services.kernel.region import NATION, Level, level


@cache
def _reader(columns: tuple[str, ...]) -> Callable[[Sequence[Any]], Person]:
    """Makes a Person of a row, whose columns stand as the table was built."""
    places = [columns.index(field.name) for field in fields(Person)]

    def read(row: Sequence[Any]) -> Person:
        *values, documents, status = (row[place] for place in places)
        return Person(*values, tuple(documents), Status(status))  # type: ignore[call-arg]  # As many as there are fields.

    return read


@dataclass(frozen=True, slots=True)
class Held:
    """A record that is compared, and the version of it that was heard."""

    person: Person
    version: int
    waiting: bool


_HELD = "select p.* from people p where member_id = any(%(member_ids)s) order by waiting"


def held(connection: Connection, member_ids: Collection[UUID]) -> dict[UUID, list[Held]]:
    """The records of these members that are compared: the live one, and behind it what waits; or the one there is."""
    answer = connection.exec_driver_sql(_HELD, {"member_ids": list(member_ids)})
    columns = tuple(answer.keys())
    read, version, waiting = _reader(columns), columns.index("version"), columns.index("waiting")
    found: dict[UUID, list[Held]] = {}
    for row in answer.all():
        person = read(row)
        found.setdefault(person.member_id, []).append(Held(person, row[version], row[waiting]))
    return found


def decided(connection: Connection, member_id: UUID) -> tuple[int, Status] | None:
    """The newest decision on a member: on which revision, and what."""
    row = connection.execute(select(statuses.c.revision, statuses.c.status).where(statuses.c.member_id == member_id)).one_or_none()
    return (row.revision, Status(row.status)) if row else None


# --- What records are measured by.


def yardstick(connection: Connection) -> Yardstick:
    """The newest model and what holds today."""
    return _yardstick(connection, connection.execute(select(func.max(models.c.id))).scalar())


def _yardstick(connection: Connection, newest: int | None) -> Yardstick:
    return Yardstick(_model(connection, newest) if newest else model.default(), thresholds(today()))


_read: dict[int, Artefact] = {}


def _model(connection: Connection, model_id: int) -> Artefact:
    """Read once; a process keeps the newest alone."""
    if model_id not in _read:
        content = connection.execute(select(models.c.content).where(models.c.id == model_id)).scalar_one()
        _read.clear()
        _read[model_id] = model.read(content, f"model {model_id}")
    return _read[model_id]


# --- Candidates: one statement, an arm each, and each arm bounded.


@dataclass(frozen=True, slots=True)
class Lookup:
    """An arm, and of one whose column holds many values, by which of hers."""

    arm: Arm
    number: int = 0

    def sql(self, place: int) -> str:
        """What the index leaves out is said again: only so may it be used."""
        arm = self.arm
        if arm.any_of:
            conditions = [f"{arm.columns[0]} @> array[%({arm.columns[0]}_{self.number})s]"]
        else:
            conditions = [f"{column} = %({column})s" for column in arm.columns]
        if arm.near_year:
            conditions.append("birth_year between %(year_from)s and %(year_to)s")
        return (
            f"(select {place} as arm, p.* from people p where {' and '.join(conditions)} and {arm.known}"  # noqa: S608 - our own names
            f" and member_id <> %(member_id)s and status <> 'REJECTED' limit {arm.most + 1})"
        )

    def without(self, one: Person) -> Person:
        """Her, without what too many share: it tells nobody apart. What more than one column says does by its parts."""
        if self.arm.any_of:
            return replace(one, documents=one.documents[: self.number] + one.documents[self.number + 1 :])
        empty: dict[str, Any] = {self.arm.columns[0]: ""} if len(self.arm.columns) == 1 else {}
        return replace(one, **empty)


@cache
def _statement(lookups: tuple[Lookup, ...]) -> str:
    return one_line(" union all ".join(lookup.sql(place) for place, lookup in enumerate(lookups)))


def asked_of(one: Person) -> tuple[tuple[Lookup, ...], str, dict[str, object]]:
    """The look-ups that can find anybody for her, their statement and its values."""
    lookups: list[Lookup] = []
    values: dict[str, object] = {"member_id": one.member_id}
    for arm in ARMS:
        if arm.any_of:
            lookups += [Lookup(arm, number) for number in range(len(one.documents))]
            values |= {f"{arm.columns[0]}_{number}": document for number, document in enumerate(one.documents)}
        elif arm.serves(one):
            lookups.append(Lookup(arm))
            values |= {column: getattr(one, column) for column in arm.columns}
    year = one.birth_year or 0
    values |= {"year_from": year - rules.BIRTH_YEARS_APART_MAX, "year_to": year + rules.BIRTH_YEARS_APART_MAX}
    return tuple(lookups), _statement(tuple(lookups)), values


def candidates(connection: Connection, one: Person) -> tuple[Person, list[Person]]:
    """Who may be she, as far as any arm finds; and she herself without a phone, an account or a document that too many share."""
    lookups, statement, values = asked_of(one)
    if not lookups:
        return one, []
    answer = connection.exec_driver_sql(statement, values)
    read = _reader(tuple(answer.keys()))
    by_lookup: list[list[Sequence[Any]]] = [[] for _ in lookups]
    for row in answer.all():
        by_lookup[row[0]].append(row)
    found: dict[tuple[UUID, int], Person] = {}
    for lookup, rows in reversed(list(zip(lookups, by_lookup, strict=True))):  # Of many values the last goes first: places hold.
        if len(rows) > lookup.arm.most and not lookup.arm.certain:
            one = lookup.without(one)
            continue
        for other in map(read, rows):
            found.setdefault((other.member_id, other.revision), other)
    return one, list(found.values())


# --- Screenings.


_MODEL_AND_CONTESTS = (
    "select (select max(id) from models), array(select other_id from contested where member_id = %(member_id)s and settled_at is null)"
)


def stands(connection: Connection, told: Screening) -> bool:
    """Whether screening her again would tell nothing new and open or settle no case."""
    mine = held(connection, [told.member_id])[told.member_id]
    newest_model, contests = connection.exec_driver_sql(_MODEL_AND_CONTESTS, {"member_id": told.member_id}).one()
    by = _yardstick(connection, newest_model)
    newest, live = mine[-1].person, mine[0].person
    if told.revision != newest.revision:
        return False
    if newest.status is Status.SUBMITTED and screen(connection, newest, by) != told:
        return False
    proofs = set(screen(connection, live, by).proofs) if live.status is Status.ACTIVE else set()
    return proofs == set(contests)


def screen(connection: Connection, one: Person, by: Yardstick) -> Screening:
    """Compare a record with all that are on the books, as of now."""
    return rules.screen(*candidates(connection, one), by)


def screening(connection: Connection, member_id: UUID, regions: Collection[str] = (NATION,)) -> tuple[Screening, int] | None:
    """The last screening that was told of a member, if she lies in one of these regions, and its version."""
    found = _told(connection, and_(screenings.c.member_id == member_id, within(screenings.c.region, regions)))
    return found[0] if found else None


_MATCH = [
    matches.c.finding_id,
    matches.c.other_id,
    matches.c.other_revision,
    matches.c.verdict.label("match_verdict"),
    matches.c.override,
    matches.c.weight_centibits,
    matches.c.clues,
]


def _match(row: RowMapping) -> Match:
    return Match(
        row["finding_id"],
        row["other_id"],
        row["other_revision"],
        Verdict(row["match_verdict"]),
        Override(row["override"]),
        row["weight_centibits"],
        tuple(Clue(*clue) for clue in row["clues"]),
    )


_TOLD = (
    select(screenings, *_MATCH)
    .outerjoin(matches, and_(matches.c.member_id == screenings.c.member_id, matches.c.version == screenings.c.version))
    .order_by(screenings.c.member_id)
)


def _told(connection: Connection, which: ColumnElement[bool]) -> list[tuple[Screening, int]]:
    """Screenings, each with its matches and its version, in one round trip."""
    found: list[tuple[Screening, int]] = []
    for _, of_one in groupby(connection.execute(_TOLD.where(which)).mappings(), lambda row: row["member_id"]):
        first, *more = of_one
        made = rules.gravest_first([_match(row) for row in (first, *more) if row["finding_id"] is not None])
        found.append((Screening(first["member_id"], first["revision"], first["region"], Verdict(first["verdict"]), made), first["version"]))
    return found


def concerned(connection: Connection, member_id: UUID) -> set[UUID]:
    """Whose screening or contested case names this member now."""
    current = and_(screenings.c.member_id == matches.c.member_id, screenings.c.version == matches.c.version)
    naming = select(matches.c.member_id).join(screenings, current).where(matches.c.other_id == member_id)
    contesting = select(contested.c.member_id).where(contested.c.other_id == member_id, contested.c.settled_at.is_(None))
    return set(connection.execute(union(naming, contesting)).scalars())


def screenings_after(connection: Connection, after: UUID | None, size: int) -> list[tuple[Screening, int]]:
    """All screenings, a page at a time, for a restatement."""
    page = select(screenings.c.member_id).order_by(screenings.c.member_id).limit(size)
    return _told(connection, screenings.c.member_id.in_(page.where(screenings.c.member_id > after) if after else page))


def members_after(connection: Connection, region: str, after: UUID | None, size: int) -> list[UUID]:
    """The members of a region, a page at a time, for screening them again."""
    query = select(people.c.member_id).distinct().where(within(people.c.region, [region])).order_by(people.c.member_id).limit(size)
    return list(connection.execute(query.where(people.c.member_id > after) if after else query).scalars())


def screening_in_sight(connection: Connection, caller: Caller, member_id: UUID) -> Screening:
    """The last screening of a member whom the caller sees: officers alone ask, whose sight is by region."""
    found = screening(connection, member_id, caller.regions)
    if found is None:
        raise NotFound("SCREENING_UNKNOWN", "No screening of this member is in your sight.", field="member_id")
    return found[0]


FLAGS = {
    "ALL": true(),
    "CONFIRMED": screenings.c.verdict == "CONFIRMED",
    "SUPERVISOR": screenings.c.supervisor,
    "FRAUD": screenings.c.fraud,
}


def flagged(connection: Connection, caller: Caller, after: UUID | None, size: int, kind: str = "ALL") -> list[Screening]:
    """The screenings in the caller's region that found something of a kind; a rejected record's is history."""
    page = (
        select(screenings.c.member_id)
        .join(people, and_(people.c.member_id == screenings.c.member_id, people.c.revision == screenings.c.revision))
        .where(FLAGS[kind], screenings.c.verdict != "CLEAR", people.c.status != Status.REJECTED, within(screenings.c.region, caller.regions))
        .order_by(screenings.c.member_id)
        .limit(size)
    )
    return [found for found, _ in _told(connection, screenings.c.member_id.in_(page.where(screenings.c.member_id > after) if after else page))]


def open_contests(connection: Connection, member_id: UUID) -> set[UUID]:
    """The records that contest an active member."""
    query = select(contested.c.other_id).where(contested.c.member_id == member_id, contested.c.settled_at.is_(None))
    return set(connection.execute(query).scalars())


# --- Contested cases.


def contest_version(connection: Connection, member_id: UUID) -> int:
    """What was last told of whether a member is contested; 0 where nothing was."""
    newest: int | None = connection.execute(select(func.max(contested.c.version)).where(contested.c.member_id == member_id)).scalar()
    return newest or 0


def contests_after(connection: Connection, after: UUID | None, size: int) -> list[tuple[UUID, bool, int]]:
    """Whoever was ever contested, whether she is, and the version of that, a page at a time, for a restatement."""
    query = select(contested.c.member_id, func.bool_or(contested.c.settled_at.is_(None)), func.max(contested.c.version))
    query = query.group_by(contested.c.member_id).order_by(contested.c.member_id).limit(size)
    return [(row[0], row[1], row[2]) for row in connection.execute(query.where(contested.c.member_id > after) if after else query)]


@dataclass(frozen=True, slots=True)
class Contest:
    """An active member and the record that proved to be the same woman."""

    member_id: UUID
    other_id: UUID
    since: datetime
    clues: tuple[Clue, ...]


def contests(connection: Connection, caller: Caller, after: tuple[UUID, UUID] | None, size: int) -> list[Contest]:
    """A page of the open cases of the caller's region."""
    key = (contested.c.member_id, contested.c.other_id)
    query = select(*key, contested.c.since, contested.c.clues).where(contested.c.settled_at.is_(None), within(contested.c.region, caller.regions))
    rows = connection.execute((query.where(tuple_(*key) > after) if after else query).order_by(*key).limit(size))
    return [Contest(row.member_id, row.other_id, row.since, tuple(Clue(*clue) for clue in row.clues)) for row in rows]


# --- Labels.


def labelled(connection: Connection, member_id: UUID, finding_ids: Collection[UUID]) -> dict[UUID, dict[str, object]]:
    """What is kept of each finding beside the decision on it: as it was last told, and where she lies."""
    region = connection.execute(select(people.c.region).where(people.c.member_id == member_id)).scalar() or ""
    unknown = {"region": region, "other_id": None, "verdict": None, "override": None, "weight_centibits": None, "codes": None}
    about: dict[UUID, dict[str, object]] = dict.fromkeys(finding_ids, unknown)
    kept = ("other_id", "verdict", "override", "weight_centibits")
    for row in connection.execute(select(matches).where(among(matches.c.finding_id, finding_ids))):
        about[row.finding_id] = {"region": region, **{name: getattr(row, name) for name in kept}, "codes": [clue[0] for clue in row.clues]}
    return about


@dataclass(frozen=True, slots=True)
class Counted:
    """How findings of one place, month and tier were decided."""

    month: str
    region: str
    verdict: str
    override: str
    band: str
    decided: int
    duplicates: int
    not_duplicates: int
    referred: int


def precision(connection: Connection, region: str, months: tuple[str, str], regions: Collection[str]) -> list[Counted]:
    """What was decided in these months, both included, in a region as far as it lies in `regions`; of a state district by district."""
    month = func.to_char(func.timezone("Asia/Kolkata", labels.c.decided_at), "YYYY-MM")
    district = func.concat(func.split_part(labels.c.region, ".", 1), ".", func.split_part(labels.c.region, ".", 2))
    place = district if level(region) <= Level.STATE else literal(region)
    bands = sorted(rules.BANDS.items(), key=lambda one: -one[1])
    band = case(*((labels.c.weight_centibits >= least, name) for name, least in bands), else_=rules.BAND_BELOW)
    key = [month.label("month"), place.label("region"), labels.c.verdict, labels.c.override, band.label("band")]
    said = labels.c.decision
    counts = [
        func.count().label("decided"),
        func.count().filter(said.in_(rules.DUPLICATE)).label("duplicates"),
        func.count().filter(said == rules.NOT_A_DUPLICATE).label("not_duplicates"),
        func.count().filter(said == rules.REFERRED).label("referred"),
    ]
    first, last = (date.fromisoformat(f"{one}-01") for one in months)
    began, ended = (datetime.combine(day, time(), IST) for day in (first, (last + timedelta(days=31)).replace(day=1)))
    these = (labels.c.decided_at >= began, labels.c.decided_at < ended, labels.c.verdict.is_not(None))
    query = select(*key, *counts).where(*these, within(labels.c.region, [region]), within(labels.c.region, regions))
    numbered = list(map(text, "12345"))
    return [Counted(**row) for row in connection.execute(query.group_by(*numbered).order_by(*numbered)).mappings()]


def labels_after(connection: Connection, after: UUID | None, size: int) -> Sequence[Row[Any]]:
    """All labels of findings that are known, a page at a time."""
    query = select(labels).where(labels.c.verdict.is_not(None)).order_by(labels.c.finding_id).limit(size)
    return connection.execute(query.where(labels.c.finding_id > after) if after else query).all()


# --- Thresholds.


def thresholds(on: date) -> Thresholds:
    """What the state has set for a day: a screening goes by the day on which it is made. It stands in the state's file, as all policies."""
    return rules.thresholds_of(settings.state().policies, on)


# --- Institutions.

_GROUP = [institutions.c[field.name] for field in fields(Group)]
_STAYS = people.c.status.not_in(sorted(group_rules.GONE))


def _group(row: RowMapping) -> Group:
    held = {field.name: row[field.name] for field in fields(Group)}
    return Group(**held | {"accounts": tuple(row["accounts"]), "status": Status(row["status"])})


def institution(connection: Connection, institution_id: UUID) -> tuple[Group, int] | None:
    """What is compared of an institution, and the version of it."""
    asked = select(institutions.c.version, *_GROUP).where(institutions.c.institution_id == institution_id)
    row = connection.execute(asked).mappings().one_or_none()
    return (_group(row), row["version"]) if row else None


def screen_institution(connection: Connection, one: Group) -> GroupScreening:
    """Compare an institution with all that are on the books, as of now."""
    common = in_common(connection, one.institution_id)
    return group_rules.screen(one, _alike(connection, one, common), common)


def _alike(connection: Connection, one: Group, common: Collection[UUID]) -> list[Group]:
    """What may be the same as it: a look-up each by account, by name and by members in common."""
    others = select(*_GROUP).where(
        institutions.c.kind == one.kind,
        institutions.c.institution_id != one.institution_id,
        institutions.c.status.not_in(sorted(group_rules.GONE)),
    )
    others = others.order_by(institutions.c.institution_id)
    arms = []
    if one.accounts:
        arms.append(others.where(institutions.c.accounts.overlap(list(one.accounts))).limit(group_rules.SAME_ACCOUNT_MOST))
    if one.place and one.name_key and one.formed_on:
        near = timedelta(days=group_rules.FORMED_DAYS_APART_MAX)
        named = others.where(institutions.c.place == one.place, institutions.c.name_key == one.name_key)
        formed = named.where(institutions.c.formed_on.between(one.formed_on - near, one.formed_on + near))
        arms.append(formed.limit(group_rules.SAME_NAME_MOST))
    if common:
        arms.append(others.where(among(institutions.c.institution_id, common)))
    found = [_group(row) for arm in arms for row in connection.execute(arm).mappings()]
    return list({each.institution_id: each for each in found}.values())


def in_common(connection: Connection, institution_id: UUID) -> dict[UUID, InCommon]:
    """The groups in which women of this one are members too, those of the most first, with how many."""
    hers = people.c.identity_token
    mine = select(hers).where(people.c.institution_id == institution_id, hers != "", _STAYS).distinct().order_by(hers)
    tokens = mine.limit(group_rules.MEMBERS_LOOKED_AT_MOST).subquery("mine")
    shared = func.count(hers.distinct())
    asked = (
        select(people.c.institution_id, shared)
        .join(tokens, hers == tokens.c.identity_token)
        .where(people.c.institution_id != institution_id, _STAYS)
        .group_by(people.c.institution_id)
        .order_by(shared.desc(), people.c.institution_id)
        .limit(group_rules.COMMON_MOST)
    )
    found: dict[UUID, int] = {row[0]: row[1] for row in connection.execute(asked)}
    if not found:
        return {}
    heads = func.count(people.c.member_id.distinct())
    counted = select(people.c.institution_id, heads).where(among(people.c.institution_id, [institution_id, *found]), _STAYS)
    sizes: dict[UUID, int] = {row[0]: row[1] for row in connection.execute(counted.group_by(people.c.institution_id))}
    return {other: InCommon(number, sizes[institution_id], sizes[other]) for other, number in found.items()}


def groups_of(connection: Connection, member_id: UUID) -> set[UUID]:
    """The group that a member is in; empty where nothing of her was heard."""
    return set(connection.execute(select(people.c.institution_id).where(people.c.member_id == member_id)).scalars())


def institution_screening(connection: Connection, institution_id: UUID) -> tuple[GroupScreening, int] | None:
    """The last screening that was told of an institution, and its version."""
    asked = select(institution_screenings).where(institution_screenings.c.institution_id == institution_id)
    found = _with_group_matches(connection, connection.execute(asked).mappings().all())
    return found[0] if found else None


def _with_group_matches(connection: Connection, rows: Sequence[RowMapping]) -> list[tuple[GroupScreening, int]]:
    if not rows:
        return []
    of: dict[UUID, list[GroupMatch]] = {row["institution_id"]: [] for row in rows}
    for row in connection.execute(select(institution_matches).where(among(institution_matches.c.institution_id, of))):
        made = GroupMatch(row.finding_id, row.other_id, row.other_revision, Verdict(row.verdict), tuple(Clue(*clue) for clue in row.clues))
        of[row.institution_id].append(made)
    return [
        (
            GroupScreening(row["institution_id"], row["revision"], Verdict(row["verdict"]), group_rules.gravest_first(of[row["institution_id"]])),
            row["version"],
        )
        for row in rows
    ]


def institutions_naming(connection: Connection, institution_ids: Collection[UUID]) -> set[UUID]:
    """Whose screening names one of these, or is named by theirs."""
    naming = select(institution_matches.c.institution_id).where(among(institution_matches.c.other_id, institution_ids))
    named = select(institution_matches.c.other_id).where(among(institution_matches.c.institution_id, institution_ids))
    return set(connection.execute(union(naming, named)).scalars())


def institution_screenings_after(connection: Connection, after: UUID | None, size: int) -> list[tuple[GroupScreening, int]]:
    """All screenings of institutions, a page at a time, for a restatement."""
    query = select(institution_screenings).order_by(institution_screenings.c.institution_id).limit(size)
    rows = connection.execute(query.where(institution_screenings.c.institution_id > after) if after else query).mappings().all()
    return _with_group_matches(connection, rows)


def institutions_after(connection: Connection, region: str, after: UUID | None, size: int) -> list[UUID]:
    """The institutions of a region, a page at a time, for screening them again."""
    query = select(institutions.c.institution_id).where(within(institutions.c.region, [region])).order_by(institutions.c.institution_id).limit(size)
    return list(connection.execute(query.where(institutions.c.institution_id > after) if after else query).scalars())
