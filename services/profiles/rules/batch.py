"""What a device may send in one go, and in which order it is carried out."""

from collections.abc import Sequence
from enum import StrEnum

from services.kernel.errors import Exhausted, Invalid

ITEMS_MAX = 500
MIB_MAX = 3  # The server takes no message of more than 4.
WAITING_MAX = 5
AGAIN_SECONDS = 30


class ItemKind(StrEnum):
    """In the order in which they are carried out: members are of institutions, and what happens, happens to either."""

    INSTITUTION = "INSTITUTION"
    MEMBER = "MEMBER"
    MEMBER_EVENT = "MEMBER_EVENT"
    INSTITUTION_EVENT = "INSTITUTION_EVENT"


_TURN = {ItemKind.INSTITUTION: 0, ItemKind.MEMBER: 1, ItemKind.MEMBER_EVENT: 2, ItemKind.INSTITUTION_EVENT: 2}


def check_size(items: int, size_bytes: int) -> None:
    if not items:
        raise Invalid("UPLOAD_EMPTY", "There is nothing in this upload.", field="items")
    if items > ITEMS_MAX or size_bytes > MIB_MAX << 20:
        raise Invalid(
            "UPLOAD_TOO_BIG",
            "An upload has at most {items} items and {mib} MiB; send the rest in another one, with an id of its own.",
            field="items",
            items=ITEMS_MAX,
            mib=MIB_MAX,
        )


def check_waiting(waiting: int) -> None:
    """No device fills the queue that others wait in."""
    if waiting >= WAITING_MAX:
        raise Exhausted(
            "UPLOADS_TOO_MANY",
            "{waiting} uploads of yours wait already; send the next once one of them is done.",
            waiting=waiting,
            seconds=AGAIN_SECONDS,
        )


def turns(kinds: Sequence[ItemKind]) -> list[int]:
    """The place of each among them as they are carried out: by kind, and in the order given."""
    in_order = sorted(range(len(kinds)), key=lambda place: _TURN[kinds[place]])
    turn_of = {place: turn for turn, place in enumerate(in_order)}
    return [turn_of[place] for place in range(len(kinds))]
