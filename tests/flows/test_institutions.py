"""The duplicate check of institutions over real processes: one account is one group whatever it is called, a like name is for the officer."""

from datetime import timedelta

import pytest

from deploy.demo import books
from protos import profiles_pb2
from services.kernel.ids import uuid7
from tests.flows.world import FORMED, make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

NAME = strange_name().replace(" ", "")


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, 2, [f"Jai Maa {NAME} SHG", f"{strange_name()} SHG"])


def found(world, group):
    manager = world.up.manager
    return manager(manager.profiles.GetInstitution, profiles_pb2.GetInstitutionRequest(institution_id=group.institution_id))


def test_the_same_account_is_confirmed_whatever_the_name_and_nobody_lets_it_in(world, groups):
    first, manager = groups[0], world.up.manager
    account = profiles_pb2.BankAccount()
    account.CopyFrom(found(world, first).accounts[0])
    account.row_id = str(uuid7())
    second = profiles_pb2.Institution(
        institution_id=str(uuid7()), kind="KIND_SHG", name=strange_name(), region=first.region, formed_on="2019-01-01", accounts=[account]
    )
    waiting = books.submit_institution(first.keeper, second, dict.fromkeys(first.members, first.institution_id))
    screened = books.screened_institution(manager, waiting)
    assert screened.verdict == profiles_pb2.VERDICT_CONFIRMED
    [finding] = screened.findings
    assert (finding.other_institution_id, finding.verdict) == (first.institution_id, profiles_pb2.VERDICT_CONFIRMED)
    assert "the same bank account" in finding.clues
    assert books.refusal_of(lambda: books.approve_institution(manager, waiting, reason="They say that they are another")).code == "FINDING_CONFIRMED"
    assert found(world, first).verdict == profiles_pb2.VERDICT_CLEAR, "what was let in stays as it was"


def test_a_name_spelt_otherwise_near_in_place_and_time_is_cleared_with_a_reason_alone(world, groups):
    """Of an edit too: it has the second group lie where the first does."""
    (first, second), manager = groups, world.up.manager
    name = NAME.replace("i", "ee").replace("u", "oo")
    formed_on = (FORMED + timedelta(days=20)).isoformat()
    said = {"name": f"Maa {name} Swayam Sahayata Samuh", "region": first.region, "formed_on": formed_on}
    waiting = books.submit_institution(second.keeper, found(world, second), dict.fromkeys(second.members, second.institution_id), **said)
    screened = books.screened_institution(manager, waiting)
    assert screened.verdict == profiles_pb2.VERDICT_POTENTIAL
    [finding] = screened.findings
    assert finding.other_institution_id == first.institution_id
    assert list(finding.clues) == ["the same name", "the same village", "formed at most 30 days apart"]
    assert books.refusal_of(lambda: books.approve_institution(manager, waiting)).code == "FINDING_UNDECIDED"
    cleared = books.approve_institution(manager, waiting, reason="Both were visited: other women, other books")
    assert (cleared.name, cleared.region, cleared.status) == (said["name"], first.region, profiles_pb2.STATUS_ACTIVE)
    assert cleared.findings[0].reason == "Both were visited: other women, other books"
