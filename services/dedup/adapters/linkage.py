"""Splink on DuckDB: pairs of a whole state by the rules' arms, their weights by an artefact, and the training of one.

Runs under .venv-dedup. A statement takes a cursor of its own: an unfinished result would block the connection.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pandas as pd
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from services.dedup.rules import ARMS, BIRTH_YEARS_APART_MAX, Arm, Person, Record, model, person
from services.dedup.rules.model import Artefact, Comparison, Level, Rates, Terms
from services.kernel.approval import Status
from services.kernel.names import NORMALISER_VERSION

logging.getLogger("splink").setLevel(logging.ERROR)  # It tells of every step.

Row = tuple[Any, ...]
_TEXTS = [field.name for field in fields(Person) if field.type is str and field.name != "region"]
_NUMBERS = ("block", "village", "birth_year")
_COLUMNS = (*_TEXTS, *_NUMBERS, "born_on")


def connect(threads: int = 1, database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    return duckdb.connect(database, config={"threads": threads})


def run(connection: duckdb.DuckDBPyConnection, sql: str, given: pd.DataFrame | None = None) -> list[Row]:
    """One statement, to its end; it may read what it is given as the table `given`."""
    cursor = connection.cursor()
    if given is not None:
        cursor.register("given", given)
    rows: list[Row] = cursor.execute(sql).fetchall()
    return rows


# --- In.


def read(file: Path) -> list[Person]:
    """Members from CSV or Parquet, with a Record's columns; those that are not there are unknown."""
    connection = connect()
    given = connection.cursor().execute(
        "select * from read_parquet(?)" if file.suffix == ".parquet" else "select * from read_csv(?, all_varchar = true)", [str(file)]
    )
    names = [column[0] for column in given.description]
    return [person(_record(dict(zip(names, row, strict=True)), number), Status.ACTIVE) for number, row in enumerate(given.fetchall())]


def _record(row: Mapping[str, Any], number: int) -> Record:
    def text(name: str) -> str:
        value = row.get(name)
        return "" if value is None else str(value)

    born_on = text("born_on")
    return Record(
        member_id=UUID(text("member_id") or f"{number:032x}"),
        revision=1,
        institution_id=UUID(int=0),
        region=text("region"),
        name=text("name"),
        relation_name=text("relation_name"),
        born_on=date.fromisoformat(born_on[:10]) if born_on else None,
        birth_year=int(text("birth_year") or 0),
        mobile=text("mobile"),
        ifsc=text("ifsc"),
        account_number=text("account_number"),
        account_holding=text("account_holding"),
        identity_token=text("identity_token"),
    )


def fill(connection: duckdb.DuckDBPyConnection, people: Sequence[Person]) -> None:
    """The table `people`: each by her place in the sequence, what is empty as null, and no phone or account that too many share."""
    frame = pd.DataFrame({"id": np.arange(len(people))})
    for column in _TEXTS:
        frame[column] = pd.array([getattr(one, column) or None for one in people], dtype="string[pyarrow]")
    for column in _NUMBERS:
        frame[column] = pd.array([getattr(one, column) or None for one in people], dtype="Int32")
    frame["born_on"] = pd.Series([one.born_on.isoformat() if one.born_on else None for one in people], dtype="string[pyarrow]")
    crowded = {arm.columns[0]: arm.most for arm in ARMS if len(arm.columns) == 1 and not arm.certain and not arm.any_of}
    kept = [
        f"case when count(*) over (partition by {column}) <= {crowded[column] + 1} then {column} end as {column}" if column in crowded else column
        for column in (*_TEXTS, *_NUMBERS)
    ]
    run(connection, f"create or replace table people as select id, {', '.join(kept)}, cast(born_on as date) as born_on from given order by id", frame)


# --- Candidates.


