"""Reads institutions and members, bounded by what the caller may see."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Date, Row, Select, Table, Text, and_, case, exists, func, literal, or_, select, union
from sqlalchemy.dialects.postgresql import ARRAY

from services.chassis import sight
from services.chassis.sight import among, within
from services.kernel.approval import IN_BOOKS, LIVE, Act, Status
from services.kernel.caller import Caller
from services.kernel.canonical import Content
from services.kernel.codes import LETTERS
from services.kernel.errors import NotFound
from services.kernel.region import Level, at_level
from services.profiles.rules import revision
from services.profiles.rules.account import Outcome
from services.profiles.rules.form import day_of
from services.profiles.rules.institution import Kind
from services.profiles.rules.review import Decision, unknown_finding
from services.profiles.tables import (
    account_checks,
    finding_decisions,
    findings,
    history,
    image_uses,
    images,
    institution_findings,
    institutions,
    mappings,
    members,
    memberships,
    submissions,
    withdrawals,
)

AnyRow = Row[Any]
MEMBER = "MEMBER"


def in_sight(caller: Caller, institution_id: ColumnElement[UUID], region: ColumnElement[str]) -> ColumnElement[bool]:
    return sight.in_sight(caller, institution_id, region, institutions)


def unknown_institution() -> NotFound:
    return NotFound("INSTITUTION_UNKNOWN", "There is no such institution among yours.", field="institution_id")


def unknown_member() -> NotFound:
    return NotFound("MEMBER_UNKNOWN", "There is no such member among yours.", field="member_id")


@dataclass(frozen=True, slots=True)
class Subject:
    """A record, and what waits of it for a checker or came back from her."""

    kind: str  # MEMBER, SHG, VO, CLF
    row: AnyRow
    waiting: AnyRow | None

    @property
    def live(self) -> Status | None:
        """The status of a record that a checker has let in."""
        status = Status(self.row.status)
        return status if status in LIVE else None

    @property
    def content(self) -> dict[str, Content]:
        """What is live; of a record that is not, what was handed in or listed."""
        if self.row.content is not None:
            return dict(self.row.content)
        assert self.waiting is not None  # A record is live or waits.
        return dict(self.waiting.content)

    @property
    def profile(self) -> AnyRow:
        """The row that speaks of the profile: what waits of it, else what is live; an act of life that waits says nothing of it."""
        return self.waiting if self.waiting is not None and self.waiting.act == Act.PROFILE else self.row

    @property
    def held(self) -> revision.Held:
        """What was handed in last."""
        if self.waiting is None:
            return revision.Held(Status(self.row.status), self.row.revision, Act.PROFILE, dict(self.row.content))
        return revision.Held(Status(self.waiting.status), self.waiting.revision, Act(self.waiting.act), dict(self.waiting.content))

    def handed_in_by(self, caller: Caller) -> bool:
        """Whether what waits is hers."""
        return self.waiting is not None and self.waiting.maker_user == caller.user_id


def _subject(connection: Connection, kind: str, row: AnyRow) -> Subject:
    return Subject(kind, row, submission(connection, row.id))


def submission(connection: Connection, record_id: UUID) -> AnyRow | None:
    """What waits of a record. Whoever changes it holds the record's own row."""
    return connection.execute(select(submissions).where(submissions.c.record_id == record_id)).one_or_none()


def hold_withdrawals(connection: Connection, member_id: UUID) -> None:
    """Lock what a member withdrew, be she handed in already or not; before her record."""
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"profiles withdrawals {member_id}", 0))))


def withdrawn(connection: Connection, member_id: UUID) -> dict[str, AnyRow]:
    """What she withdrew, by purpose."""
    return {row.purpose: row for row in connection.execute(select(withdrawals).where(withdrawals.c.member_id == member_id))}


def put_at(connection: Connection, image_id: UUID) -> datetime | None:
    """When an image was last put; of one that is being erased the first time, since nobody can put it again."""
    last = func.greatest(images.c.put_at, case((images.c.erasing_at.is_(None), images.c.loose_since)))
    return connection.execute(select(last).where(images.c.id == image_id)).scalar_one_or_none()


