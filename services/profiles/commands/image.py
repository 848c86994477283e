"""Images put, named by records, and erased where none names them. Their bytes go to the store and come from it before and after, never here."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql

from services.chassis import audit
from services.chassis.sight import among
from services.kernel.approval import Act
from services.kernel.caller import Caller
from services.kernel.canonical import Content
from services.kernel.errors import Exhausted, Invalid
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.queries import AnyRow
from services.profiles.rules import image as rules
from services.profiles.rules.image import Found, Named
from services.profiles.tables import image_uses, images

ERASED_AT_ONCE_MAX = 100


def begin(connection: Connection, caller: Caller, institution_id: UUID, found: Found, now: datetime) -> UUID:
    """The id under which an image is to be stored now: the one that the same bytes for the same institution have already."""
    values = {
        "id": uuid7(),
        "institution_id": institution_id,
        "region": _region(connection, caller, institution_id),
        "media_type": found.media_type,
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "put_by": caller.user_id,
        "put_at": now,
        "loose_since": now,
    }
    made = postgresql.insert(images).values(values)
    # Put again is as good as put now, so that it is not erased under whoever is about to name it.
    again = {"loose_since": case((images.c.loose_since.is_not(None), now))}
    kept = made.on_conflict_do_update(index_elements=["institution_id", "sha256"], index_where=images.c.erasing_at.is_(None), set_=again)
    row = connection.execute(kept.returning(images.c.id)).one()
    loose = select(func.count()).where(images.c.put_by == caller.user_id, images.c.loose_since.is_not(None))
    if row.id == values["id"] and connection.execute(loose).scalar_one() > rules.LOOSE_MAX:
        raise Exhausted("IMAGES_TOO_MANY", "{most} images of yours are in no profile yet; send the profiles first.", most=rules.LOOSE_MAX)
    image_id: UUID = row.id
    return image_id


def _region(connection: Connection, caller: Caller, institution_id: UUID) -> str:
    """The institution's; it must be hers. One that is not there yet is about to be made in her own region, as is one that she has just made."""
    held = queries.institutions_among(connection, [institution_id])
    if not held:
        return caller.region
    region: str = held[0].row.region
    if held[0].handed_in_by(caller):
        caller.must_see_region(region, "institution_id")
    else:
        caller.must_see(institution_id, region)
    return region


def finish(connection: Connection, caller: Caller, image_id: UUID, key_id: str, now: datetime) -> AnyRow:
    """The store has it, sealed under that key."""
    stored = update(images).where(images.c.id == image_id).values(stored_at=now, key_id=key_id).returning(images)
    row = connection.execute(stored).one()
    audit.changed(connection, caller, "image.put", image_id, row.institution_id, size_bytes=row.size_bytes)
    return row


def name_images(connection: Connection, record_id: UUID, institution_id: UUID, contents: Sequence[dict[str, Content]]) -> None:
    """Note which images a record names in all of its contents, the live one and what waits; the first that it may not name is refused.

    To be called whenever a content of the record comes, changes or goes, in that transaction. It may name images that were put for
    its institution, and those that it named before, which come along when it moves to another.
    """
    named: dict[UUID, Named] = {}
    for content in contents:
        named = rules.names_of_images(content) | named
    before = set(connection.scalars(select(image_uses.c.image_id).where(image_uses.c.record_id == record_id)))
    if not named and not before:
        return
    # Locked in one order; what is being erased meanwhile is seen as such after the wait.
    locked = select(images).where(among(images.c.id, {*named, *before})).order_by(images.c.id).with_for_update()
    held = {row.id: row for row in connection.execute(locked)}
    for image_id, one in named.items():
        _must_be_there(held.get(image_id), one, institution_id, is_named=image_id in before)
    _use(connection, record_id, named.keys() - before)
    _let_go(connection, record_id, before - named.keys())


def let_go_of_split(connection: Connection, waited: AnyRow | None) -> None:
    """What waited is replaced: of a split, what was to come out of it names no images any more."""
    if waited is not None and waited.act == Act.SPLIT:
        new_id = UUID(waited.content["new_institution"]["institution_id"])
        if not queries.institutions_among(connection, [new_id]):  # Of one that has come about otherwise, its own profile says.
            name_images(connection, new_id, new_id, [])


def _must_be_there(row: AnyRow | None, named: Named, institution_id: UUID, *, is_named: bool) -> None:
    if row is None or row.stored_at is None or row.erasing_at is not None or not (is_named or row.institution_id == institution_id):
        raise queries.unknown_image(named.field)
    if not rules.is_said_right(named.said, Found(row.media_type, row.size_bytes, row.sha256)):
        raise Invalid("IMAGE_DIFFERS", "This image is of another type, size or hash; say what PutImage answered.", field=named.field)


def _use(connection: Connection, record_id: UUID, image_ids: Collection[UUID]) -> None:
    if image_ids:
        rows: list[dict[str, Any]] = [{"image_id": image_id, "record_id": record_id} for image_id in image_ids]
        connection.execute(postgresql.insert(image_uses).values(rows).on_conflict_do_nothing())
        connection.execute(update(images).where(among(images.c.id, image_ids)).values(loose_since=None))


def _let_go(connection: Connection, record_id: UUID, image_ids: Collection[UUID]) -> None:
    if image_ids:
        connection.execute(delete(image_uses).where(image_uses.c.record_id == record_id, among(image_uses.c.image_id, image_ids)))
        unnamed = ~exists().where(image_uses.c.image_id == images.c.id)
        connection.execute(update(images).where(among(images.c.id, image_ids), unnamed).values(loose_since=func.now()))


def to_erase(connection: Connection, now: datetime) -> list[UUID]:
    """Images that no record has named for long, some at a time: from here on they are gone, and the store is to erase them."""
    loose = (images.c.loose_since < now - rules.LOOSE_KEPT, images.c.erasing_at.is_(None))
    some = select(images.c.id).where(*loose).order_by(images.c.loose_since).limit(ERASED_AT_ONCE_MAX).with_for_update(skip_locked=True)
    connection.execute(update(images).where(images.c.id.in_(some)).values(erasing_at=now))
    # Those too that an earlier round was cut short at.
    gone = select(images.c.id).where(images.c.erasing_at.is_not(None)).order_by(images.c.erasing_at)
    return list(connection.scalars(gone.limit(ERASED_AT_ONCE_MAX)))


def forget(connection: Connection, image_ids: Collection[UUID]) -> None:
    """The store has erased them."""
    connection.execute(delete(images).where(among(images.c.id, image_ids), images.c.erasing_at.is_not(None)))