def block(connection: duckdb.DuckDBPyConnection) -> int:
    """The table `pairs` of all who are found by any arm from either side; returns how many."""
    found = " union ".join(_near(arm) if arm.near_year else _equal(arm) for arm in ARMS if not arm.any_of)
    run(connection, f"create or replace table pairs as select l as join_key_l, r as join_key_r, '0' as match_key from ({found})")
    return int(run(connection, "select count(*) from pairs")[0][0])


def _known(columns: Iterable[str]) -> str:
    return " and ".join(f"{column} is not null" for column in columns)


def _equal(arm: Arm) -> str:
    keys = ", ".join(arm.columns)
    calm = "" if arm.certain else f"qualify count(*) over (partition by {keys}) <= {arm.most + 1}"
    side = f"(select id, {keys} from people where {_known(arm.columns)} {calm})"
    return f"select one.id as l, other.id as r from {side} one join {side} other using ({keys}) where one.id < other.id"


def _near(arm: Arm) -> str:
    """Whoever has few enough around her birth year looks; whom she finds may have more."""
    keys, apart = ", ".join(arm.columns), BIRTH_YEARS_APART_MAX
    serving = f"from people where {_known((*arm.columns, 'birth_year'))}"
    around = f"range between {apart} preceding and {apart} following"
    calm = f"qualify count(*) over (partition by {keys} order by birth_year {around}) <= {arm.most + 1}"
    return (
        f"select least(one.id, other.id) as l, greatest(one.id, other.id) as r"
        f" from (select id, birth_year, {keys} {serving} {calm}) one join (select id, birth_year, {keys} {serving}) other using ({keys})"
        f" where one.id <> other.id and abs(one.birth_year - other.birth_year) <= {apart}"
    )


# --- Weights.


def settings(artefact: Artefact) -> dict[str, Any]:
    """The artefact as Splink takes it."""
    rates = dict(artefact.rates)
    for comparison in artefact.comparisons:
        for level in comparison.levels:
            if level.terms:
                # Splink would look for the level where the column itself is the same: here it is told how often that is.
                known, same = rates[level.code], artefact.terms[level.terms].same
                rates[level.code] = Rates(known.m * same / known.u, same)
    return _settings(artefact.comparisons, artefact.prior, rates)


def _settings(comparisons: Iterable[Comparison], prior: float, rates: Mapping[str, Rates] | None) -> dict[str, Any]:
    made: dict[str, Any] = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="id",
        probability_two_random_records_match=prior,
        retain_matching_columns=False,
        comparisons=[_comparison(comparison, rates) for comparison in comparisons],
        blocking_rules_to_generate_predictions=[block_on("identity_token")],  # None is used: pairs are ours.
    ).create_settings_dict("duckdb")
    return made


def _comparison(comparison: Comparison, rates: Mapping[str, Rates] | None) -> dict[str, Any]:
    unknown = {"sql_condition": comparison.unknown.sql, "label_for_charts": "unknown", "is_null_level": True}
    levels = [_level(level, rates) for level in comparison.levels]
    levels[-1]["sql_condition"] = "ELSE"
    return {"output_column_name": comparison.name, "comparison_levels": [unknown, *levels]}


def _level(level: Level, rates: Mapping[str, Rates] | None) -> dict[str, Any]:
    made: dict[str, Any] = {"sql_condition": level.test.sql, "label_for_charts": level.code}
    if level.terms:
        made |= {"tf_adjustment_column": level.terms, "disable_tf_exact_match_detection": True}
    if rates and level.code in rates:
        known = rates[level.code]
        made |= {"m_probability": known.m, "u_probability": known.u}
    return made


def weigh(connection: duckdb.DuckDBPyConnection, artefact: Artefact, *, keep: bool = False) -> Any:  # noqa: ANN401 - a DuckDB relation's table
    """The name of a table with `id_l`, `id_r` and `match_weight` of all in `pairs`; with `keep`, what each comparison came to besides."""
    api = DuckDBAPI(connection=connection)
    made = settings(artefact) | {"retain_intermediate_calculation_columns": keep}
    linker = Linker(api.register("people"), made, log_level=None)
    _register_terms(api, linker, artefact.terms)
    linker.table_management.register_blocked_pairs_for_predict(api.register("pairs"))
    return linker.inference.predict(warning_mode="never").physical_name


