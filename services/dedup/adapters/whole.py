"""A whole state compared with itself by DuckDB: the rules' arms, an artefact's weights, and a file in which each step leaves its table.

The numbers are rules.model.score's, in SQL that is made of the same levels. What is only asked whether it is the same goes in as a
number of 64 bits; how common a woman's names are is looked up once for her, not once a pair; and the costly likeness of two
spellings is measured last, of those alone whom it could bring over the threshold. A step whose table is there is done, so who
is killed in mid-run goes on where she was.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import log2
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from services.dedup.rules import ARMS, BIRTH_YEARS_APART_MAX, Arm, Person, Thresholds, Verdict, Yardstick, batch
from services.dedup.rules.model import Comparison, Level, Terms
from services.dedup.rules.person import PAPER

Row = tuple[Any, ...]

# As PostgreSQL writes a person out, in this order.
COLUMNS = tuple(field.name for field in fields(Person) if field.name not in {"institution_id", "status"})
_KINDS = {"member_id": "uuid", "revision": "integer", "block": "integer", "village": "integer", "birth_year": "smallint", "born_on": "date"}
_COSTLY = "jaro_winkler"

# What a test asks of one side alone is known before two meet; and all else that it asks of a text is whether it is the same.
_OF_ONE_SIDE = (
    (re.compile(r"split_part\((\w+)_([lr]), ' ', 1\)"), r"\1_head_\2"),
    (re.compile(r"strlen\((\w+)_([lr])\) = length\(\1_\2\)"), r"\1_latin_\2"),
    (re.compile(r"length\((\w+)_([lr])\)"), r"\1_length_\2"),
    (re.compile(r"(year|month|day)\((\w+)_([lr])\)"), r"\2_\1_\3"),
    (re.compile(r"(least|greatest)\((\w+)_l, \2_r\)"), r"\1(\2_text_l, \2_text_r)"),
)
_MADE = {
    "head": "hash(split_part({}, ' ', 1))",
    "latin": "strlen({0}) = length({0})",
    "length": "cast(length({}) as usmallint)",
    "year": "cast(year({}) as smallint)",
    "month": "cast(month({}) as utinyint)",
    "day": "cast(day({}) as utinyint)",
    "text": "{}",
}
_NAMED = re.compile(r"\b(\w+)_[lr]\b")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may take of the machine."""

    threads: int
    memory_mb: int


def _sql(written: str) -> str:
    for pattern, known in _OF_ONE_SIDE:
        written = pattern.sub(known, written)
    return written


