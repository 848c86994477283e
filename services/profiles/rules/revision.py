"""Which revision of a record may follow which (decision 7); institutions and members share it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.kernel.approval import LIVE, Act, Status, Step, move
from services.kernel.canonical import Content, first_difference
from services.kernel.errors import Conflict, Invalid

REVISION_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """What was handed in last of a record, or listed if revision is 0; or what is live, where nothing waits."""

    status: Status
    revision: int
    act: Act
    content: Mapping[str, Content]


def is_repeat(held: Held | None, revision: int, act: Act, content: Mapping[str, Content], moved: Collection[str] = ()) -> bool:
    """True where this very submission was taken already, False where it is a later one; else a refusal.

    `moved` are fields that something else than a submission has changed since: what was said in them then, it may say again.
    A device may be ahead by more than one: a record that came back from a backup does not know the revisions since.
    """
    if not 0 < revision <= REVISION_MAX:
        raise Invalid("REVISION_INVALID", "A revision is counted from 1.", field="revision")
    current = held.revision if held else 0
    if revision < current:
        raise _old(current)
    if held is None:
        return False
    if revision == current:
        as_said = {**held.content, **{name: content.get(name) for name in moved}}
        field = "act" if held.act != act else first_difference(as_said, content)
        if field:
            raise Conflict("REVISION_CONTENT", "Revision {revision} was sent before with another {field}.", field=field, revision=revision)
        return True
    if held.status == Status.SUBMITTED:
        raise Conflict("LOCKED", "The record is with the checker and cannot be changed until she has decided.")
    if held.status not in LIVE:  # Beside what is live anything may wait that its status allows (kernel.approval.ACTS).
        move(held.status, Step.SUBMIT)
    return False


def must_be_current(current: int, revision: int) -> None:
    """A checker decides on what she has seen, not on what came after."""
    if revision != current:
        raise _old(current)


def is_withdrawn(status: Status, current: int, revision: int) -> bool:
    """True where it was taken back already, False where it may be; else a refusal. Its maker has seen what she takes back."""
    must_be_current(current, revision)
    return status is Status.WITHDRAWN or move(status, Step.WITHDRAW) is not Status.WITHDRAWN


def _old(current: int) -> Conflict:
    return Conflict("REVISION_OLD", "The record is at revision {current} by now; look at it again.", field="revision", current=current)


def must_stay(held: Mapping[str, Content], content: Mapping[str, Content], *fields: str) -> None:
    """Refuse where a field changed that no submission may change: a move is another act."""
    for field in fields:
        if held.get(field) != content.get(field):
            raise Conflict("FIELD_FIXED", "The {field} of a record does not change.", field=field)
