"""What Splink makes of the model is what the service makes of it. Runs in .venv-dedup, where there is one."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.machine.layout import DEDUP_VENV
from services.dedup.rules import model
from services.kernel.names import NORMALISER_VERSION

ROOT = Path(__file__).parents[2]
MEMBERS, PAIRS = 60_000, 10_000  # Of three blocks.


@pytest.fixture(scope="module")
def python():
    """The interpreter that has Splink."""
    program = DEDUP_VENV / "bin" / "python"
    if not program.exists() or subprocess.run([program, "-c", "import splink"], check=False, capture_output=True).returncode:
        pytest.skip("SPLINK IS NOT TESTED: `python3 -m deploy.machine setup --dedup` makes .venv-dedup, some hundred megabytes")
    return str(program)


def run(python, *words):
    done = subprocess.run([python, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


COMPARED = f"""
import json
from collections import Counter
from dataclasses import replace
from loadtests.nation.records import invented
from services.dedup.adapters import linkage
from services.dedup.rules import ARMS, model, person
from services.kernel.approval import Status

most = next(arm.most for arm in ARMS if arm.name == "mobile")
people = [person(record, Status.ACTIVE) for record in invented({MEMBERS}, 11)[0]]
held = Counter(one.mobile for one in people)
people = [replace(one, mobile=one.mobile if held[one.mobile] <= most + 1 else "") for one in people]
artefact = model.default().for_state_of(len(people)).with_villages(Counter(one.village for one in people))
connection = linkage.connect()
linkage.fill(connection, people)
linkage.block(connection)
rows = linkage.run(connection, f"select id_l, id_r, match_weight from {{linkage.weigh(connection, artefact)}}")
codes = Counter()
apart = 0.0
for one, other, weight in rows:
    found = model.score(people[one], people[other], artefact)
    codes.update(clue.code for clue in found.clues)
    apart = max(apart, abs(weight - found.bits))
print(json.dumps([len(rows), apart, codes]))
"""


def test_splink_gives_each_pair_the_weight_that_the_service_gives(python):
    pairs, apart, met = json.loads(run(python, "-c", COMPARED))
    assert pairs > PAIRS
    assert apart < 1e-9
    unmet = {level.code for comparison in model.default().comparisons for level in comparison.levels} - set(met)
    # Where everybody says a place; and as far as nobody moves.
    assert unmet <= {"SAME_MOBILE", "MOBILE_OTHER", "SAME_MOBILE_ELSEWHERE"}


def test_a_state_trains_its_own_model_from_a_file(python, tmp_path):
    members, out = tmp_path / "members.parquet", tmp_path / "model.json.gz"
    run(python, "-m", "loadtests.bench_dedup_accuracy", "--size", str(MEMBERS), "--seed", "12", "--write", str(members))
    said = run(python, "-m", "services.dedup", "train", "--members", str(members), "--out", str(out), "--name", "of the tests", "--state", "UP")
    assert f"from {MEMBERS} members" in said
    trained = model.load(out)
    assert (trained.name, trained.state, trained.members) == ("of the tests", "UP", MEMBERS)
    assert trained.normaliser == NORMALISER_VERSION
    assert 0.7 < trained.prior * MEMBERS / 2 / 0.032 < 1.3  # Some 3.2 of a hundred members are somebody's double.
    rates = trained.rates
    assert rates["SAME_NAME"].m > 0.85
    assert rates["SAME_BIRTH_DATE"].bits > 10 > rates["SAME_BIRTH_YEAR"].bits > 0 > rates["BIRTH_DATE_OTHER"].bits
    assert rates["SAME_MOBILE"].bits <= rates["SAME_MOBILE_AND_VILLAGE"].bits


def test_members_may_come_as_csv_and_say_little(python, tmp_path):
    file = tmp_path / "members.csv"
    lines = [f"{place:032x},9.1.{place % 3}.4.{place % 7},Sunita {'abcdefgh'[place % 8]}eva,1980-02-{place % 28 + 1:02}" for place in range(200)]
    file.write_text("\n".join(["member_id,region,name,born_on", *lines]))
    out = tmp_path / "model.json"
    run(python, "-m", "services.dedup", "train", "--members", str(file), "--out", str(out))
    assert model.load(out).members == len(lines)