def _register_terms(api: DuckDBAPI, linker: Linker, terms: Mapping[str, Terms]) -> None:
    fill_terms(api.duckdb_con, terms)
    for column in terms:
        linker.table_management.register_term_frequency_lookup(api.register(f"terms_{column}"), column)


def fill_terms(connection: duckdb.DuckDBPyConnection, terms: Mapping[str, Terms]) -> None:
    """A table a column, `terms_name_fold` and so on: how common each value is that somebody has."""
    for column, known in terms.items():
        shares = pd.DataFrame({"value": pd.array(list(known.shares), dtype="string[pyarrow]"), "share": np.array(list(known.shares.values()), float)})
        run(
            connection,
            f"create or replace table terms_{column} as select {column}, coalesce(share, {known.floor!r}) as tf_{column}"
            f" from (select distinct {column} from people where {column} is not null) left join given on value = cast({column} as text)",
            shares,
        )


# --- Training.

TERMS_KEPT = 6000  # A column. What is rarer is as rare as the floor.
SHARE_MIN = 1e-5
M_MIN, U_MIN = 1e-3, 1e-10  # A training never saw all that can be.
SAMPLED_PAIRS = 2e7
_WITHOUT_PLACE = {"SAME_MOBILE", "MOBILE_OTHER"}
LEARNT_FROM = 10  # Groups of people who share something.
ROUNDS = 15


def train(people: Sequence[Person], *, name: str, state: str, trained_on: str, trained_at: date, seed: int = 1, threads: int = 1) -> Artefact:
    """Learn a state's weights from its own members without labels."""
    connection = connect(threads)
    fill(connection, people)
    block(connection)
    comparisons, version = model.MODELS[model.VERSION], model.VERSION
    counted = _counted(connection)
    terms = {level.terms: _terms(connection, level.terms) for comparison in comparisons for level in comparison.levels if level.terms}
    pairs = len(people) * (len(people) - 1) / 2
    # To begin with: those of whom nobody would doubt it.
    prior = max(counted["SAME_IDENTITY"], 1.0) / pairs
    found = _learnt(connection, comparisons, counted, terms, prior, seed)
    artefact = Artefact(
        version=version,
        name=name,
        state=state,
        trained_on=trained_on,
        trained_at=trained_at.isoformat(),
        members=len(people),
        normaliser=NORMALISER_VERSION,
        prior=prior,
        rates=_within_groups(comparisons, found, counted, len(people)),
        terms=terms,
        caps=model.caps(),
    )
    return _refined(connection, artefact, pairs)


def _terms(connection: duckdb.DuckDBPyConnection, column: str) -> Terms:
    """How common each value of a column is. Of villages only how common they are together: with_villages tells them apart."""
    known = int(run(connection, f"select count({column}) from people")[0][0])
    rows = run(
        connection,
        f"select {column}, count(*) as held from people where {column} is not null group by 1"
        f" having held >= {max(SHARE_MIN * known, 2)} order by held desc, 1 limit {TERMS_KEPT}",
    )
    floor = max(SHARE_MIN, 1 / max(known, 1))
    held_twice = f"select sum(n * (n - 1)) from (select count(*) as n from people where {column} is not null group by {column})"
    same = float(run(connection, held_twice)[0][0] or 0) / max(known * (known - 1), 1)
    if column == "village":
        return Terms(max(same, U_MIN), max(same, U_MIN), {})
    return Terms(max(same, U_MIN), floor, {value: round(held / known, 8) for value, held in rows})