class Whole:
    """One batch's file. Steps are run in their order; each may be cut short and run again."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": limits.threads,
            "memory_limit": f"{limits.memory_mb}MB",
            "temp_directory": str(folder / "spilled"),
            # Rows are told apart by what they hold, never by where they stand.
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._connection = duckdb.connect(str(folder / "batch.duckdb"), config=settings)

    def close(self) -> None:
        self._connection.close()

    def run(self, sql: str, *values: object) -> list[Row]:
        """One statement, to its end, on a cursor of its own: an unfinished result would block the connection."""
        rows: list[Row] = self._connection.cursor().execute(sql, list(values) or None).fetchall()
        return rows

    def has(self, table: str) -> bool:
        return bool(self.run("select 1 from duckdb_tables() where table_name = ?", table))

    def _make(self, table: str, query: str) -> None:
        """One statement, so that the table is there whole or not at all."""
        if not self.has(table):
            self.run(f"create table {table} as {query}")

    def count(self, table: str) -> int:
        return int(self.run(f"select count(*) from {table}")[0][0])

    # --- In.

    def take(self, file: Path) -> None:
        """The people of a CSV file that PostgreSQL wrote, by its columns; what is empty is null."""
        kinds = {column: _KINDS.get(column, "text") for column in COLUMNS}
        self._make(
            "written",
            f"select row_number() over () as id, * from read_csv('{file}', header = false, auto_detect = false, quote = '\"', escape = '\"',"
            f" columns = {kinds!r})",
        )

    def villages(self) -> dict[int, int]:
        """How many members each village has."""
        return dict(self.run("select village, count(*) from written where village is not null group by 1"))

    # --- Keys.

    def know(self, by: Yardstick) -> None:
        """The people as they are compared: numbers for what must be the same, and how common, in bits, each of her names is."""
        crowded = {arm.columns[0]: arm.most for arm in ARMS if len(arm.columns) == 1 and not arm.certain and not arm.any_of}
        for column, most in crowded.items():
            self._make(f"crowded_{column}", f"select {column} from written where {column} is not null group by 1 having count(*) > {most + 1}")
        self._know_documents()
        asked = _Sum(by).columns | {column for arm in ARMS for column in arm.columns} | {"birth_year"}
        parts, joined = ["id"], []
        for column in sorted(asked):
            plain, _, made = column.rpartition("_")
            if column.startswith("bits_"):
                named = column.removeprefix("bits_")
                self._shares(named, by.model.terms[named])
                parts.append(f"coalesce(of_{named}.bits, {log2(by.model.terms[named].floor)!r}::double) as {column}")
                joined.append(f"left join terms_{named} of_{named} on of_{named}.value = {named}")
            elif made in _MADE and plain in COLUMNS:
                parts.append(f"{_MADE[made].format(plain)} as {column}")
            elif column == "documents":
                parts.append("shown.documents")
                joined.append("left join (select id, list(document) as documents from documents group by id) shown using (id)")
            elif column in _KINDS:
                parts.append(column)
            else:
                calm = f"and {column} not in (from crowded_{column})" if column in crowded else ""
                parts.append(f"case when {column} is not null {calm} then hash({column}) end as {column}")
        self._make("people", f"select {', '.join(parts)} from written {' '.join(joined)}")

    def _know_documents(self) -> None:
        """Who shows which document, of those that not too many show; each as a number, that of a signed paper odd."""
        most = next(arm.most for arm in ARMS if arm.any_of)
        shown = "select id, unnest(string_split(trim(documents, '{}'), ',')) as shown from written where documents <> '{}'"
        each = f"select id, hash(shown) - hash(shown) % 2 + if(starts_with(shown, '{PAPER}'), 1, 0)::ubigint as document from ({shown})"
        self._make("documents", f"select * from ({each}) qualify count(*) over (partition by document) <= {most + 1}")

    def _shares(self, column: str, terms: Terms) -> None:
        if not self.has(f"terms_{column}"):
            self.run(
                f"create table terms_{column} as select cast(unnest(?) as {_KINDS.get(column, 'text')}) as value, cast(unnest(?) as double) as bits",
                list(terms.shares),
                [log2(share) for share in terms.shares.values()],
            )

    # --- Pairs.

    def meet(self, by: Yardstick, arm: Arm) -> None:
        """The pairs that an arm finds, weighed, from the threshold up."""
        if not arm.any_of:  # Of documents those that too many show are out already.
            self._calm(arm)
        self._make(f"found_{arm.name}", _Sum(by).found(self.met(arm)))

    def _calm(self, arm: Arm) -> None:
        """The keys by which somebody is found, and not too many; of an arm by near years, those by which one may look."""
        known, key, most = _known(arm), _key(arm), "" if arm.certain else f"and held <= {arm.most + 1}"
        if not arm.near_year:
            self._make(
                f"calm_{arm.name}", f"select {key} as key from people where {known} group by 1 having count(*) > 1 {most.replace('held', 'count(*)')}"
            )
            return
        names, apart = ", ".join(arm.columns), BIRTH_YEARS_APART_MAX
        around = f"sum(n) over (partition by {names} order by birth_year range between {apart} preceding and {apart} following) as held"
        of_year = f"select {names}, birth_year, count(*) as n from people where {known} group by all"
        self._make(f"calm_{arm.name}", f"select {key} as key from (select {names}, birth_year, {around} from ({of_year})) where held > 1 {most}")

    @staticmethod
    def met(arm: Arm) -> tuple[str, str, str]:
        """Two tables `one` and `other` and what joins them."""
        if arm.any_of:
            shown = "(select people.*, document as key from people join (from documents) using (id))"
            return shown, shown, "one.key = other.key and one.id < other.id"
        known, key, calm = _known(arm), _key(arm), f"(from calm_{arm.name})"
        looking = f"from people where {known} and {key} in {calm}"
        if not arm.near_year:
            return (
                f"(select *, {key} as key {looking})",
                f"(select *, {key} as key from people where {known})",
                "one.key = other.key and one.id < other.id",
            )
        apart = BIRTH_YEARS_APART_MAX
        return (
            # She looks in each year that is near; whom she finds may be one of many.
            f"(select *, {_key(arm, 'birth_year + apart')} as key from (select * {looking}), range(-{apart}, {apart + 1}) as years(apart))",
            f"(select *, {key} as key, {key} in {calm} as looks from people where {known})",
            "one.key = other.key and one.id <> other.id and (one.id < other.id or not other.looks)",
        )

    def gather(self, thresholds: Thresholds) -> None:
        """The table `pairs`: each once, the lesser member id first, with its cluster."""
        found = " union all ".join(f"select * from found_{arm.name}" for arm in ARMS)
        once = f"select least(id_l, id_r) as l, greatest(id_l, id_r) as r, any_value(columns(* exclude (id_l, id_r))) from ({found}) group by all"
        self._make(
            "paired",
            "select least(a.member_id, b.member_id) as one_id, greatest(a.member_id, b.member_id) as other_id, a.member_id < b.member_id as straight,"
            " if(straight, a.revision, b.revision) as one_revision, if(straight, b.revision, a.revision) as other_revision,"
            " if(straight, a.region, b.region) as one_region, if(straight, b.region, a.region) as other_region,"
            f" bits, verdict, override, other_identity from ({once}) join written a on a.id = l join written b on b.id = r"
            # She whose change waits has two records: neither is the other's double, and of two pairs with another the graver counts.
            " where a.member_id <> b.member_id qualify row_number() over (partition by one_id, other_id order by verdict, bits desc) = 1",
        )
        if self.has("pairs"):
            return
        joined = [
            (one, other)
            for one, other, verdict, weight, apart in self.run("select one_id, other_id, verdict, floor(bits * 100), other_identity from paired")
            if batch.joins(Verdict(verdict), weight, thresholds, other_identity=apart)
        ]
        named = batch.clusters(joined)
        self.run("create or replace table clusters as select unnest(?)::uuid as member_id, unnest(?)::uuid as cluster_id", *_lists(named))
        self._make(
            "pairs",
            "select paired.* exclude (straight), cast(floor(bits * 100) as integer) as weight_centibits,"
            " if(mine.cluster_id = theirs.cluster_id, mine.cluster_id, null) as cluster_id from paired"
            " left join clusters mine on mine.member_id = one_id left join clusters theirs on theirs.member_id = other_id order by one_id, other_id",
        )

    def write_pairs(self, batch_id: UUID, columns: Sequence[str], file: Path) -> None:
        """The pairs as CSV, the batch's id before each."""
        self.run(f"copy (select '{batch_id}', {', '.join(columns)} from pairs) to '{file}' (format csv, header false)")


