"""A synthetic state by itself: the same inputs are the same rows, its proportions hold, and its labels are true."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from loadtests.nation import __main__ as command
from loadtests.nation import names, people
from loadtests.nation.plan import FIRST_VILLAGE, RATES, SHG_MEMBERS_MAX, SHG_MEMBERS_MIN, Inputs, Plan
from loadtests.nation.rows import Made
from services.identity.rules.user import INSTITUTIONS_MAX
from services.kernel import statefile
from services.kernel.caller import BOOKKEEPERS
from services.kernel.codes import check_code
from services.kernel.ids import parse_id
from services.kernel.names import clean_name, name_key, skeleton
from services.kernel.region import Level, check_region, level
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts
from services.profiles.rules.lists import DEFAULTS
from services.transactions.queries import WHOLE

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 1)


def state(code):
    return statefile.read((ROOT / f"deploy/states/{code}.toml").read_text(), code)


def inputs(code="UP", members=2000, **changes):
    return replace(Inputs(state(code), members, 2, "2026-10"), **changes)


def made(given):
    return [Made(plan, block, b"key", "hash") for plan in (Plan(given),) for block in plan.blocks]


def everything(given):
    return [(rows.service, rows.table, rows.columns, [tuple(row) for row in rows.rows]) for block in made(given) for rows in block.everything()]


@pytest.fixture(scope="module")
def blocks():
    """Enough for proportions: two blocks, without meetings."""
    return made(inputs(members=40_000, months=0))


def share(those, of):
    of = list(of)
    return sum(map(those, of)) / len(of)


def test_the_same_inputs_are_the_same_rows_and_another_seed_makes_others():
    once = everything(inputs(members=400))
    assert once == everything(inputs(members=400))
    other = everything(inputs(members=400, seed=2))
    assert {one[1] for one in once} == {one[1] for one in other}
    # Their values differ from row to row: ids, names, meetings; where nobody is pending or lends, nothing is compared.
    assert all(one[3] != two[3] for one, two in zip(once, other, strict=True) if one[3] and one[1] != "user_roles")


@pytest.mark.parametrize("members", [100, 777, 2000, 40_000])
def test_there_are_as_many_members_as_were_asked_for(members):
    plan = Plan(inputs(members=members))
    assert plan.shg_sizes.sum() == members
    assert plan.shg_sizes.min() >= SHG_MEMBERS_MIN
    assert plan.shg_sizes.max() <= SHG_MEMBERS_MAX


def test_the_plan_has_the_proportions_of_the_field():
    plan = Plan(inputs(members=1_000_000))
    assert plan.shg_sizes.mean() == pytest.approx(10.7, abs=0.05)
    assert plan.shg_sizes.std() == pytest.approx(1.6, abs=0.1)
    assert 1_000_000 / len(plan.village_paths) == pytest.approx(311, rel=0.05)
    assert len(plan.village_paths) / len(plan.blocks) == pytest.approx(85, rel=0.05)
    vos = plan.blocks[-1].first_vo + len(plan.blocks[-1].vo_gps) - 1
    assert len(plan.shg_sizes) / vos == pytest.approx(16.75, rel=0.1)
    assert vos / (plan.blocks[-1].first_clf + plan.blocks[-1].clfs - 1) == pytest.approx(16.4, rel=0.15)


def test_places_have_the_shape_of_lgds_and_are_none_of_them():
    for code in ("UP", "ML"):
        plan = Plan(inputs(code, members=30_000))
        places = {place.path: place for place in plan.places()}
        for path in plan.village_paths:
            assert level(check_region(path)) == Level.VILLAGE
            assert int(path.rpartition(".")[2]) >= FIRST_VILLAGE
            assert path.rpartition(".")[0] in places
        for place in places.values():
            assert clean_name(place.name, "name") == place.name
            assert clean_name(place.name_local, "name", needed=False) == place.name_local


@pytest.mark.parametrize("block", sorted(set(names.SCRIPTS.values())))
def test_a_name_in_its_script_is_keyed_as_in_latin_letters(block):
    heard = [
        name
        for stock in (names.WOMEN, names.WOMEN_MUSLIM, names.MEN, names.MEN_MUSLIM, names.SURNAMES)
        for words in stock.values()
        for name in words.split()
    ]
    alike = [name_key(names.script(name, block)).skeleton == name_key(names.latin(name)).skeleton for name in heard]
    # Tamil writes soft and hard alike, Bengali v as b.
    assert share(bool, alike) > (0.5 if block == names.TAMIL else 0.95)


def test_women_are_as_the_rates_say(blocks):
    women = [woman for block in blocks for woman in block.women]
    doubles = {pair.member_id for block in blocks for pair in block.pairs}
    plain = [woman for woman in women if woman.member_id not in doubles]
    assert share(lambda one: one.identity_token != "", plain) == pytest.approx(RATES["identity"], abs=0.01)
    assert share(lambda one: one.said.account_number != "", plain) == pytest.approx(RATES["account"], abs=0.01)
    assert share(lambda one: one.said.born_on is None, plain) == pytest.approx(1 - RATES["birth_exact"] - RATES["birth_first_of_january"], abs=0.01)
    dated = [one.said.born_on for one in plain if one.said.born_on]
    assert share(lambda one: (one.month, one.day) == (1, 1), dated) == pytest.approx(0.20 / 0.67, abs=0.02)
    assert share(lambda one: one.said.mobile == "", plain) == pytest.approx(1 - 0.60 - 0.18 - 0.06 - 0.003, abs=0.01)
    assert share(lambda one: one.said.mobile == people.DUMMY_MOBILE, plain) == pytest.approx(RATES["mobile_dummy"], abs=0.002)
    assert share(lambda one: one.said.relation == "SPOUSE", plain) == pytest.approx(RATES["relation_spouse"], abs=0.01)
    keys = Counter(name_key(one.said.name).fold for one in plain)
    assert 0.01 < keys["sunita"] / len(plain) < 0.04
    entitled = share(lambda one: skeleton(name_key(one.said.name).title) == skeleton("devi"), plain)
    assert entitled == pytest.approx(RATES["title"] * (1 - RATES["muslim"]), abs=0.08)


def test_every_woman_and_every_institution_would_be_taken_in_at_the_front_door(blocks):
    facts = Facts(TODAY, DEFAULTS)
    for block in blocks:
        formed = dict(zip(block.shg_ids, block.formed, strict=True))
        below = {}  # The active members of each institution and of those below it.
        for woman in block.women:
            shg_id, content = woman.said.institution_id, woman.content()
            assert member_rules.read(content, member_rules.InstitutionFacts(shg_id, formed[shg_id], "REGULAR"), facts) == content
            parse_id(str(woman.member_id), "member_id")
            if woman.active:
                below.setdefault(str(shg_id), set()).add(str(woman.member_id))
        held = {str(one.institution_id): one.content for one in block.institutions}
        for one in reversed(block.institutions):
            check_code(one.code, "code")
            assert institution_rules.read(one.content, facts) == one.content
            institution_rules.check_parent(one.content, held.get(one.parent_id))
            institution_rules.check_seats(one.content, below[str(one.institution_id)])
            below.setdefault(one.parent_id, set()).update(below[str(one.institution_id)])
        assert len({(one.region, one.kind, one.content["name"]) for one in block.institutions}) == len(block.institutions)


def test_a_pending_member_waits_and_nothing_of_her_is_live(blocks):
    rows = {part.table: [dict(zip(part.columns, row, strict=True)) for row in part.rows] for part in blocks[0].profiles()}
    pending = {row["id"] for row in rows["members"] if row["content"] is None}
    assert pending == {row["record_id"] for row in rows["submissions"]} == {woman.member_id for woman in blocks[0].women if not woman.active}
    assert {row["status"] for row in rows["submissions"]} == {"SUBMITTED"}
    assert all((row["code"] is None) == (row["id"] in pending) for row in rows["members"])


def test_no_bookkeeper_has_more_groups_than_she_may(blocks):
    for block in blocks:
        keepers = [user for user in block.users if user.role in BOOKKEEPERS]
        mapped = [institution for user in keepers for institution in user.institution_ids]
        assert all(len(user.institution_ids) <= 20 for user in keepers)
        assert all(len(user.institution_ids) <= INSTITUTIONS_MAX for user in block.users)
        assert sorted(mapped) == sorted(one.institution_id for one in block.institutions)


def test_a_planted_duplicate_is_what_its_label_says(blocks):
    kinds = Counter()
    for block in blocks:
        women = {woman.member_id: woman for woman in block.women}
        doubles = {pair.member_id for pair in block.pairs}
        assert len(doubles) / len(women) == pytest.approx(RATES["duplicates"], rel=0.1)
        for pair in block.pairs:
            kinds[pair.kind] += 1
            one, other = women[pair.member_id], women[pair.duplicate_of]
            assert pair.duplicate_of not in doubles
            assert pair.shares_identity == (one.identity_token == other.identity_token != "")
            assert pair.shares_account == (one.said.account_number == other.said.account_number != "")
            assert pair.pending == (not one.active)
            # Whoever is one woman never shows two identities.
            assert not (one.identity_token and other.identity_token and not pair.shares_identity)
            assert (one.shg == other.shg) == (pair.kind == people.Kind.TWICE_IN_GROUP)
            village, village_of_other = (block.block.shg_villages[each.shg] for each in (one, other))
            assert (village != village_of_other) == (pair.kind in {people.Kind.MARRIED, people.Kind.MOVED})
            if pair.kind == people.Kind.OTHER_SCRIPT:
                assert one.said.name == other.said.name_local != other.said.name
            if pair.kind == people.Kind.DELIBERATE:
                assert not one.identity_token
    for kind, expected in people.KIND_SHARES.items():
        assert kinds[kind] / kinds.total() == pytest.approx(expected, abs=0.04), kind
    assert share(lambda pair: pair.pending, (pair for block in blocks for pair in block.pairs)) == pytest.approx(0.10, abs=0.03)


def test_no_group_is_left_with_fewer_active_members_than_it_needs():
    for block in made(inputs(members=5000, months=0, pending_share=1.0)):
        active = Counter(woman.shg for woman in block.women if woman.active)
        assert min(active.values()) >= SHG_MEMBERS_MIN


def test_meetings_follow_each_other_and_the_last_of_some_is_not_approved():
    (block,) = made(inputs(members=3000, months=4))
    rows = {}
    for part in block.everything():
        if part.service == "transactions":
            rows.setdefault(part.table, []).extend(dict(zip(part.columns, row, strict=True)) for row in part.rows)
    numbers = {}
    for meeting in rows["meetings"]:
        numbers.setdefault(meeting["institution_id"], []).append((meeting["number"], meeting["held_on"], meeting["status"]))
    for held in numbers.values():
        assert [number for number, _, _ in held] == [1, 2, 3, 4]
        assert [day.month for _, day, _ in held] == [7, 8, 9, 10]
        assert [status for _, _, status in held][:3] == ["APPROVED"] * 3
    assert share(lambda held: held[3][2] == "CLOSED", numbers.values()) == pytest.approx(RATES["unapproved"], abs=0.08)
    assert len(numbers) / len(block.shg_ids) == pytest.approx(0.95, abs=0.05)
    assert sum(balance["paise"] > 0 for balance in rows["balances"] if balance["head"] == "A01" and balance["of_id"] != WHOLE) > 50
    assert {loan["loan_id"] for loan in rows["loans"]} == {
        str(of) for of in (row["of_id"] for row in rows["balances"] if row["interest_paise"] is not None)
    }
    assert block.meetings == len(rows["meetings"])
    assert {meeting["flags"] for meeting in rows["meetings"]} == {"{}"}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000", 1000), ("1,00,000", 100_000), ("1lakh", 100_000), ("10 lakh", 1_000_000), ("2.5crore", 25_000_000), ("0.07crore", 700_000)],
)
def test_members_as_people_say_them(text, number):
    assert command.members(text) == number
    assert command.members(command.said(number)) == number


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--state", "UP"], "say how many"),
        (["--state", "UP", "--members", "many"], "is no number of members"),
        (["--state", "UP", "--members", "0.000001crore"], "is no number of members"),
        (["--state", "UP", "--members", "30crore"], "from 100 to 20 crore"),
        (["--state", "UP", "--members", "1000", "--months", "-1"], "is no number of months"),
        (["--state", "UP", "--members", "1000", "--last-month", "2099-01"], "has not come yet"),
        (["--state", "UP", "--members", "1000", "--meetings-share", "2"], "from 0 to 1"),
        (["--state", "UP", "--members", "1000", "--rate", "luck=0.5"], "there is no rate 'luck'"),
        (["--nation", "--measure"], "are about one state"),
        (["--members", "1000"], "one of the arguments --state --nation is required"),
        (["--state", "UP", "--members", "1000", "--workers", "0"], "there must be a worker"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_words(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nation", *arguments])
    with pytest.raises(SystemExit) as refused:
        command.main()
    assert refused.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_state_that_is_none_or_not_here_is_refused(capsys, monkeypatch):
    for code, words in (("XX", "There is no state XX"), ("WB", "There is no state WB on this machine")):
        for what in (["--members", "1000"], ["--measure"], ["--clear"]):
            monkeypatch.setattr(sys, "argv", ["nation", "--state", code, *what])
            assert command.main() == 1
            assert words in capsys.readouterr().err


def test_a_dry_run_counts_and_needs_no_instance():
    words = ["--state", "WB", "--members", "500", "--dry-run", "--workers", "1"]
    done = subprocess.run([sys.executable, "-m", "loadtests.nation", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WB profiles.members: 500\n" in done.stdout
    assert "WB transactions, bytes: " in done.stdout


def test_the_weights_are_those_of_every_state_and_add_up():
    assert set(command.WEIGHTS) == {file.stem for file in (ROOT / "deploy/states").glob("*.toml")}
    assert sum(command.WEIGHTS.values()) == pytest.approx(1000, abs=1)
