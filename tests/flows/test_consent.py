"""A withdrawal, from the bookkeeper's phone to the vault, the profile and the duplicate check, over real processes, killed and told twice."""

import os
import signal
from pathlib import Path

import pytest

from deploy.demo import books, cast
from deploy.machine.provision import SAMPLE_RESIDENTS
from protos import identity_pb2, profiles_pb2
from tests.flows.test_members import enrol
from tests.flows.world import database, make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def group(world):
    return make_groups(world, world.up, 1)[0]


@pytest.fixture(scope="module")
def residents(world):
    """The last ones of this run: the tests of members draw from the first."""
    everybody = cast.residents(Path(world.up.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"]))
    return iter(reversed(everybody[len(cast.residents(SAMPLE_RESIDENTS)) :]))


def consents(group, member_id):
    return group.keeper(group.keeper.identity.ListConsents, identity_pb2.ListConsentsRequest(member_id=member_id)).consents


def withdraw(group, consent_id):
    said = identity_pb2.WithdrawConsentRequest(consent_id=consent_id, channel="ASSISTED")
    return group.keeper(group.keeper.identity.WithdrawConsent, said)


def token_of(group, member_id):
    """What profiles and the duplicate check know her by."""
    found = []
    with database(group.state, "profiles") as tables:
        live = "select coalesce(s.identity_token, m.identity_token, '') from members m left join submissions s on s.record_id = m.id where m.id = %s"
        found.append(tables.execute(live, [member_id]).fetchone()[0])
    with database(group.state, "dedup") as tables:
        found += [row[0] for row in tables.execute("select identity_token from people where member_id = %s", [member_id])]
    return found


def number_held(group, member_id):
    with database(group.state, "identity") as tables:
        [reference] = [row[0] for row in tables.execute("select reference from kycs where member_id = %s", [member_id])]
    with database(group.state, "vault") as tables:
        return tables.execute("select count(*) from numbers where reference = %s", [reference]).fetchone() == (1,)


def verified(group, member_id):
    manager = group.state.manager
    return manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id)).identity_verified


def forgotten(group, member_id):
    return token_of(group, member_id) == ["", ""] and not number_held(group, member_id)


def test_a_withdrawal_reaches_the_vault_the_profile_and_the_duplicate_check(group, residents):
    member = enrol(group, strange_name(), strange_name(), next(residents))
    assert verified(group, member.member_id)
    assert all(token_of(group, member.member_id))
    [given] = consents(group, member.member_id)
    assert given.holds
    assert not withdraw(group, given.consent_id).holds
    books.wait_until("all have forgotten", lambda: forgotten(group, member.member_id), 60)
    assert not verified(group, member.member_id)
    asked = identity_pb2.StartKycRequest(member_id=member.member_id, aadhaar_number=next(residents)["number"], consent_id=given.consent_id)
    assert books.refusal_of(lambda: group.keeper(group.keeper.identity.StartKyc, asked)).code == "CONSENT_WITHDRAWN"


def test_told_twice_with_the_consumer_killed_between_it_counts_once_and_spares_what_came_since(world, group, residents):
    resident = next(residents)
    member = enrol(group, strange_name(), strange_name(), resident)
    [given] = consents(group, member.member_id)
    os.kill(world.machine.pid("up-consume"), signal.SIGKILL)
    withdraw(group, given.consent_id)
    books.wait_until("all have forgotten", lambda: forgotten(group, member.member_id), 120)
    with database(group.state, "profiles") as tables:
        version = tables.execute("select version from members where id = %s", [member.member_id]).fetchone()
    with database(group.state, "identity") as tables:  # As after a crash between publishing and marking: the relay sends it again.
        told = "select id from outbox where event = 'ConsentWithdrawn' and subject = %s and sent_at is not null"
        tables.execute("update outbox set sent_at = null where event = 'ConsentWithdrawn' and subject = %s", [member.member_id])
        os.kill(world.machine.pid("up-consume"), signal.SIGKILL)
        books.wait_until("the relay sent it again", lambda: tables.execute(told, [member.member_id]).fetchone())
    behind = enrol(group, strange_name(), strange_name(), next(residents))
    [after] = consents(group, behind.member_id)
    withdraw(group, after.consent_id)
    books.wait_until("what was told behind it is heard", lambda: forgotten(group, behind.member_id), 120)
    with database(group.state, "profiles") as tables:
        assert tables.execute("select version from members where id = %s", [member.member_id]).fetchone() == version
        assert tables.execute("select count(*) from parked where replayed_at is null").fetchone() == (0,)
    # She consents anew, and is verified anew: what she withdrew does not come back upon her.
    rejected = profiles_pb2.RejectMemberRequest(member_id=member.member_id, revision=1, reasons=["OTHER"], remark="Verify her again")
    group.state.manager(group.state.manager.profiles.RejectMember, rejected)
    attestation = cast.verify_identity(group.keeper, member.member_id, group.institution_id, resident).attestation
    books.submit(group.keeper, member, attestation)
    books.screened(group.state.manager, member.member_id, 2)
    assert verified(group, member.member_id)
