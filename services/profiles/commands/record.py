"""What members and institutions share: something is handed in, waits, and is let in or handed back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import settings
from services.kernel import codes
from services.kernel.approval import Act, Status
from services.kernel.caller import Caller
from services.kernel.region import Level, at_level
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules.form import Held
from services.profiles.tables import history, serials, submissions


def issue_code(connection: Connection, kind: str) -> str:
    """The next code of MEMBER, SHG, VO or CLF in this state."""
    serial = connection.execute(select(serials[kind].next_value())).scalar_one()
    return codes.issue(codes.LETTERS[kind], settings.state_lgd(), serial)


def first(record_id: UUID, source: str, today: date) -> dict[str, Any]:
    """What every record begins with."""
    return {"id": record_id, "version": 1, "revision": 0, "source": source, "entered_on": today}


def new(connection: Connection, table: Table, record_id: UUID, source: str, today: date, **values: object) -> AnyRow | None:
    """A record that nobody has let in yet, unless `values` say otherwise; None where the id was to be new and is not any more."""
    made = postgresql.insert(table).values(first(record_id, source, today) | values)
    return connection.execute(made.on_conflict_do_nothing(index_elements=["id"]).returning(table)).one_or_none()


def change(connection: Connection, table: Table, row: AnyRow, **values: object) -> AnyRow:
    """The record with these values, at its next version; `row` is locked."""
    return connection.execute(update(table).where(table.c.id == row.id).values(version=row.version + 1, **values).returning(table)).one()


def place(institution_id: UUID, region: str) -> dict[str, Any]:
    """Where a submission stands: whose task it is."""
    return {"institution_id": institution_id, **place_at(region)}


def place_at(region: str) -> dict[str, Any]:
    return {"region": region, "block": at_level(region, Level.BLOCK), "gp": at_level(region, Level.GP)}


def waiting_row(record_id: UUID, kind: str, institution_id: UUID, region: str, content: Held) -> dict[str, Any]:
    """What every submission says of its record."""
    return {"record_id": record_id, "kind": kind, "content": content, **place(institution_id, region)}


def draft(caller: Caller, said: Mapping[str, Any]) -> dict[str, Any]:
    """The submission of a record that a list has made: nobody has handed it in yet."""
    maker = {"maker_user": caller.user_id, "maker_person": caller.person}
    draft_of = {"act": Act.PROFILE.value, "revision": 0, "status": Status.DRAFT.value, "open_questions": True}
    return {**said, **draft_of, **maker, "submitted_at": datetime.now(UTC)}


def hand_in(
    connection: Connection,
    caller: Caller,
    before: Subject | None,
    said: Mapping[str, Any],
    *,
    act: Act,
    revision: int,
    open_questions: bool,
    **more: object,
) -> AnyRow:
    """It waits for the checker, in place of what waited before. `said` is a `waiting_row`, `more` is what a member has besides."""
    waited = before.waiting if before else None
    same = waited if waited is not None and waited.act == act else None
    values = dict(said) | {
        "act": act.value,
        "revision": revision,
        "status": Status.SUBMITTED.value,
        "previous": _seen_before(before, same) if act is Act.PROFILE else None,
        "reviews": same.reviews if same is not None else {},
        "returns": same.returns if same is not None else 0,
        "reasons": [],
        "remark": "",
        "maker_user": caller.user_id,
        "maker_person": caller.person,
        "submitted_at": func.now(),
        "open_questions": open_questions,
        "for_supervisor": False,
        **more,
    }
    made = postgresql.insert(submissions).values(values)
    stored = made.on_conflict_do_update(index_elements=["record_id"], set_={name: made.excluded[name] for name in values if name != "record_id"})
    return connection.execute(stored.returning(submissions)).one()


def _seen_before(before: Subject | None, same: AnyRow | None) -> Held | None:
    """What the checker has seen of it: what she handed back, else what is live."""
    if same is not None and same.revision:
        return dict(same.content)
    return before.row.content if before else None


def let_in(connection: Connection, caller: Caller, subject: Subject) -> None:
    """It waits no more. What it replaces is kept: of a profile what was live before, of an act of life what it said."""
    waiting = subject.waiting
    assert waiting is not None
    connection.execute(delete(submissions).where(submissions.c.record_id == waiting.record_id))
    kept = (subject.row.content or {}) if waiting.act == Act.PROFILE else waiting.content
    note_approval(connection, caller, waiting, waiting.record_id, waiting.revision, Act(waiting.act), kept)


def note_approval(connection: Connection, caller: Caller, waiting: AnyRow, record_id: UUID, revision: int, act: Act, kept: Held) -> None:
    """Who handed in what waited, and who let it in: that is how the record came to this revision."""
    past = {"record_id": record_id, "revision": revision, "act": act.value, "content": kept}
    who = {"maker_user": waiting.maker_user, "released_by": waiting.released_by, "decided_by": caller.user_id}
    connection.execute(insert(history).values(past | who))


def withdraw(connection: Connection, table: Table, subject: Subject, **values: object) -> Subject:
    """Nobody waits for it any more; what it said stays, to be handed in again."""
    withdrawn = {"status": Status.WITHDRAWN.value}
    waiting = connection.execute(update(submissions).where(submissions.c.record_id == subject.row.id).values(withdrawn).returning(submissions)).one()
    return Subject(subject.kind, change(connection, table, subject.row, **withdrawn, **values), waiting)


def hand_back(connection: Connection, subject: Subject, reviews: Mapping[str, Any], reasons: Sequence[str], remark: str) -> AnyRow:
    """It is her maker's again, who is where the record is, wherever it waited."""
    assert subject.waiting is not None
    own_id = subject.row.institution_id if subject.kind == MEMBER else subject.row.id
    values = place(own_id, subject.row.region) | {"released_by": "", "released_person": ""}
    values |= {"status": Status.REJECTED.value, "reviews": dict(reviews), "returns": submissions.c.returns + 1}
    values |= {"reasons": list(reasons), "remark": remark}
    return connection.execute(update(submissions).where(submissions.c.record_id == subject.row.id).values(values).returning(submissions)).one()