def submissions_of(connection: Connection, rows: Collection[AnyRow]) -> dict[UUID, AnyRow]:
    if not rows:
        return {}
    found = connection.execute(select(submissions).where(among(submissions.c.record_id, [row.id for row in rows])))
    return {row.record_id: row for row in found}


def subjects(connection: Connection, rows: Collection[AnyRow], kind: str = "") -> list[Subject]:
    """These records, with what waits of each."""
    waiting = submissions_of(connection, rows)
    return [Subject(kind or row.kind, row, waiting.get(row.id)) for row in rows]


def institution(connection: Connection, caller: Caller, institution_id: UUID, *, for_update: bool = False) -> Subject:
    row = _seen(connection, caller, institutions, institutions.c.id, institution_id, for_update=for_update)
    if row is None:
        raise unknown_institution()
    return _subject(connection, row.kind, row)


def member(connection: Connection, caller: Caller, member_id: UUID, *, for_update: bool = False) -> Subject:
    row = _seen(connection, caller, members, members.c.institution_id, member_id, for_update=for_update)
    if row is None:
        raise unknown_member()
    return _subject(connection, MEMBER, row)


def _seen(
    connection: Connection, caller: Caller, table: Table, institution_id: ColumnElement[UUID], record_id: UUID, *, for_update: bool
) -> AnyRow | None:
    """A record in her sight, or one that waits for her: a member who moves to an SHG of hers is not yet in it."""
    comes = select(submissions.c.record_id).where(
        submissions.c.record_id == record_id,
        submissions.c.status == Status.SUBMITTED,
        in_sight(caller, submissions.c.institution_id, submissions.c.region),
    )
    asked = select(table).where(table.c.id == record_id, or_(in_sight(caller, institution_id, table.c.region), table.c.id.in_(comes)))
    return connection.execute(asked.with_for_update(of=table) if for_update else asked).one_or_none()


def institutions_page(
    connection: Connection, caller: Caller, region: str = "", *, status: str | None, kind: str | None, after: UUID | None, size: int
) -> list[Subject]:
    """By id, which is by the time of making; only those after `after`, and where a region is named those in it."""
    asked = select(institutions).where(in_sight(caller, institutions.c.id, institutions.c.region))
    if region:
        asked = asked.where(within(institutions.c.region, [region]))
    if kind:
        asked = asked.where(institutions.c.kind == kind)
    return subjects(connection, _page(connection, asked, institutions.c.id, institutions.c.status, status, after, size))


def members_page(
    connection: Connection, caller: Caller, *, institution_id: UUID | None, status: str | None, after: UUID | None, size: int
) -> list[Subject]:
    asked = select(members).where(in_sight(caller, members.c.institution_id, members.c.region))
    if institution_id:
        asked = asked.where(members.c.institution_id == institution_id)
    return subjects(connection, _page(connection, asked, members.c.id, members.c.status, status, after, size), MEMBER)


def _page(
    connection: Connection,
    asked: Select[Any],
    id_column: ColumnElement[UUID],
    status_column: ColumnElement[str],
    status: str | None,
    after: UUID | None,
    size: int,
) -> list[AnyRow]:
    if status:
        asked = asked.where(status_column == status)
    if after:
        asked = asked.where(id_column > after)
    return list(connection.execute(asked.order_by(id_column).limit(size)).all())


def findings_of(connection: Connection, found: Collection[Subject]) -> dict[UUID, list[AnyRow]]:
    """The findings of what these members handed in last, the weightiest first."""
    revisions = {subject.row.id: subject.profile.revision for subject in found}
    of: dict[UUID, list[AnyRow]] = {member_id: [] for member_id in revisions}
    if not of:
        return of
    asked = select(findings).where(among(findings.c.member_id, of))
    for finding in connection.execute(asked.order_by(findings.c.weight_centibits.desc(), findings.c.finding_id)):
        if finding.member_revision == revisions[finding.member_id] and not finding.gone:
            of[finding.member_id].append(finding)
    return of


@dataclass(frozen=True, slots=True)
class Pair:
    """A member in sight, and the record that a finding of hers names, wherever that lies."""

    member: Subject
    other: Subject
    finding: AnyRow


