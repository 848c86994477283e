"""The months that lines are kept apart by: an id's first 48 bits are its millisecond, so a month is a range of ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

MONTHS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Partition:
    """`first` lies in it; `beyond` is the first id that does not."""

    name: str
    first: UUID
    beyond: UUID


def months_from(day: date, count: int) -> Iterator[date]:
    """The first days of a month and the ones after it."""
    for month in range(day.year * 12 + day.month - 1, day.year * 12 + day.month - 1 + count):
        yield date(month // 12, month % 12 + 1, 1)


def partition(month: date) -> Partition:
    first, beyond = (_bound(day) for day in months_from(month, 2))
    return Partition(f"lines_{month:%Y_%m}", first, beyond)


def _bound(day: date) -> UUID:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return UUID(int=int(moment.timestamp()) * 1000 << 80)