def _lists(named: dict[UUID, UUID]) -> tuple[list[str], list[str]]:
    return [str(one) for one in named], [str(one) for one in named.values()]


def _known(arm: Arm) -> str:
    return " and ".join(f"{column} is not null" for column in (*arm.columns, *(["birth_year"] if arm.near_year else [])))


def _key(arm: Arm, year: str = "birth_year") -> str:
    """One number for what must be the same. That two are one by chance costs a pair that the weights refuse."""
    return f"hash({', '.join((*arm.columns, *([f'cast({year} as smallint)'] if arm.near_year else [])))})"


class _Sum:
    """A yardstick's score and verdict as SQL of one row that holds both sides."""

    def __init__(self, by: Yardstick) -> None:
        self._artefact = by.model
        self._thresholds = by.thresholds
        self._shown_from_bits = by.thresholds.shown_centibits / 100

    @cached_property
    def columns(self) -> set[str]:
        """What is asked of each side."""
        return set(_NAMED.findall(self._weighed("met")))

    def found(self, met: tuple[str, str, str]) -> str:
        """The query of the pairs that are shown, of two tables and what joins them."""
        one, other, joined = met
        sides = ", ".join(
            f"{side}.{column} as {column}_{end}" for column in sorted({"id", *self.columns}) for side, end in (("one", "l"), ("other", "r"))
        )
        return self._weighed(f"(select {sides} from {one} one join {other} other on {joined})")

    def _weighed(self, met: str) -> str:
        hopeless = " or ".join(self._hopeless()) or "false"
        cheap = ", ".join(f"{self._cheap(one)} as w_{one.name}" for one in self._artefact.comparisons)
        prior = f"{self._artefact.prior_bits!r}::double"
        most = " + ".join([prior, *(f"coalesce(w_{one.name}, {self._most(one)!r}::double)" for one in self._artefact.comparisons)])
        bits = " + ".join([prior, *(f"coalesce(w_{one.name}, {self._exact(one)})" for one in self._artefact.comparisons)])
        verdict, override = batch.judged_sql(self._thresholds)
        return (
            f"with met as (select * from {met} where {batch.ALWAYS_SHOWN_SQL} or not ({hopeless})),"
            f" cheap as (select *, {cheap} from met),"
            f" weighed as (select *, {bits} as bits from cheap where {batch.ALWAYS_SHOWN_SQL} or {most} >= {self._shown_from_bits})"
            f" select id_l, id_r, bits, {verdict} as verdict, {override} as override, {batch.OTHER_IDENTITY_SQL} as other_identity"
            f" from weighed where verdict <> '{Verdict.CLEAR}'"
        )

    def _levels(self, comparison: Comparison) -> list[tuple[str, str, float]]:
        """Of each level its test, its bits, and the most that they can be."""
        levels = next(levels for one, levels in self._artefact.levels if one is comparison)
        return [(_sql(level.test.sql), *self._bits(level, weight, terms)) for level, weight, terms in levels]

    @staticmethod
    def _bits(level: Level, weight: float, terms: Terms | None) -> tuple[str, float]:
        if terms is None:
            return f"{weight!r}::double", weight
        rarest = min([terms.floor, *terms.shares.values()])
        return f"{weight!r}::double - greatest(bits_{level.terms}_l, bits_{level.terms}_r)", weight - log2(rarest)

    def _cheap(self, comparison: Comparison) -> str:
        """The bits of a comparison; null where they hang on what is costly."""
        cases = [f"when {_sql(comparison.unknown.sql)} then 0"]
        for test, bits, _ in self._levels(comparison):
            if _COSTLY in test:
                break
            cases.append(f"when {test} then {bits}")
        return f"case {' '.join(cases)} end"

    def _costly(self, comparison: Comparison) -> list[tuple[str, str, float]]:
        levels = self._levels(comparison)
        first = next((place for place, (test, _, _) in enumerate(levels) if _COSTLY in test), len(levels))
        return levels[first:]

    def _exact(self, comparison: Comparison) -> str:
        """The bits of a comparison of which `cheap` said nothing."""
        return f"case {' '.join(f'when {test} then {bits}' for test, bits, _ in self._costly(comparison))} end" if self._costly(comparison) else "0"

    def _most(self, comparison: Comparison) -> float:
        """What `exact` gives at most."""
        return max((most for _, _, most in self._costly(comparison)), default=0.0)

    def _hopeless(self) -> list[str]:
        """Where nothing else could bring a pair over the threshold: two tokens of the vault, above all."""
        best = {one.name: max([0.0, *(most for _, _, most in self._levels(one))]) for one in self._artefact.comparisons}
        found = []
        for comparison in self._artefact.comparisons:
            rest = self._artefact.prior_bits + sum(best.values()) - best[comparison.name]
            levels = [(test, rest + most < self._shown_from_bits) for test, _, most in self._levels(comparison)]
            if any(dead for _, dead in levels):
                found.append(
                    f"case when {_sql(comparison.unknown.sql)} then false {' '.join(f'when {test} then {dead}' for test, dead in levels)} end"
                )
        return found
