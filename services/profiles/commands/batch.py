"""Uploads: kept as they come, and carried out item by item, each together with the answer to it.

What she might do when she sent it counts, as it does for a call that is answered at once: a session that ends or an institution
that is given to another meanwhile takes nothing back, and no item becomes live without a checker.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql

from services.chassis import audit, database
from services.chassis.jobs import enqueue
from services.chassis.logs import describe
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, Exhausted, Invalid, Refused, Unavailable
from services.profiles.commands import institution, life, member
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.queries import uploads as queries
from services.profiles.rules import batch as rules
from services.profiles.rules.account import Branches
from services.profiles.rules.batch import ItemKind
from services.profiles.rules.evidence import Evidence
from services.profiles.tables import upload_items, uploads

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Item:
    """What was sent, as the commands read it; or why it could not be read."""

    kind: ItemKind
    record_id: str
    revision: int
    said: Mapping[str, Any]
    # An attestation lives for minutes, and the item may wait for longer: it is checked when it comes, and what it proved is kept.
    evidence: Evidence | Invalid | None = None
    refused: Refused | None = None


def take(connection: Connection, caller: Caller, upload_id: UUID, items: Sequence[Item], content_hash: bytes) -> None:
    """Keep an upload and have it carried out; one that was kept before stays as it is."""
    # Her uploads are counted one at a time.
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:user, 0))"), {"user": f"profiles uploads {caller.user_id}"})
    held = connection.execute(select(uploads).where(uploads.c.id == upload_id)).one_or_none()
    if held is not None:
        if (held.content_hash, held.user_id) != (content_hash, caller.user_id):
            raise _other_content()
        return
    rules.check_waiting(queries.waiting(connection, caller.user_id))
    now = datetime.now(UTC)
    values = {"id": upload_id, "content_hash": content_hash, "user_id": caller.user_id, "role": caller.role, "region": caller.region}
    values |= {"institutions": list(caller.institutions), "person": caller.person, "put_at": now}
    made = postgresql.insert(uploads).values(values).on_conflict_do_nothing().returning(uploads.c.id)
    if connection.execute(made).scalar_one_or_none() is None:  # Somebody else's, in the same moment.
        raise _other_content()
    turns = rules.turns([item.kind for item in items])
    connection.execute(insert(upload_items), [_row(upload_id, place, turns[place], item) for place, item in enumerate(items)])
    # A key of this very moment: one that was forgotten and comes once more is carried out once more.
    enqueue(connection, "carry_out_upload", f"{upload_id} {now.isoformat()}", {"upload_id": str(upload_id)})
    audit.changed(connection, caller, "profiles.upload", upload_id, items=len(items))


def _other_content() -> Conflict:
    return Conflict("UPLOAD_CONTENT", "This id was sent before with other items; give what is new an id of its own.", field="upload_id")


def _row(upload_id: UUID, place: int, turn: int, item: Item) -> dict[str, Any]:
    evidence = {"refusal": _kept(item.evidence)} if isinstance(item.evidence, Invalid) else _said(item.evidence)
    row = {"upload_id": upload_id, "place": place, "turn": turn, "kind": item.kind.value, "record_id": item.record_id, "revision": item.revision}
    if item.refused:
        return row | {"said": None, "evidence": None, "refusal": _kept(item.refused)}
    return row | {"said": dict(item.said), "evidence": evidence, "refusal": None}


def _said(evidence: Evidence | None) -> dict[str, Any] | None:
    return {name: part for name, part in asdict(evidence).items() if part} if evidence else None


def carry_out_next(connection: Connection, upload_id: UUID, today: date, branches: Branches | None = None) -> bool:
    """Carry out the next item of an upload and note its answer, both or neither; False where none is left."""
    upload = queries.for_update(connection, upload_id)
    if upload is None:
        return False
    item = queries.next_item(connection, upload_id)
    if item is None:
        connection.execute(update(uploads).where(uploads.c.id == upload_id).values(done_at=func.now()))
        return False
    answer: dict[str, Any]
    try:
        with connection.begin_nested():
            made = _submit(connection, _caller(connection, upload), item, today, branches)
    except Refused as refused:
        if isinstance(refused, Unavailable | Exhausted):  # No answer to the item: it is tried again.
            raise
        answer = {"refusal": _kept(refused)}
    except Exception as error:
        if database.is_away(error) or database.may_try_again(error):
            raise
        # Our bug: it holds up neither the other items nor her, who gets an answer.
        log.exception("an item of an upload failed", extra={"upload_id": str(upload_id), "place": item.place, "error": describe(error)})
        answer = {"refusal": _kept(Unavailable("ITEM_FAILED", "Something is wrong on our side, and has been noted; send this item again."))}
    else:
        answer = {"status": made.held.status.value}
    this = upload_items.c.upload_id == upload_id, upload_items.c.place == item.place
    connection.execute(update(upload_items).where(*this).values(said=None, evidence=None, **answer))
    return True


def _caller(connection: Connection, upload: AnyRow) -> Caller:
    """She as she was; whoever enters an institution may enter its members with it, though nobody has mapped it to her yet."""
    items = upload_items.c
    entered = items.upload_id == upload.id, items.kind == ItemKind.INSTITUTION, items.status.is_not(None)
    hers = connection.execute(select(items.record_id).where(*entered)).scalars()
    return Caller(upload.user_id, Role(upload.role), upload.region, frozenset([*upload.institutions, *map(UUID, hers)]), upload.person)


def _submit(connection: Connection, caller: Caller, item: AnyRow, today: date, branches: Branches | None) -> Subject:
    record_id, kind = UUID(item.record_id), ItemKind(item.kind)
    if kind is ItemKind.INSTITUTION:
        return institution.submit(connection, caller, record_id, item.revision, item.said, today, branches=branches, source="UPLOAD")
    if kind is ItemKind.MEMBER:
        evidence = _evidence(item.evidence)
        return member.submit(connection, caller, record_id, item.revision, item.said, evidence, today, branches=branches, source="UPLOAD")
    of = MEMBER if kind is ItemKind.MEMBER_EVENT else ""
    return life.submit(connection, caller, of, record_id, item.revision, item.said, today)


def _evidence(kept: Mapping[str, Any] | None) -> Evidence | Invalid | None:
    if kept and "refusal" in kept:
        said = kept["refusal"]
        return Invalid(said["code"], said["sentence"], field=said["field"], **said["params"])
    return Evidence(**kept) if kept else None


def _kept(refused: Refused) -> dict[str, Any]:
    """A refusal as it is kept, to be said in a sentence later."""
    params = {name: value if isinstance(value, int) else str(value) for name, value in refused.params.items()}
    return {"code": refused.code, "sentence": refused.sentence, "field": refused.field, "params": params}


def forget(connection: Connection, now: datetime) -> None:
    """Delete what devices have had the answers of long ago."""
    connection.execute(delete(uploads).where(uploads.c.put_at < now - KEPT))
