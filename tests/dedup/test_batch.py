"""A whole state compared with itself: what one by one says of each pair; against a real PostgreSQL; killed in mid-run; in any order."""

import csv
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import asdict, replace
from itertools import combinations, product
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

pytest.importorskip("duckdb", reason="A BATCH IS NOT TESTED: `make setup` installs DuckDB")

from loadtests.nation.records import invented
from services.chassis import audit, database
from services.dedup import commands, jobs, queries
from services.dedup.adapters import batches
from services.dedup.adapters.whole import COLUMNS, Limits, Whole
from services.dedup.rules import ARMS, BIRTH_YEARS_APART_MAX, Thresholds, Verdict, Yardstick, batch, judge, model, person
from services.dedup.rules.verdicts import PAPER, SAME_PAPER, weigh
from services.dedup.tables import batch_pairs, contested, matches, models, people, screenings
from services.dedup.tables import batches as runs
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.errors import Conflict, NotFound
from services.kernel.ids import uuid7

SERVICE = "dedup"
ROOT = Path(__file__).parents[2]
LIMITS = Limits(threads=1, memory_mb=1000)
MEMBERS, PAIRS, DOCUMENTS = 30_000, 10_000, 200
ADMIN = Caller("IUP_ADMIN", Role.STATE_ADMIN, "9")


def manager(region):
    return Caller("IUP_MANAGER", Role.STATE_PROGRAM_MANAGER, region)


# --- One by one, as the rules have it.


def calm(persons):
    """Nobody with a phone, an account or a document that too many share."""
    shown = Counter(document for one in persons for document in one.documents)
    most = next(arm.most for arm in ARMS if arm.any_of)
    persons = [replace(one, documents=tuple(document for document in one.documents if shown[document] <= most + 1)) for one in persons]
    for arm in ARMS:
        if len(arm.columns) == 1 and not arm.certain and not arm.any_of:
            [column] = arm.columns
            held = Counter(getattr(one, column) for one in persons)
            persons = [replace(one, **{column: getattr(one, column) if held[getattr(one, column)] <= arm.most + 1 else ""}) for one in persons]
    return persons


def met(persons):
    """Whoever finds another by any arm."""
    found = set()
    for arm in ARMS:
        groups = defaultdict(list)
        for place, one in enumerate(persons):
            if arm.serves(one):
                for key in one.documents if arm.any_of else [tuple(getattr(one, column) for column in arm.columns)]:
                    groups[key].append(place)
        for group in groups.values():
            if not arm.near_year:
                found.update(combinations(group, 2) if arm.certain or len(group) <= arm.most + 1 else ())
                continue
            born = Counter(persons[one].birth_year for one in group)
            near = range(-BIRTH_YEARS_APART_MAX, BIRTH_YEARS_APART_MAX + 1)
            looking = [one for one in group if sum(born[persons[one].birth_year + apart] for apart in near) <= arm.most + 1]
            found.update(
                tuple(sorted(pair))
                for pair in product(looking, group)
                if pair[0] != pair[1] and abs(persons[pair[0]].birth_year - persons[pair[1]].birth_year) <= BIRTH_YEARS_APART_MAX
            )
    return found


def judged(persons, pairs, by):
    """By both ids, the lesser first: what the rules say."""
    said = {}
    for pair in pairs:
        one, other = sorted((persons[place] for place in pair), key=lambda each: each.member_id)
        score = weigh(one, other, by.model)
        said[one.member_id, other.member_id] = score.bits, *judge(score, by.thresholds)
    return said


# --- At once.


def _written(value):
    """As PostgreSQL does."""
    return f"{{{','.join(value)}}}" if isinstance(value, tuple) else value


def write(persons, file):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([_written(getattr(one, column)) for column in COLUMNS] for one in persons)
    return file