def _counted(connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """In how many of all pairs each level holds that tells people apart, by sums of c(c-1)/2. Few of the pairs are one woman's."""

    def count(*columns: str, known: Sequence[str] = ()) -> float:
        group = f"group by {', '.join(columns)}" if columns else ""
        where = _known((*columns, *known)) or "true"
        return float(run(connection, f"select coalesce(sum(n * (n - 1) / 2), 0) from (select count(*) as n from people where {where} {group})")[0][0])

    both = ("mobile", "block")
    village, near = count("mobile", "village"), count("mobile", "block")
    mobile, in_village, in_block = count("mobile", known=both), count("village", known=both), count("block", known=both)
    all_village, all_block, everybody = count("village"), count("block"), count(known=("block",))
    phones = count(known=both)
    same_mobile, same_title = count("mobile"), count("name_first", "name_title")
    made = {
        "SAME_MOBILE_AND_VILLAGE": village,
        "SAME_MOBILE_AND_BLOCK": near - village,
        "SAME_MOBILE_ELSEWHERE": mobile - near,
        "SAME_VILLAGE_OTHER_MOBILE": in_village - village,
        "SAME_BLOCK_OTHER_MOBILE": in_block - in_village - (near - village),
        "BLOCK_AND_MOBILE_OTHER": phones - in_block - (mobile - near),
        "SAME_VILLAGE": all_village - in_village,
        "SAME_BLOCK": all_block - all_village - (in_block - in_village),
        "BLOCK_OTHER": everybody - all_block - (phones - in_block),
        # _WITHOUT_PLACE: as rare as among all who have a phone.
        "SAME_MOBILE": same_mobile,
        "MOBILE_OTHER": count(known=("mobile",)) - same_mobile,
    }
    # A title goes with a name, Khatoon with Shabnam: of those who share the name.
    made |= {"SAME_TITLE": same_title, "TITLE_OTHER": count("name_first", known=("name_title",)) - same_title}
    for column, code in (("account", "ACCOUNT"), ("identity_token", "IDENTITY")):
        same = count(column)
        made |= {f"SAME_{code}": same, f"{code}_OTHER": count(known=(column,)) - same}
    return made


def _learnt(
    connection: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison],
    counted: Mapping[str, float],
    terms: Mapping[str, Terms],
    prior: float,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """The m and u of each level as expectation maximisation leaves them; 0 of what was never seen."""
    made = _settings(comparisons, prior, None)
    for comparison in made["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if level["label_for_charts"] in counted.keys() - _WITHOUT_PLACE]
        whole = sum(counted[level["label_for_charts"]] for level in levels)
        for level in levels if whole else ():
            level |= {"u_probability": max(counted[level["label_for_charts"]] / whole, U_MIN), "fix_u_probability": True}
    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register("people"), made, log_level=None)
    _register_terms(api, linker, terms)
    linker.training.estimate_u_using_random_sampling(max_pairs=SAMPLED_PAIRS, seed=seed, min_count_per_level=None)
    for rule in (("identity_token",), ("account",), ("name_first", "village"), ("relation_first", "born_on")):
        alike = f"select 1 from people where {_known(rule)} group by {', '.join(rule)} having count(*) > 1 limit {LEARNT_FROM}"
        if len(run(connection, alike)) == LEARNT_FROM:
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
    return {
        level["label_for_charts"]: (_number(level.get("m_probability")), _number(level.get("u_probability")))
        for comparison in linker.misc.save_model_to_json()["comparisons"]
        for level in comparison["comparison_levels"]
        if not level.get("is_null_level")
    }


def _number(value: object) -> float:
    """Splink has words where it saw nothing."""
    return value if isinstance(value, float) else 0.0


# What a level comes to where the place is not known, or the phone.
_BESIDES = {
    "SAME_MOBILE": ("SAME_MOBILE_AND_VILLAGE", "SAME_MOBILE_AND_BLOCK", "SAME_MOBILE_ELSEWHERE"),
    "MOBILE_OTHER": ("SAME_VILLAGE_OTHER_MOBILE", "SAME_BLOCK_OTHER_MOBILE", "BLOCK_AND_MOBILE_OTHER"),
    "SAME_VILLAGE": ("SAME_MOBILE_AND_VILLAGE", "SAME_VILLAGE_OTHER_MOBILE"),
    "SAME_BLOCK": ("SAME_MOBILE_AND_BLOCK", "SAME_BLOCK_OTHER_MOBILE"),
    "BLOCK_OTHER": ("SAME_MOBILE_ELSEWHERE", "BLOCK_AND_MOBILE_OTHER"),
}


def _within_groups(
    comparisons: Sequence[Comparison], found: Mapping[str, tuple[float, float]], counted: Mapping[str, float], members: int
) -> dict[str, Rates]:
    """Rates among the levels that know as much."""
    made: dict[str, Rates] = {}
    for comparison in comparisons:
        for group in dict.fromkeys(level.group for level in comparison.levels):
            codes = [level.code for level in comparison.levels if level.group == group]
            m = _shares([found[code][0] for code in codes]) or _shares([sum(found[part][0] for part in _BESIDES.get(code, ())) for code in codes])
            u = _shares([counted.get(code, found[code][1]) for code in codes])
            if m and u:
                made |= {code: Rates(max(mine, M_MIN), max(theirs, U_MIN)) for code, mine, theirs in zip(codes, m, u, strict=True)}
            else:
                # Nobody here says such a thing.
                known = model.default().for_state_of(members).rates
                made |= {code: known[code] for code in codes}
    # A phone alone says no more than the phone and a place: what is left out never adds.
    mobile, least = made["SAME_MOBILE"], min(made[code].bits for code in _BESIDES["SAME_MOBILE"])
    made["SAME_MOBILE"] = Rates(mobile.m, max(mobile.u, mobile.m / 2**least))
    made["SAME_IDENTITY"] = Rates(1.0, made["SAME_IDENTITY"].u)
    made["IDENTITY_OTHER"] = Rates(2.0**model.IDENTITY_OTHER_BITS, 1.0)
    return made


def _shares(held: Sequence[float]) -> list[float]:
    """Nothing where nothing was seen."""
    return [one / sum(held) for one in held] if sum(held) else []


def _refined(connection: duckdb.DuckDBPyConnection, artefact: Artefact, pairs: float) -> Artefact:
    """The same, maximised on over all candidates at once: a training that blocks on one thing sees only who kept that."""
    table = weigh(connection, artefact)
    names = ", ".join(f"case {_cases(comparison)} end as {comparison.name}" for comparison in artefact.comparisons)
    columns = ", ".join(f"{side}.{column} as {column}_{end}" for side, end in (("one", "l"), ("other", "r")) for column in _COLUMNS)
    rows = (
        connection.cursor()
        .execute(
            f"select match_weight, {names} from (select match_weight, {columns} from {table}"
            " join people one on one.id = id_l join people other on other.id = id_r)"
        )
        .fetchnumpy()
    )
    held = {level.code: np.flatnonzero(rows[one.name] == place) for one in artefact.comparisons for place, level in enumerate(one.levels)}
    # What how common a name is adds stays.
    rest = np.array(rows["match_weight"]) - artefact.prior_bits
    for code, where in held.items():
        rest[where] -= artefact.rates[code].bits
    for _ in range(ROUNDS):
        bits = rest + artefact.prior_bits
        for code, where in held.items():
            bits[where] += artefact.rates[code].bits
        chance = 1 / (1 + np.exp2(-bits))
        found = {code: (float(chance[where].sum()), artefact.rates[code].u) for code, where in held.items()}
        rates = _within_groups(artefact.comparisons, found, {code: known.u for code, known in artefact.rates.items()}, artefact.members)
        artefact = replace(artefact, prior=max(float(chance.sum()), 1.0) / pairs, rates=rates)
    return artefact


def _cases(comparison: Comparison) -> str:
    levels = " ".join(f"when {level.test.sql} then {place}" for place, level in enumerate(comparison.levels))
    return f"when {comparison.unknown.sql} then -1 {levels}"
