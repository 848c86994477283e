"""The model on Splink's Spark backend is the model on DuckDB: the same weight of each pair. Optional: it needs Java and .venv-spark."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
MEMBERS = 2000
COMPARED = f"""
import json, sys
from collections import Counter
from pathlib import Path
from loadtests.nation.records import invented
from services.dedup.adapters import linkage, spark
from services.dedup.rules import model, person
from services.kernel.approval import Status

folder = Path(sys.argv[1])
people = [person(record, Status.ACTIVE) for record in invented({MEMBERS}, 11)[0]]
artefact = model.default().for_state_of(len(people)).with_villages(Counter(one.village for one in people))
connection = linkage.connect()
linkage.fill(connection, people)
linkage.block(connection)
weighed = linkage.run(connection, f"select id_l, id_r, match_weight from {{linkage.weigh(connection, artefact)}}")
by_duckdb = {{(one, other): bits for one, other, bits in weighed}}
spark.hand_over(connection, artefact, folder)
weighed = spark.weigh(spark.session(2), artefact, folder).select("id_l", "id_r", "match_weight").collect()
by_spark = {{(row["id_l"], row["id_r"]): row["match_weight"] for row in weighed}}
apart = max(abs(by_spark[pair] - bits) for pair, bits in by_duckdb.items()) if by_spark.keys() == by_duckdb.keys() else None
print(json.dumps([len(by_duckdb), len(by_spark), apart]))
"""


@pytest.fixture
def python():
    """The interpreter that has PySpark."""
    program = Path(os.environ.get("LOKOS_SPARK_PYTHON", ROOT / ".venv-spark" / "bin" / "python"))
    if not shutil.which("java"):
        pytest.skip("SPARK IS NOT TESTED: there is no Java; on Debian, `apt-get install default-jre-headless` gives it")
    if not program.exists() or subprocess.run([program, "-c", "import pyspark, splink"], check=False, capture_output=True).returncode:
        install = ".venv-spark/bin/pip install --require-hashes -r requirements-spark.txt"
        pytest.skip(f"SPARK IS NOT TESTED: `python3 -m venv .venv-spark && {install}` makes .venv-spark, half a gigabyte")
    return str(program)


def test_spark_gives_each_pair_the_weight_that_duckdb_gives(python, tmp_path):
    environment = os.environ | {"PYSPARK_PYTHON": python, "SPARK_LOCAL_DIRS": str(tmp_path), "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run([python, "-c", COMPARED, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    in_duckdb, in_spark, apart = json.loads(done.stdout.splitlines()[-1])
    assert in_duckdb == in_spark > 1000
    assert apart is not None, "they weigh other pairs"
    assert apart < 1e-9
