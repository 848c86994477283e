"""The years that meetings are kept apart by: an id's first 48 bits are its millisecond, so a year is a range of ids."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Partition:
    """`first` lies in it; `beyond` is the first id that does not."""

    name: str
    first: UUID
    beyond: UUID


def partition(year: int) -> Partition:
    return Partition(f"meetings_{year}", _bound(year), _bound(year + 1))


def _bound(year: int) -> UUID:
    return UUID(int=int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 << 80)