def compared(folder, file, likelier=0.0, *, small=False):
    """What a batch finds of a file of people; with `likelier` a double is so much more usual, and so all the more pairs are shown."""
    made = Whole(folder, LIMITS)
    made.take(file)
    artefact = model.default().for_state_of(made.count("written")).with_villages(made.villages())
    if small:  # As it is put to use.
        artefact = batch.of_state(model.default(), made.villages(), made.count("written"))
    if likelier:
        artefact = replace(artefact, prior=likelier)
    by = Yardstick(artefact, Thresholds())
    made.know(by)
    for arm in ARMS:
        made.meet(by, arm)
    made.gather(by.thresholds)
    rows = made.run(f"select bits, {', '.join(batches.PAIR)} from pairs")
    made.close()
    return by, {(row[1], row[2]): dict(zip(("bits", *batches.PAIR), row, strict=True)) for row in rows}


def paper(one):
    return {document for document in one.documents if document.startswith(PAPER)}


def findings(found):
    return {pair: (row["bits"], row["verdict"], row["override"]) for pair, row in found.items()}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Invented members, and the file of them."""
    persons = [person(record, Status.ACTIVE) for record in invented(MEMBERS, 5)[0]]
    dice = random.Random(5)
    for number in range(DOCUMENTS):  # Each shown by two, whoever they are; some of them show another besides, which too many show.
        for place in dice.sample(range(MEMBERS), 2):
            documents = (f"PAN:{number}", "VOTER_ID:1") if number % 3 else (f"PAN:{number}",)
            persons[place] = replace(persons[place], documents=documents)
    for number in range(DOCUMENTS):  # And each signed paper by two, of whom some have two identities.
        for place in dice.sample(range(MEMBERS), 2):
            persons[place] = replace(persons[place], documents=(f"{PAPER}{number:X}", *persons[place].documents))
    return persons, write(persons, tmp_path_factory.mktemp("state") / "people.csv")


def test_ten_thousand_pairs_are_weighed_and_judged_as_they_are_one_by_one(state, tmp_path):
    persons, file = state
    by, found = compared(tmp_path / "b", file, likelier=1 - 1e-4)  # Many more are shown, on both sides of each threshold.
    persons = calm(persons)
    place = {one.member_id: number for number, one in enumerate(persons)}
    drawn = random.Random(5).sample(sorted(found), PAIRS)
    said = judged(persons, [(place[one], place[other]) for one, other in drawn], by)
    seen = Counter()
    for pair in drawn:
        bits, verdict, override = said[pair]
        row = found[pair]
        assert abs(row["bits"] - bits) <= 1e-9
        assert (row["verdict"], row["override"], row["weight_centibits"]) == (verdict, override, floor(bits * 100)), pair
        seen[override] += 1
    assert min(seen[each] for each in ("OFFICER", "SUPERVISOR")) > 100, seen


def test_one_document_is_enough(state, tmp_path):
    persons, file = state
    _, found = compared(tmp_path / "b", file)
    shown = defaultdict(set)
    for one in persons:
        shown.update({document: shown[document] | {one.member_id} for document in one.documents if not document.startswith(PAPER)})
    pairs = [tuple(sorted(two)) for document, two in shown.items() if len(two) == 2]
    assert len(shown["VOTER_ID:1"]) > 21
    assert len(pairs) > DOCUMENTS / 2
    assert {found[pair]["override"] for pair in pairs} <= {"SUPERVISOR", "NOBODY"}


def test_a_batch_finds_whom_the_arms_let_meet_and_the_model_shows(state, tmp_path):
    persons, file = state
    by, found = compared(tmp_path / "b", file)
    persons = calm(persons)
    candidates = met(persons)
    assert len(candidates) > 5 * PAIRS
    drawn = random.Random(6).sample(sorted(candidates), PAIRS)
    place = {one.member_id: number for number, one in enumerate(persons)}
    numbered = {tuple(sorted((place[one], place[other]))) for one, other in found}
    assert numbered <= candidates
    said = judged(persons, numbered | set(drawn), by)
    assert {pair: one for pair, one in said.items() if one[1] is not Verdict.CLEAR} == {
        pair: (pytest.approx(bits, abs=1e-9), verdict, override) for pair, (bits, verdict, override) in findings(found).items()
    }
    assert {row["verdict"] for row in found.values()} == {"POTENTIAL", "CONFIRMED"}
    one_paper = [weigh(persons[one], persons[other], by.model) for one, other in candidates if paper(persons[one]) & paper(persons[other])]
    told = Counter(SAME_PAPER in score.clues for score in one_paper)
    assert min(told[True], told[False]) > 10, told  # Two identities are two women, whatever their papers say.


def test_a_state_that_has_only_begun_is_counted_as_a_small_one():
    own = model.default()
    assert batch.of_state(own, {1: 12}, 12) == batch.of_state(own, {1: 300}, batch.MEMBERS_LEAST - 1) == own.for_state_of(batch.MEMBERS_LEAST)
    assert batch.of_state(own, {1: 60_000, 2: 40_000}, 100_000).members == 100_000
    small = own.for_state_of(8000)
    assert batch.of_state(small, {1: 8000}, 8000).members == 8000


def test_the_order_of_the_rows_changes_nothing(state, tmp_path):
    persons, file = state
    shuffled = write(random.Random(7).sample(persons, len(persons)), tmp_path / "shuffled.csv")
    assert compared(tmp_path / "a", file)[1] == compared(tmp_path / "b", shuffled)[1]


ids = st.integers(0, 30)


@given(st.lists(st.tuples(ids, ids)), st.randoms())
def test_whoever_hangs_together_is_one_cluster_in_whatever_order(pairs, dice):
    found = batch.clusters(pairs)
    assert found.keys() == {one for pair in pairs for one in pair}
    assert all(found[one] == found[other] for one, other in pairs)
    assert batch.clusters([dice.choice([pair, pair[::-1]]) for pair in dice.sample(pairs, len(pairs))]) == found
    for name in set(found.values()):  # And nobody else is in it.
        reached, waiting = set(), [name]
        while waiting:
            one = waiting.pop()
            reached.add(one)
            waiting += [a if one == b else b for a, b in pairs if one in {a, b} and not {a, b} <= reached]
        assert reached == {one for one, cluster in found.items() if cluster == name}
        assert name == min(reached)


# --- In the database.


@pytest.fixture
def books(up, tmp_path, monkeypatch):
    """A state of few members in a real database, committed; afterwards nothing of it is left."""
    monkeypatch.setenv("DEDUP_BATCH_FOLDER", str(tmp_path / "work"))
    monkeypatch.setenv("DEDUP_BATCH_THREADS", "1")
    monkeypatch.setattr(os, "nice", lambda _: None)  # The tests go on.
    made = [person(record, Status.SUBMITTED) for record in invented(1500, 9)[0]]
    mine = [one.member_id for one in made]
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(runs))
        connection.execute(insert(people), [{**asdict(one), "version": 1} for one in made])
    yield made
    with database.transaction(SERVICE) as connection:
        for table in (people, screenings, matches, contested):
            connection.execute(delete(table).where(table.c.member_id.in_(mine)))
        connection.execute(delete(batch_pairs))
        connection.execute(delete(runs))
        connection.execute(delete(models))


def start():
    batch_id = uuid7()
    with database.transaction(SERVICE) as connection:
        batches.start(connection, ADMIN, batch_id)
    return batch_id


def ran(batch_id):
    with database.reading(SERVICE) as connection:
        return batches.find(connection, batch_id)


def stored():
    with database.reading(SERVICE) as connection:
        rows = connection.execute(select(*(batch_pairs.c[name] for name in batches.PAIR))).mappings().all()
    return {(row["one_id"], row["other_id"]): dict(row) for row in rows}


def run_program(*words, **more):
    return subprocess.Popen([sys.executable, "-m", "services.dedup", "batch", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, **more)


def test_a_batch_nominates_and_the_screening_decides(books, tmp_path):
    batches.write_people(SERVICE, COLUMNS, tmp_path / "people.csv")
    expected = compared(tmp_path / "b", tmp_path / "people.csv", small=True)[1]
    batch_id = start()
    phases = []
    jobs.carry_out(SERVICE, lambda phase, *_: phases.append(phase))
    row = ran(batch_id)
    assert (row["state"], row["phases_done"], row["error"]) == ("DONE", len(batch.PHASES), "")
    assert tuple(dict.fromkeys(phases)) == batch.PHASES
    found = stored()
    assert found == {pair: {name: one[name] for name in batches.PAIR} for pair, one in expected.items()}
    assert row["pairs"] == len(found) > 10
    assert row["members"] >= len(books)
    assert row["clusters"] == len({one["cluster_id"] for one in found.values() if one["cluster_id"]}) > 0
    proofs = [pair for pair, one in found.items() if one["verdict"] == "CONFIRMED" and set(pair) <= {one.member_id for one in books}]
    assert proofs
    with database.reading(SERVICE) as connection:
        for one, other in proofs:
            screening = queries.screening(connection, one)[0]
            assert screening.verdict is Verdict.CONFIRMED
            assert other in {match.other_id for match in screening.matches}
    assert row["screened_again"] >= len({one for pair in proofs for one in pair})
    assert not [one for one in (tmp_path / "work").rglob("*") if one.is_file()], "what is known of people stays nowhere else"


def test_who_was_screened_already_is_let_be(books):
    for one in books:
        with database.transaction(SERVICE) as connection:
            commands.rescreen(connection, one.member_id)
    with database.reading(SERVICE) as connection:
        before = connection.execute(select(screenings.c.member_id, screenings.c.version).where(screenings.c.verdict == "CONFIRMED")).all()
    batch_id = start()
    jobs.carry_out(SERVICE)
    assert ran(batch_id)["state"] == "DONE"
    with database.reading(SERVICE) as connection:
        after = connection.execute(select(screenings.c.member_id, screenings.c.version).where(screenings.c.verdict == "CONFIRMED")).all()
    assert sorted(before) == sorted(after)


def test_killed_in_mid_run_it_goes_on_and_finds_the_same(books):
    start()
    jobs.carry_out(SERVICE)
    undisturbed = stored()
    batch_id = start()
    with run_program() as child:
        assert any("arm_name_birth" in line for line in child.stdout), "it told how far it was"
        child.kill()
    row = ran(batch_id)
    assert (row["state"], row["starts"]) == ("RUNNING", 1)
    assert stored() == undisturbed, "what it has not finished, nobody sees"
    with run_program() as child:
        child.communicate()
    assert child.returncode == 0
    again = ran(batch_id)
    assert (again["state"], again["starts"], again["taken_at"]) == ("DONE", 2, row["taken_at"])
    assert stored() == undisturbed


def test_what_is_killed_again_and_again_fails_and_makes_room(books):
    batch_id = start()
    with database.transaction(SERVICE) as connection:
        connection.execute(update(runs).values(starts=batch.STARTS_MAX))
    jobs.carry_out(SERVICE)
    row = ran(batch_id)
    assert (row["state"], row["error"]) == ("FAILED", f"cut short {batch.STARTS_MAX} times")
    assert start() != batch_id


def test_what_fails_says_so(books, monkeypatch):
    monkeypatch.setenv("DEDUP_BATCH_MEMORY_MB", "1")
    batch_id = start()
    with pytest.raises(Exception, match=r".") as raised:
        jobs.carry_out(SERVICE)
    row = ran(batch_id)
    assert row["state"] == "FAILED"
    assert type(raised.value).__name__ in row["error"]


def test_only_one_carries_a_batch_out(books):
    batch_id = start()
    with batches.alone(SERVICE) as mine:
        assert mine
        jobs.carry_out(SERVICE)
        assert (ran(batch_id)["starts"], ran(batch_id)["phases_done"]) == (0, 0)
    with batches.alone(SERVICE) as mine:
        assert mine


def test_the_worker_starts_the_program_once(books, monkeypatch):
    jobs.run_batch.function(SERVICE, {})
    assert jobs._children == [], "nobody asked"
    batch_id = start()
    jobs.run_batch.function(SERVICE, {})
    jobs.run_batch.function(SERVICE, {})
    [child] = jobs._children
    assert child.wait() == 0
    assert (ran(batch_id)["state"], ran(batch_id)["starts"]) == ("DONE", 1)


# --- Asking for one, and its work list.


def test_a_batch_is_asked_for_once_and_two_never_run_together(connection):
    connection.execute(delete(runs))
    batch_id = uuid7()
    for _ in range(2):
        batches.start(connection, ADMIN, batch_id)
    with pytest.raises(Conflict, match="running already"):
        batches.start(connection, ADMIN, uuid7())
    assert batches.find(connection, None)["id"] == batch_id
    assert list(connection.execute(select(audit.audit.c.user_id).where(audit.audit.c.subjects.contains([str(batch_id)]))).scalars()) == ["IUP_ADMIN"]
    with pytest.raises(NotFound):
        batches.find(connection, uuid7())


HERE, NEAR = "99.978.9904.9977.99005", "99.978.9905.9978.99006"


def noted(connection, one_region, other_region, bits, verdict="POTENTIAL", override="OFFICER"):
    ids = sorted((uuid7(), uuid7()))
    row = {"batch_id": uuid7(), "one_id": ids[0], "other_id": ids[1], "one_region": one_region, "other_region": other_region}
    row |= {"one_revision": 1, "other_revision": 1, "weight_centibits": bits, "verdict": verdict, "override": override}
    connection.execute(insert(batch_pairs).values(row))
    return tuple(ids)


def listed(found):
    return [(row["one_id"], row["other_id"]) for row in found]


def test_the_work_list_is_bound_by_region_and_shows_the_gravest_first(connection):
    connection.execute(delete(batch_pairs))
    weak, grave = noted(connection, HERE, HERE, 100), noted(connection, HERE, NEAR, 900, override="SUPERVISOR")
    proof = noted(connection, NEAR, NEAR, 2500, "CONFIRMED", "NOBODY")
    state, block = manager("99"), manager("99.978.9904")
    assert listed(batches.pairs(connection, state, "", None, 9)) == [proof, grave, weak]
    assert listed(batches.pairs(connection, block, "", None, 9)) == [grave, weak]
    assert listed(batches.pairs(connection, state, "99.978.9905", None, 9)) == [proof, grave]
    assert listed(batches.pairs(connection, block, "99.978.9905", None, 9)) == []
    assert listed(batches.pairs(connection, state, "", (-2500, *proof), 1)) == [grave]
    assert listed(batches.pairs(connection, manager("98"), "", None, 9)) == []
    assert [tuple(row.values()) for row in batches.blocks(connection, state)] == [("99.978.9904", 2, 0, 1), ("99.978.9905", 2, 1, 1)]
    assert [tuple(row.values()) for row in batches.blocks(connection, block)] == [("99.978.9904", 2, 0, 1)]


def test_a_pair_of_which_a_record_is_another_since_is_marked(connection):
    connection.execute(delete(batch_pairs))
    pair = noted(connection, HERE, HERE, 100)
    rows = [{**asdict(person(record, Status.SUBMITTED)), "version": 1} for record in invented(1500, 9)[0][:2]]
    connection.execute(insert(people), [{**row, "member_id": member_id} for row, member_id in zip(rows, pair, strict=True)])
    assert [row["changed"] for row in batches.pairs(connection, manager("99"), "", None, 9)] == [False]
    connection.execute(update(people).where(people.c.member_id == pair[1]).values(revision=2))
    assert [row["changed"] for row in batches.pairs(connection, manager("99"), "", None, 9)] == [True]
    connection.execute(delete(people).where(people.c.member_id == pair[0]))
    assert [row["changed"] for row in batches.pairs(connection, manager("99"), "", None, 9)] == [True]
