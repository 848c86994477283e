"""Institutions submitted, approved, rejected."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects import postgresql

from services.chassis import audit, places, settings
from services.kernel import codes
from services.kernel.approval import Status, Step, move
from services.kernel.caller import Caller
from services.kernel.canonical import content_hash
from services.kernel.errors import Conflict
from services.profiles import queries
from services.profiles.commands.events import institution_changed, tell_all
from services.profiles.queries import AnyRow
from services.profiles.rules import institution as rules
from services.profiles.rules.review import must_not_be_maker
from services.profiles.rules.revision import Held, is_repeat, must_be_current, must_stay
from services.profiles.tables import institutions, serials


def lock_names(connection: Connection, block: str) -> None:
    """Names are given one at a time within a block, so that the same list sent twice at once makes one institution."""
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:block, 0))"), {"block": f"profiles names {block}"})


def columns(institution: rules.Institution) -> dict[str, Any]:
    """What the maker says, as the table keeps it."""
    return {
        "kind": institution.kind.value,
        "name": institution.name,
        "name_key": institution.name_key,
        "name_local": institution.name_local,
        "region": institution.region,
        "formed_on": institution.formed_on,
        "parent_id": institution.parent_id,
        "compulsory_savings_paise": institution.compulsory_savings_paise,
        "content_hash": content_hash(institution.content()),
    }


def content_of(row: AnyRow) -> rules.Institution:
    return rules.Institution(rules.Kind(row.kind), row.name, row.name_local, row.region, row.formed_on, row.parent_id, row.compulsory_savings_paise)


def submit(connection: Connection, caller: Caller, institution_id: UUID, revision: int, institution: rules.Institution, today: date) -> AnyRow:
    """Hand an institution to the checker; the row as it then stands."""
    places.geography().must_know(institution.region, today)
    lock_names(connection, institution.block)
    row = queries.institution_for_update(connection, institution_id)
    _must_be_hers(caller, institution, row)
    held = Held(Status(row.status), row.revision, content_of(row).content()) if row else None
    if is_repeat(held, revision, institution.content()):
        assert row is not None
        return row
    if held:
        must_stay(held.content, institution.content(), "kind", "region")
    _check_others(connection, institution_id, institution)
    values = columns(institution) | {
        "revision": revision,
        "status": Status.SUBMITTED.value,
        "remark": "",
        "maker_user": caller.user_id,
        "maker_person": caller.person,
    }
    changed = _store(connection, institution_id, values, row, today)
    if changed is None:  # Another call with the same id was quicker; what it stored is now to be compared with.
        return submit(connection, caller, institution_id, revision, institution, today)
    return _told(connection, caller, "institution.submit", changed)


def _store(connection: Connection, institution_id: UUID, values: dict[str, Any], held: AnyRow | None, today: date) -> AnyRow | None:
    """Insert or update it; None where it was to be new and is not any more."""
    if held is None:
        made = postgresql.insert(institutions).values(id=institution_id, version=1, entered_on=today, **values)
        return connection.execute(made.on_conflict_do_nothing(index_elements=["id"]).returning(institutions)).one_or_none()
    changed = update(institutions).where(institutions.c.id == institution_id).values(version=held.version + 1, **values)
    return connection.execute(changed.returning(institutions)).one()


def _must_be_hers(caller: Caller, institution: rules.Institution, held: AnyRow | None) -> None:
    """It must be mapped to her. What is new, or was made by her and is not mapped to her yet, must lie in her region and be of her own kind."""
    if held is None or (held.maker_user == caller.user_id and held.id not in caller.institutions):
        caller.must_see_region(institution.region if held is None else held.region)
        rules.check_maker(institution.kind, caller.role)
    else:
        caller.must_see(held.id, held.region)


def _check_others(connection: Connection, institution_id: UUID, institution: rules.Institution) -> None:
    parent = queries.institutions_among(connection, [institution.parent_id])[:1] if institution.parent_id else []
    rules.check_parent(institution, content_of(parent[0]) if parent else None)
    named = queries.institution_named(connection, institution.region, institution.kind, institution.name_key)
    if named not in {None, institution_id}:
        raise Conflict("NAME_TAKEN", "There is an institution of that kind and name in this place; tell them apart by a number.", field="name")


def approve(connection: Connection, caller: Caller, institution_id: UUID, revision: int, today: date) -> AnyRow:
    """Activate an institution and issue its code; again is the same answer."""
    row = queries.institution(connection, caller, institution_id, for_update=True)
    must_not_be_maker(caller, row.maker_user, row.maker_person)
    must_be_current(row.revision, revision)
    if row.status == Status.ACTIVE:
        return row
    status = move(Status(row.status), Step.APPROVE)
    rules.check_members(rules.Kind(row.kind), queries.member_counts(connection, institution_id))
    code = issue_code(connection, row.kind)
    return _decide(connection, caller, "institution.approve", institution_id, status=status.value, code=code, remark="", activated_on=today)


def reject(connection: Connection, caller: Caller, institution_id: UUID, revision: int, remark: str) -> AnyRow:
    """Hand an institution back to its maker; again with the same remark is the same answer."""
    remark = rules.check_remark(remark)
    row = queries.institution(connection, caller, institution_id, for_update=True)
    must_be_current(row.revision, revision)
    if (row.status, row.remark) == (Status.REJECTED, remark):
        return row
    status = move(Status(row.status), Step.REJECT)
    return _decide(connection, caller, "institution.reject", institution_id, status=status.value, remark=remark)


def issue_code(connection: Connection, kind: str) -> str:
    """The next code of MEMBER, SHG, VO or CLF in this state."""
    serial = connection.execute(select(serials[kind].next_value())).scalar_one()
    return codes.issue(codes.LETTERS[kind], settings.state_lgd(), serial)


def _decide(connection: Connection, caller: Caller, action: str, institution_id: UUID, **values: object) -> AnyRow:
    changed = connection.execute(
        update(institutions).where(institutions.c.id == institution_id).values(version=institutions.c.version + 1, **values).returning(institutions)
    ).one()
    return _told(connection, caller, action, changed)


def _told(connection: Connection, caller: Caller, action: str, row: AnyRow) -> AnyRow:
    audit.changed(connection, caller, action, row.id, revision=row.revision, status=row.status)
    tell_all(connection, [institution_changed(row)])
    return row