def pair(connection: Connection, caller: Caller, member_id: UUID, finding_id: str) -> Pair:
    hers = member(connection, caller, member_id)
    named = next((one for one in findings_of(connection, [hers])[member_id] if one.finding_id == finding_id), None)
    if named is None:
        raise unknown_finding("finding_id")
    other = member_anywhere(connection, named.other_member_id)
    if other is None:
        raise unknown_member()
    return Pair(hers, other, named)


def member_anywhere(connection: Connection, member_id: UUID) -> Subject | None:
    """Whoever asks: for what concerns two records, of which she sees one."""
    row = connection.execute(select(members).where(members.c.id == member_id)).one_or_none()
    return _subject(connection, MEMBER, row) if row else None


def goes_on_as(connection: Connection, member_id: UUID, finding_ids: Collection[str]) -> list[UUID]:
    """The records that these findings of hers name, and those by which it was decided before that she goes on."""
    which = or_(findings.c.finding_id.in_(finding_ids), findings.c.decision == Decision.DUPLICATE_TRANSFER)
    return list(connection.scalars(select(findings.c.other_member_id).where(findings.c.member_id == member_id, which)))


def _past_decisions(connection: Connection, *which: ColumnElement[bool]) -> list[AnyRow]:
    """Decisions as they were made, the oldest first, with whom each finding names."""
    key = "member_id", "member_revision", "finding_id"
    asked = select(finding_decisions, findings.c.other_member_id).join(findings, and_(*(finding_decisions.c[one] == findings.c[one] for one in key)))
    return list(connection.execute(asked.where(*which).order_by(finding_decisions.c.decided_at, finding_decisions.c.finding_id)))


def decisions_of(connection: Connection, member_id: UUID) -> list[AnyRow]:
    return _past_decisions(connection, finding_decisions.c.member_id == member_id)


def decisions_on(connection: Connection, one: UUID, other: UUID) -> list[AnyRow]:
    """Of these two, from either side."""
    sides = [and_(findings.c.member_id == her, findings.c.other_member_id == named) for her, named in ((one, other), (other, one))]
    return _past_decisions(connection, or_(*sides))


