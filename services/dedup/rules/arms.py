"""Where candidates are looked for."""

from dataclasses import dataclass

from services.dedup.rules.person import Person

BIRTH_YEARS_APART_MAX = 2  # Policy.
NUMBERS = frozenset({"block", "village", "born_on", "birth_year"})  # Those of a Person that are null where they are not known, and not ''.


@dataclass(frozen=True, slots=True)
class Arm:
    """A lookup by columns that must be equal, and perhaps by birth years that are near; a B-tree each.

    Where more than `most` records answer, the value tells nobody apart and the arm is dropped: whoever could reach the
    threshold agrees in something else too, which another arm finds. A `certain` arm is never dropped.
    """

    name: str
    columns: tuple[str, ...]
    most: int
    near_year: bool = False
    certain: bool = False
    any_of: bool = False  # Its one column holds many values, and one in common is enough.

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of its B-tree. In a village few are called alike: there the year is not worth its place."""
        return (*self.columns, "birth_year") if self.near_year and "village" not in self.columns else self.columns

    @property
    def known(self) -> str:
        """In SQL: whom it can find. An empty value finds nobody."""
        empty = "'{}'" if self.any_of else "''"
        return " and ".join(f"{column} is not null" if column in NUMBERS else f"{column} <> {empty}" for column in self._needed)

    def serves(self, one: Person) -> bool:
        """Whether it can find anybody for her."""
        return all(getattr(one, column) for column in self._needed)

    @property
    def _needed(self) -> tuple[str, ...]:
        return (*self.columns, "birth_year") if self.near_year else self.columns


ARMS = (
    Arm("identity", ("identity_token",), 50, certain=True),
    Arm("account", ("account",), 20),
    Arm("document", ("documents",), 20, any_of=True),
    Arm("mobile", ("mobile",), 5),
    Arm("name_village", ("name_first", "village"), 200),
    Arm("name_birth", ("name_first", "born_on"), 60),
    Arm("name_relation", ("name_first", "relation_first"), 40, near_year=True),
    Arm("name_relation_block", ("name_first", "relation_first", "block"), 100),
    Arm("relation_village", ("relation_first", "village"), 60, near_year=True),
    Arm("birth_village", ("born_on", "village"), 60),
)


def lookups(one: Person) -> set[str]:
    """What two records must share to find each other. Who holds a lock on each of hers sees all who could be her."""
    shared = {f"{arm.name}:{[str(getattr(one, column)) for column in arm.columns]}" for arm in ARMS if arm.serves(one) and not arm.any_of}
    return shared | {f"document:{document}" for document in one.documents}
