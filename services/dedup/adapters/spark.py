"""The same model on Spark, for what one machine does not hold: Splink's other backend, told the same levels.

Runs where PySpark and Java are (requirements-spark.txt). What it compares and which pairs, DuckDB or anything else leaves as Parquet.
"""

import json
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import SparkSession
from rapidfuzz.distance import JaroWinkler
from splink import Linker
from splink.backends.spark import SparkAPI

from services.dedup.adapters import linkage
from services.dedup.rules.model import Artefact

_OTHER_WORDS = {"strlen(": "octet_length(", "jaro_winkler_similarity(": "likeness("}


def session(threads: int) -> SparkSession:
    """On this machine alone; a cluster's is made by whoever has the cluster."""
    made: SparkSession = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.sql.shuffle.partitions", threads)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    return made


def _likeness(one: str | None, other: str | None) -> float | None:
    return None if one is None or other is None else JaroWinkler.similarity(one, other)


def hand_over(connection: duckdb.DuckDBPyConnection, artefact: Artefact, folder: Path) -> None:
    """What linkage filled and blocked, and how common the values of each column are, as Parquet."""
    linkage.fill_terms(connection, artefact.terms)
    for table in ("people", "pairs", *(f"terms_{column}" for column in artefact.terms)):
        linkage.run(connection, f"copy {table} to '{folder / table}.parquet' (format parquet)")


def weigh(spark: SparkSession, artefact: Artefact, folder: Path) -> Any:  # noqa: ANN401 - a DataFrame of Spark's
    """`id_l`, `id_r` and `match_weight` of all pairs in the folder."""

    def table(name: str) -> Any:  # noqa: ANN401 - Splink's
        return api.register(spark.read.parquet(f"{folder / name}.parquet"))

    # The one in Splink's jar measures otherwise: radha and ruhada are 0.86 alike to it, and 0.89 to all others.
    spark.udf.register("likeness", _likeness, "double")
    written = json.dumps(linkage.settings(artefact))
    for ours, theirs in _OTHER_WORDS.items():
        written = written.replace(ours, theirs)
    api = SparkAPI(spark_session=spark, break_lineage_method="persist", num_partitions_on_repartition=2, register_udfs_automatically=False)
    linker = Linker(table("people"), json.loads(written) | {"sql_dialect": "spark"}, log_level=None)
    for column in artefact.terms:
        linker.table_management.register_term_frequency_lookup(table(f"terms_{column}"), column)
    linker.table_management.register_blocked_pairs_for_predict(table("pairs"))
    return linker.inference.predict(warning_mode="never").as_spark_dataframe()