def merged_into(connection: Connection, member_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The records that were handed back or ended for one of these."""
    if not member_ids:
        return {}
    of: dict[UUID, list[UUID]] = {}
    asked = select(members.c.merged_into, members.c.id).where(among(members.c.merged_into, member_ids)).order_by(members.c.id)
    for row in connection.execute(asked):
        of.setdefault(row.merged_into, []).append(row.id)
    return of


def maker_of(connection: Connection, record_id: UUID, revision_number: int) -> str:
    """Who handed in a revision that was approved; empty of what the old MIS brought."""
    asked = select(history.c.maker_user).where(history.c.record_id == record_id, history.c.revision == revision_number)
    return connection.execute(asked).scalar_one_or_none() or ""


def institution_findings_of(connection: Connection, found: Collection[Subject]) -> dict[UUID, list[AnyRow]]:
    """The findings of what was handed in last of these institutions, the gravest first."""
    revisions = {subject.row.id: subject.profile.revision for subject in found}
    of: dict[UUID, list[AnyRow]] = {institution_id: [] for institution_id in revisions}
    if not of:
        return of
    asked = select(institution_findings).where(among(institution_findings.c.institution_id, of))
    for finding in connection.execute(asked.order_by(institution_findings.c.verdict, institution_findings.c.finding_id)):  # CONFIRMED, POTENTIAL
        if finding.revision == revisions[finding.institution_id]:
            of[finding.institution_id].append(finding)
    return of


# What a maker's commands read: locked, and not yet bounded; they refuse in the rules' words.


def institution_for_update(connection: Connection, institution_id: UUID) -> Subject | None:
    row = connection.execute(select(institutions).where(institutions.c.id == institution_id).with_for_update()).one_or_none()
    return _subject(connection, row.kind, row) if row else None


def live_content(connection: Connection, member_id: UUID) -> dict[str, Content]:
    """A member's, whoever asks; empty where nothing of her is live."""
    return dict(connection.execute(select(members.c.content).where(members.c.id == member_id)).scalar_one_or_none() or {})


def code_of(connection: Connection, institution_id: UUID) -> str:
    """Empty where it was given none yet."""
    return connection.execute(select(institutions.c.code).where(institutions.c.id == institution_id)).scalar_one_or_none() or ""


def region_of(connection: Connection, institution_id: UUID) -> str:
    """Empty where there is no such institution yet."""
    return connection.execute(select(institutions.c.region).where(institutions.c.id == institution_id)).scalar_one_or_none() or ""


def institution_held(connection: Connection, institution_id: UUID) -> Subject | None:
    """Held so that it cannot be decided while one of its members is being submitted."""
    row = connection.execute(select(institutions).where(institutions.c.id == institution_id).with_for_update(read=True)).one_or_none()
    return _subject(connection, row.kind, row) if row else None


def member_for_update(connection: Connection, member_id: UUID) -> Subject | None:
    row = connection.execute(select(members).where(members.c.id == member_id).with_for_update()).one_or_none()
    return _subject(connection, MEMBER, row) if row else None


def institution_named(connection: Connection, region: str, kind: str, name_key: str) -> UUID | None:
    named = and_(institutions.c.region == region, institutions.c.kind == kind, institutions.c.name_key == name_key)
    return connection.execute(select(institutions.c.id).where(named)).scalar_one_or_none()


def institutions_within(connection: Connection, regions: Collection[str]) -> list[AnyRow]:
    return list(connection.execute(select(institutions).where(within(institutions.c.region, regions)).order_by(institutions.c.id)).all())


def institutions_among(connection: Connection, ids: Collection[UUID]) -> list[Subject]:
    return subjects(connection, connection.execute(select(institutions).where(among(institutions.c.id, ids))).all())


def not_live(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these institutions no checker has let in."""
    asked = select(institutions.c.id).where(among(institutions.c.id, ids), institutions.c.status.not_in(sorted(LIVE)))
    return set(connection.scalars(asked)) if ids else set()


def above(connection: Connection, institution_id: UUID) -> list[Subject]:
    """The federation that it belongs to, and the one over that."""
    one, parent = institutions.alias(), institutions.alias()
    parents = select(one.c.parent_id).where(one.c.id == institution_id)
    grandparents = select(parent.c.parent_id).join(one, one.c.parent_id == parent.c.id).where(one.c.id == institution_id)
    return subjects(connection, connection.execute(select(institutions).where(institutions.c.id.in_(parents.union(grandparents)))).all())


def live_children(connection: Connection, institution_id: UUID) -> list[Subject]:
    """The institutions that belong to a federation and are not closed."""
    asked = select(institutions).where(institutions.c.parent_id == institution_id, institutions.c.status.in_(sorted(IN_BOOKS)))
    return subjects(connection, connection.execute(asked.order_by(institutions.c.id)).all())


def all_members(connection: Connection, institution_id: UUID) -> list[Subject]:
    asked = select(members).where(members.c.institution_id == institution_id).order_by(members.c.id)
    return subjects(connection, connection.execute(asked).all(), MEMBER)


def active_under(connection: Connection, member_ids: Collection[UUID]) -> dict[str, set[str]]:
    """Of these members the active ones: herself, her SHG, its VO and the CLF over that."""
    shg, vo = institutions.alias(), institutions.alias()
    asked = (
        select(members.c.id, members.c.institution_id, shg.c.parent_id, vo.c.parent_id.label("clf_id"))
        .join(shg, shg.c.id == members.c.institution_id)
        .outerjoin(vo, vo.c.id == shg.c.parent_id)
        .where(among(members.c.id, member_ids), members.c.status == Status.ACTIVE)
    )
    return {str(row.id): {str(one) for one in row if one} for row in connection.execute(asked)}


def last_stays(connection: Connection, member_ids: Collection[UUID]) -> dict[UUID, AnyRow]:
    """Where each of these members was before, if anywhere."""
    asked = select(memberships).where(among(memberships.c.member_id, member_ids)).order_by(memberships.c.to_on)
    return {row.member_id: row for row in connection.execute(asked)}  # The last one stays.


def was_in(connection: Connection, member_id: UUID, institution_id: UUID) -> bool:
    asked = exists().where(memberships.c.member_id == member_id, memberships.c.institution_id == institution_id)
    return bool(connection.execute(select(asked)).scalar_one())


def was_under(connection: Connection, institution_id: UUID, parent_id: UUID) -> bool:
    asked = exists().where(mappings.c.child_id == institution_id, mappings.c.parent_id == parent_id, mappings.c.to_on.is_not(None))
    return bool(connection.execute(select(asked)).scalar_one())


def ended_stays(connection: Connection, member_ids: Collection[UUID]) -> dict[UUID, list[AnyRow]]:
    """All stays of these members that ended, the oldest first, each with the region in which that institution lies now."""
    if not member_ids:
        return {}
    asked = select(memberships, institutions.c.region).join(institutions, institutions.c.id == memberships.c.institution_id)
    return _grouped(connection, asked.where(among(memberships.c.member_id, member_ids)).order_by(memberships.c.to_on))


def ends_and_returns(connection: Connection, institution_ids: Collection[UUID]) -> dict[UUID, list[AnyRow]]:
    """Each approved act by which one of these institutions ended or began again, with its day, the oldest first."""
    if not institution_ids:
        return {}
    acts = history.c.act.in_([Act.CLOSE, Act.MERGE, Act.REVIVE])
    asked = select(history.c.record_id, history.c.act, history.c.content["on"].astext.cast(Date).label("on")).where(acts)
    return _grouped(connection, asked.where(among(history.c.record_id, institution_ids)).order_by(history.c.revision))


def _grouped(connection: Connection, asked: Select[Any]) -> dict[UUID, list[AnyRow]]:
    """Rows by whom they are of, which their first column says."""
    of: dict[UUID, list[AnyRow]] = {}
    for row in connection.execute(asked):
        of.setdefault(row[0], []).append(row)
    return of


@dataclass(frozen=True, slots=True)
class Stay:
    """Where a record belonged; `to_on` is None where it does still."""

    institution_id: UUID
    from_on: date
    to_on: date | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """What was approved of a record, and where it belonged, the oldest first."""

    acts: list[AnyRow]
    stays: list[Stay]
    decisions: Sequence[AnyRow] = ()


def record(connection: Connection, caller: Caller, record_id: UUID) -> Subject:
    """A member or an institution in her sight."""
    row = _seen(connection, caller, members, members.c.institution_id, record_id, for_update=False)
    if row is not None:
        return _subject(connection, MEMBER, row)
    row = _seen(connection, caller, institutions, institutions.c.id, record_id, for_update=False)
    if row is None:
        raise NotFound("RECORD_UNKNOWN", "There is no such member or institution among yours.", field="record_id")
    return _subject(connection, row.kind, row)


def by_code(connection: Connection, caller: Caller, code: str) -> Subject:
    """The record of that code, if it is in her sight."""
    table = members if code.startswith(LETTERS[MEMBER]) else institutions
    record_id = connection.execute(select(table.c.id).where(table.c.code == code)).scalar()
    try:
        if record_id is not None:
            return record(connection, caller, record_id)
    except NotFound:
        pass
    raise NotFound("DIGITAL_ID_UNKNOWN", "There is no such id among yours.", field="scanned")


def code_of_member(connection: Connection, member_id: UUID) -> str:
    return connection.execute(select(members.c.code).where(members.c.id == member_id)).scalar() or ""


def life_of(connection: Connection, caller: Caller, record_id: UUID) -> Life:
    """Of a member or an institution in her sight."""
    found = record(connection, caller, record_id)
    acts = connection.execute(select(history).where(history.c.record_id == record_id).order_by(history.c.revision)).all()
    if found.kind == MEMBER:
        return Life(list(acts), stays(connection, found.row), decisions_of(connection, record_id))
    mapped = connection.execute(select(mappings).where(mappings.c.child_id == record_id).order_by(mappings.c.from_on))
    return Life(list(acts), [Stay(one.parent_id, one.from_on, one.to_on) for one in mapped])


def stays(connection: Connection, member: AnyRow) -> list[Stay]:
    """Where she was, and where she is."""
    past = connection.execute(select(memberships).where(memberships.c.member_id == member.id).order_by(memberships.c.to_on)).all()
    found = [Stay(one.institution_id, one.from_on, one.to_on, one.reason) for one in past]
    if Status(member.status) in IN_BOOKS:
        [own] = institutions_among(connection, [member.institution_id])
        formed_on = day_of(own.content, "formed_on")
        assert formed_on is not None  # Without it there is no institution.
        found.append(Stay(member.institution_id, since(member, past[-1] if past else None, formed_on), None))
    return found


def since(member: AnyRow, last: AnyRow | None, formed_on: date) -> date:
    """Since when a live member is in her SHG; of one whom the old MIS brought it may not be known better than since when there is that.

    `last` is her last stay anywhere.
    """
    came_on: date = (last.back_on if last is not None else None) or day_of(member.content, "joined_on") or formed_on
    return came_on


def act_of(connection: Connection, record_id: UUID, revision_number: int) -> AnyRow | None:
    """The act of life that a revision was, once it was approved."""
    found = history.c.record_id == record_id, history.c.revision == revision_number, history.c.act != Act.PROFILE
    return connection.execute(select(history).where(*found)).one_or_none()


def members_listed_as(connection: Connection, keys: Collection[UUID]) -> dict[UUID, UUID]:
    """The members that rows of a list have made already: the row's key to her id."""
    asked = select(members.c.listed_as, members.c.id).where(among(members.c.listed_as, keys))
    return {row.listed_as: row.id for row in connection.execute(asked)}


def member_counts(connection: Connection, institution_id: UUID) -> dict[Status, int]:
    asked = select(members.c.status, func.count()).where(members.c.institution_id == institution_id).group_by(members.c.status)
    return {Status(status): count for status, count in connection.execute(asked)}


def active_counts(connection: Connection, institution_ids: Collection[UUID]) -> dict[UUID, int]:
    asked = select(members.c.institution_id, func.count().label("active")).where(
        among(members.c.institution_id, institution_ids), members.c.status == Status.ACTIVE
    )
    return {row.institution_id: row.active for row in connection.execute(asked.group_by(members.c.institution_id))}


def members_by_block(connection: Connection) -> Iterator[tuple[str, UUID, int, bool]]:
    """Block, id, version, and whether she is active, of every member, streamed."""
    asked = select(members.c.region, members.c.id, members.c.version, members.c.status == Status.ACTIVE)
    for region, member_id, version, active in connection.execute(asked, execution_options={"yield_per": 5000}):
        yield at_level(region, Level.BLOCK), member_id, version, active


def institutions_by_region(connection: Connection) -> dict[str, int]:
    """How many institutions sit at each path."""
    asked = select(institutions.c.region, func.count().label("here")).group_by(institutions.c.region).order_by(institutions.c.region)
    return {row.region: row.here for row in connection.execute(asked)}


def institutions_at(connection: Connection, region: str) -> list[UUID]:
    asked = select(institutions.c.id).where(institutions.c.region == region).order_by(institutions.c.id)
    return list(connection.execute(asked).scalars())


def areas(connection: Connection) -> set[str]:
    """Every place that a federation serves, or will by what waits of it."""
    contents = (institutions.c.content, submissions.c.content, submissions.c.previous)
    asked = union(*(select(func.jsonb_array_elements_text(one["area"])).where(one.has_key("area")) for one in contents))
    return set(connection.execute(asked).scalars())


def federations_serving(connection: Connection, paths: Collection[str], after: UUID | None = None, most: int | None = None) -> list[AnyRow]:
    """Those that serve one of these places, or will by what waits of them, by id, and locked."""

    def serves(content: ColumnElement[Any]) -> ColumnElement[bool]:
        named: ColumnElement[bool] = content["area"].has_any(literal(list(paths), ARRAY(Text)))
        return named

    kinds = (Kind.VO.value, Kind.CLF.value)
    waits = or_(serves(submissions.c.content), serves(submissions.c.previous))
    waiting = select(submissions.c.record_id).where(submissions.c.kind.in_(kinds), waits)
    asked = select(institutions).where(institutions.c.kind.in_(kinds), or_(serves(institutions.c.content), institutions.c.id.in_(waiting)))
    asked = asked.where(institutions.c.id > after) if after else asked
    return list(connection.execute(asked.order_by(institutions.c.id).limit(most).with_for_update()))


def institutions_after(connection: Connection, after: UUID | None, size: int) -> list[Subject]:
    """All institutions by id, a page at a time, for a restatement."""
    return subjects(connection, _page(connection, select(institutions), institutions.c.id, institutions.c.status, None, after, size))


def members_after(connection: Connection, after: UUID | None, size: int) -> list[Subject]:
    return subjects(connection, _page(connection, select(members), members.c.id, members.c.status, None, after, size), MEMBER)


# Bank accounts and images.

# A record, one of its rows, IFSC and account number: the account as it was handed in.
AccountKey = tuple[UUID, str, str, str]


def checks_of(connection: Connection, record_ids: Collection[UUID]) -> dict[AccountKey, AnyRow]:
    """What the bank said of these records' accounts."""
    asked = connection.execute(select(account_checks).where(among(account_checks.c.record_id, record_ids)))
    return {(row.record_id, row.row_id, row.ifsc, row.account_number): row for row in asked}


def check_at(connection: Connection, check_id: UUID, attempt: int) -> AnyRow | None:
    """A check that waits for this very attempt."""
    waits = and_(account_checks.c.check_id == check_id, account_checks.c.attempts == attempt, account_checks.c.next_at.is_not(None))
    return connection.execute(select(account_checks).where(waits)).one_or_none()


# The bank gave no answer, and is not asked for one by itself any more.
UNANSWERED = and_(account_checks.c.outcome == Outcome.UNKNOWN.value, account_checks.c.next_at.is_(None))


def unanswered(connection: Connection) -> int:
    """How many checks the bank gave no answer to."""
    return connection.execute(select(func.count()).select_from(account_checks).where(UNANSWERED)).scalar_one()


def _sees_record(caller: Caller, record_id: ColumnElement[UUID] | UUID) -> ColumnElement[bool]:
    """Whether she sees the member or the institution of that id."""
    member_seen = exists().where(members.c.id == record_id, in_sight(caller, members.c.institution_id, members.c.region))
    return or_(member_seen, exists().where(institutions.c.id == record_id, in_sight(caller, institutions.c.id, institutions.c.region)))


def check_in_sight(connection: Connection, caller: Caller, record_id: UUID, row_id: str) -> AnyRow:
    """The check of the account that a row of a record last said, locked."""
    asked = select(account_checks).where(account_checks.c.record_id == record_id, account_checks.c.row_id == row_id, _sees_record(caller, record_id))
    row = connection.execute(asked.order_by(account_checks.c.handed_in_at.desc()).limit(1).with_for_update()).one_or_none()
    if row is None:
        raise NotFound("ACCOUNT_UNKNOWN", "There is no such account among those of your members and institutions.", field="row_id")
    return row


def unknown_image(field: str) -> NotFound:
    return NotFound("IMAGE_UNKNOWN", "There is no such image; put it first, for the institution whose profile names it.", field=field)


def image(connection: Connection, caller: Caller, image_id: UUID) -> AnyRow:
    """An image that a record in her sight names; or that none names yet, put for an institution in her sight or by herself."""
    named = exists().where(image_uses.c.image_id == images.c.id, _sees_record(caller, image_uses.c.record_id))
    hers = or_(images.c.put_by == caller.user_id, in_sight(caller, images.c.institution_id, images.c.region))
    there = and_(images.c.id == image_id, images.c.stored_at.is_not(None), images.c.erasing_at.is_(None))
    row = connection.execute(select(images).where(there, or_(named, and_(images.c.loose_since.is_not(None), hers)))).one_or_none()
    if row is None:
        raise unknown_image("image_id")
    return row


def records_that_name(connection: Connection, image_id: UUID) -> list[UUID]:
    return list(connection.scalars(select(image_uses.c.record_id).where(image_uses.c.image_id == image_id)))
