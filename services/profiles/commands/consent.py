"""What a member withdraws is forgotten here: what was verified of her, her photograph; and no message is told for her."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql

from protos.identity_pb2 import ConsentRenewed, ConsentWithdrawn
from services.chassis.sight import among
from services.profiles import queries
from services.profiles.commands import record
from services.profiles.commands.events import as_checked, member_changed, member_submitted, tell_all
from services.profiles.commands.evidence import columns, verified_of
from services.profiles.queries import MEMBER, Subject
from services.profiles.rules.image import names_of_images
from services.profiles.tables import history, image_uses, images, members, submissions, withdrawals

AADHAAR, ONLINE, PHOTO = "AADHAAR_", "AADHAAR_ONLINE", "PHOTO"


def withdrawn(connection: Connection, version: int, told: ConsentWithdrawn) -> None:
    """Forget what rested on these consents, and only that: she may have consented anew since. What comes later is measured by what is noted."""
    member_id, at, ended = UUID(told.member_id), told.withdrawn_at.ToDatetime(UTC), [UUID(one) for one in told.consent_ids]
    queries.hold_withdrawals(connection, member_id)
    _note(connection, member_id, told.purpose, version, stands=True, withdrawn_at=at, consent_ids=ended)
    subject = queries.member_for_update(connection, member_id)
    if subject is None:  # Nobody has handed her in yet.
        return
    if told.purpose.startswith(AADHAAR):
        _forget_evidence(connection, subject, told.purpose, ended)
    elif told.purpose == PHOTO:
        _forget_photo(connection, subject, at)


def renewed(connection: Connection, version: int, told: ConsentRenewed) -> None:
    member_id = UUID(told.member_id)
    queries.hold_withdrawals(connection, member_id)
    _note(connection, member_id, told.purpose, version, stands=False)


def _note(
    connection: Connection,
    member_id: UUID,
    purpose: str,
    version: int,
    *,
    stands: bool,
    withdrawn_at: datetime | None = None,
    consent_ids: Sequence[UUID] = (),
) -> None:
    """The newest word counts, whichever is heard last; every consent that ended stays ended."""
    key = {"member_id": member_id, "purpose": purpose}
    made = postgresql.insert(withdrawals).values(**key, version=version, stands=stands, withdrawn_at=withdrawn_at, consent_ids=list(consent_ids))
    kept, new = withdrawals.c, made.excluded
    again = {
        "stands": case((new.version > kept.version, new.stands), else_=kept.stands),
        "version": func.greatest(kept.version, new.version),
        "withdrawn_at": func.greatest(kept.withdrawn_at, new.withdrawn_at),
        "consent_ids": kept.consent_ids.op("||")(new.consent_ids),
    }
    connection.execute(made.on_conflict_do_update(index_elements=list(key), set_=again))


def _forget_evidence(connection: Connection, subject: Subject, purpose: str, ended: Sequence[UUID]) -> None:
    """Live and waiting; the duplicate check forgets with it."""
    row, waiting = subject.row, subject.waiting
    # What was verified before consents were recorded was online.
    held = [verified_of(one) for one in (row, waiting)]
    live, waits = left = [one.without(set(map(str, ended)), unrecorded=purpose == ONLINE) for one in held]
    if left == held:
        return
    if waiting is not None:
        of_her = submissions.c.record_id == row.id
        kept = columns(waiting.content, waits)
        waiting = connection.execute(update(submissions).where(of_her).values(kept).returning(submissions)).one()
    kept = columns(row.content or {}, live)
    made = Subject(MEMBER, record.change(connection, members, row, submitted_version=row.version + 1, **kept), waiting)
    withdrawn = {
        "identity_withdrawn": any(before.online != after.online for before, after in zip(held, left, strict=True)),
        "papers_withdrawn": any(before.paper != after.paper for before, after in zip(held, left, strict=True)),
    }
    checked = as_checked(made)
    tell_all(connection, [*([member_submitted(checked, **withdrawn)] if checked else []), member_changed(connection, made)])


def _forget_photo(connection: Connection, subject: Subject, at: datetime) -> None:
    """Out of all that was ever handed in of her; the store erases it in its next round. What was put after she withdrew is another photograph."""
    record_id, waiting = subject.row.id, subject.waiting
    past = connection.execute(select(history.c.revision, history.c.content).where(history.c.record_id == record_id)).all()
    contents = [subject.row.content, *((waiting.content, waiting.previous) if waiting is not None else ()), *(one.content for one in past)]
    photos = {UUID(one["photo"]["image_id"]) for one in contents if one and one.get("photo")}
    newer = select(images.c.id).where(among(images.c.id, photos), images.c.put_at > at)
    gone = photos - set(connection.scalars(newer))
    if not gone:
        return

    def without(content: Mapping[str, Any]) -> dict[str, Any]:
        goes = content.get("photo") and UUID(content["photo"]["image_id"]) in gone
        return {name: said for name, said in content.items() if not goes or name != "photo"}

    if subject.row.content:
        connection.execute(update(members).where(members.c.id == record_id).values(content=without(subject.row.content)))
    if waiting is not None:
        of_her = submissions.c.record_id == record_id
        connection.execute(update(submissions).where(of_her).values(content=without(waiting.content)))
        if waiting.previous:
            connection.execute(update(submissions).where(of_her).values(previous=without(waiting.previous)))
    for one in past:
        this = history.c.record_id == record_id, history.c.revision == one.revision
        connection.execute(update(history).where(*this).values(content=without(one.content)))
    named = [names_of_images(without(content)) for content in contents if content]
    _erase_images(connection, record_id, gone - set[UUID]().union(*named))


def _erase_images(connection: Connection, record_id: UUID, gone: set[UUID]) -> None:
    """The job that erases finds them at once, unless another record names the same picture."""
    connection.execute(delete(image_uses).where(image_uses.c.record_id == record_id, among(image_uses.c.image_id, gone)))
    unnamed = ~exists().where(image_uses.c.image_id == images.c.id)
    over = {"erasing_at": func.now(), "loose_since": func.coalesce(images.c.loose_since, func.now())}
    connection.execute(update(images).where(among(images.c.id, gone), unnamed, images.c.erasing_at.is_(None)).values(over))
