"""Where images lie: in the store of objects, each under its id."""

from functools import cache
from uuid import UUID

from services.chassis.objects import objects

# The store is the chassis's, and made when the first image needs it; servicer and work look at their start that it can be.
store = cache(objects)


def put(image_id: UUID, content: bytes) -> str:
    """Keep an image; gives the id of the key that it is sealed under."""
    store().put(_name(image_id), content)
    return store().key_id


def get(image_id: UUID) -> bytes | None:
    return store().get(_name(image_id))


def erase(image_id: UUID) -> None:
    store().erase(_name(image_id))


def _name(image_id: UUID) -> str:
    """Spread by its random end: an id begins with its time."""
    return f"images/{image_id.hex[-2:]}/{image_id}"
