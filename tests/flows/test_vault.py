"""The vault over real processes: away and back, its keys changed while women are enrolled, and its key where nothing is parsed."""

import os
import signal
import threading
from pathlib import Path

import pytest

from deploy.demo import books, cast
from deploy.demo.cast import run_in
from deploy.machine.keys import vault_keys
from deploy.machine.provision import SAMPLE_RESIDENTS
from protos import identity_pb2, profiles_pb2
from services.kernel.ids import uuid7
from tests.flows.test_consent import forgotten, withdraw
from tests.flows.test_members import enrol
from tests.flows.world import database, make_groups, strange_name
from tests.identity.test_vault import holds

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

WOMEN = 12
SERVE = "up-serve"


@pytest.fixture(scope="module")
def group(world):
    return make_groups(world, world.up, 1)[0]


@pytest.fixture(scope="module")
def residents(world):
    """From the middle of this run's: others draw from both ends."""
    everybody = cast.residents(Path(world.up.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"]))
    fresh = everybody[len(cast.residents(SAMPLE_RESIDENTS)) :]
    return iter(fresh[len(fresh) // 2 :])


@pytest.fixture
def away(world):
    """Takes the keys' file away, and puts it back whatever happens."""
    file = world.up.instance.vault_keys_file
    hidden = file.with_name("taken away")
    yield lambda: file.rename(hidden), lambda: hidden.rename(file)
    if hidden.exists():
        hidden.rename(file)


def start(group, member_id, resident, consent_id, **ways):
    request = identity_pb2.StartKycRequest(member_id=member_id, aadhaar_number=resident["number"], consent_id=consent_id)
    return group.keeper(group.keeper.identity.StartKyc, request, **ways)


def confirm(group, kyc_id, resident, **ways):
    return group.keeper(group.keeper.identity.ConfirmKyc, identity_pb2.ConfirmKycRequest(kyc_id=kyc_id, otp=resident["otp"]), **ways)


def hand_in(group, member_id, attestation=""):
    """A member as the device makes her, compared."""
    member = profiles_pb2.Member(
        member_id=member_id,
        institution_id=group.institution_id,
        name=strange_name(),
        gender="FEMALE",
        birth_year=1985,
        relation="SPOUSE",
        relation_name=strange_name(),
        social_category="OBC",
        joined_on="2016-01-01",
    )
    books.submit(group.keeper, member, attestation)
    return books.screened(group.state.manager, member_id, 1)


def test_while_the_vault_is_away_women_are_enrolled_without_it_and_verified_when_it_is_back(group, residents, away):
    take, bring_back = away
    waiting, enrolled = ((str(uuid7()), next(residents)) for _ in range(2))
    agreed = [cast.consent(group.keeper, member_id, group.institution_id, "AADHAAR_ONLINE").consent_id for member_id, _ in (waiting, enrolled)]
    begun = start(group, waiting[0], waiting[1], agreed[0])
    take()
    for ask in (lambda: start(group, *enrolled, agreed[1]), lambda: confirm(group, begun.kyc_id, waiting[1])):
        refused = books.refusal_of(ask)
        assert (refused.code, refused.status.name) == ("VAULT_AWAY", "UNAVAILABLE")
    assert not hand_in(group, enrolled[0]).identity_verified
    later = threading.Timer(3, bring_back)
    later.start()
    answer = confirm(group, begun.kyc_id, waiting[1], retry_seconds=60)  # As a device does: it goes on asking.
    later.join()
    assert hand_in(group, waiting[0], answer.attestation).identity_verified
    again = start(group, *enrolled, agreed[1])
    assert confirm(group, again.kyc_id, enrolled[1]).attestation


def keeper_of(world):
    """The vault's keeper of UP's serve."""
    serve = world.machine.pid(SERVE)
    children = Path(f"/proc/{serve}/task/{serve}/children")
    everybody = [int(pid) for task in Path(f"/proc/{serve}/task").iterdir() for pid in (task / children.name).read_text().split()]
    return next(pid for pid in everybody if b"services.identity.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_keeper_that_was_killed_is_there_again_for_the_next_woman(world, group, residents):
    enrol(group, strange_name(), strange_name(), next(residents))
    was = keeper_of(world)
    os.kill(was, signal.SIGKILL)
    member_id, resident = str(uuid7()), next(residents)
    agreed = cast.consent(group.keeper, member_id, group.institution_id, "AADHAAR_ONLINE").consent_id
    begun = start(group, member_id, resident, agreed, retry_seconds=30)
    assert confirm(group, begun.kyc_id, resident, retry_seconds=30).attestation
    assert keeper_of(world) != was


def test_the_keys_are_in_the_keeper_and_in_no_process_that_reads_what_strangers_send(world, group, residents):
    enrol(group, strange_name(), strange_name(), next(residents))
    keeper, held = keeper_of(world), vault_keys(world.up.instance)
    key = bytes.fromhex(held[max(held, key=lambda name: (name.startswith("vault key"), len(name), name))])
    assert holds(keeper, key)
    processes = {name: world.machine.pid(name) for name in world.machine.programs if name.startswith("up-")}
    assert SERVE in processes
    for name, pid in processes.items():
        assert not holds(pid, key), name
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert not any(one.encode() in environment for one in held.values()), name
    environment = Path(f"/proc/{keeper}/environ").read_text().split("\0")
    named = {line.partition("=")[0] for line in environment if line}
    assert named <= {"PATH", "PYTHONPATH", "VAULT_DATABASE_URL", "DATABASE_CONNECTIONS_MAX", "LOKOS_VAULT_KEYS", "LOKOS_VAULT_KEYS_FILE", "LC_CTYPE"}


@pytest.mark.parametrize("way", [[], ["--data-keys"], ["--index-key"]])
def test_the_keys_are_changed_while_women_are_verified_and_withdraw(world, group, residents, way):
    """Nothing lost, nothing twice, no orphan: each who stays is found again by her token, each who withdrew is gone."""
    said, staying, left = [], {}, []

    def rotate():
        said.append(run_in(world.up.instance, "services.identity", "vault", "rotate", *way))

    rotating = threading.Thread(target=rotate)
    rotating.start()
    for number in range(WOMEN):
        resident, member_id = next(residents), str(uuid7())
        agreed = cast.consent(group.keeper, member_id, group.institution_id, "AADHAAR_ONLINE").consent_id
        begun = start(group, member_id, resident, agreed, retry_seconds=30)
        confirm(group, begun.kyc_id, resident, retry_seconds=30)
        if number % 3:
            staying[member_id] = resident
        else:
            withdraw(group, agreed)
            left.append(member_id)
    rotating.join()
    assert "all are" in said[0]
    for member_id in left:
        books.wait_until("her number is gone", lambda member_id=member_id: references(group, [member_id], "tombstones"))
    assert len(references(group, staying, "numbers")) == len(staying)
    assert not references(group, left, "numbers")
    for resident in staying.values():  # Who is handed in again is the same record, not a second one.
        other = str(uuid7())
        agreed = cast.consent(group.keeper, other, group.institution_id, "AADHAAR_ONLINE").consent_id
        start(group, other, resident, agreed)
        staying = staying | {other: resident}
    assert len(references(group, staying, "numbers")) == len(staying) // 2
    assert "opened but 0;" in run_in(world.up.instance, "services.identity", "vault", "check")
    counted = run_in(world.up.instance, "services.identity", "vault", "status")
    assert "NOT THERE" not in counted
    assert "ended" in counted


def references(group, member_ids, table):
    """Which of the members' references stand in a table of the vault."""
    with database(group.state, "identity") as tables:
        held = [row[0] for row in tables.execute("select reference from kycs where member_id = any(%s)", [list(member_ids)])]
    assert held
    with database(group.state, "vault") as tables:
        return {row[0] for row in tables.execute(f"select reference from {table} where reference = any(%s)", [held])}


def test_who_withdraws_leaves_a_tombstone_and_may_begin_anew(group, residents):
    resident = next(residents)
    member = enrol(group, strange_name(), strange_name(), resident)
    [given] = group.keeper(group.keeper.identity.ListConsents, identity_pb2.ListConsentsRequest(member_id=member.member_id)).consents
    withdraw(group, given.consent_id)
    books.wait_until("she is forgotten", lambda: forgotten(group, member.member_id))
    assert references(group, [member.member_id], "tombstones")
    again = enrol(group, strange_name(), strange_name(), resident)
    assert again.identity_verified
    assert references(group, [again.member_id], "numbers") != references(group, [member.member_id], "tombstones")
