"""A member and her SHG have an id from their approval on: the same whatever is sent twice, shown, scanned and printed for whoever may see them."""

from uuid import uuid4

import pytest

from deploy.demo import books
from protos import profiles_pb2
from services.kernel import codes
from tests.flows.test_members import enrol
from tests.flows.world import make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, 2)


def digital_id(client, **of):
    return client(client.profiles.GetDigitalId, profiles_pb2.GetDigitalIdRequest(**of))


def refusal(client, **of):
    return books.refusal_of(lambda: digital_id(client, **of)).code


def test_a_member_has_one_id_from_her_approval_on(world, groups):
    group, manager = groups[0], world.up.manager
    member = enrol(group, strange_name(), strange_name())
    assert refusal(group.keeper, record_id=member.member_id) == "DIGITAL_ID_NOT_YET"
    approved = books.approve(manager, member)
    assert books.approve(manager, member).code == approved.code  # Sent twice.
    shown = digital_id(group.keeper, record_id=member.member_id)
    assert (shown.code, shown.kind, shown.name, shown.status) == (approved.code, "MEMBER", member.name, profiles_pb2.STATUS_ACTIVE)
    assert (shown.aadhaar.status, shown.account_status) == (profiles_pb2.AADHAAR_STATUS_NONE, "NONE")
    assert shown.institution_name
    assert codes.check_code(shown.code, "code")
    for scanned in (shown.qr_text, shown.printed, shown.code.lower()):
        assert digital_id(manager, scanned=scanned) == shown
    wrong = shown.code[:-1] + str((int(shown.code[-1]) + 1) % 10)
    assert refusal(manager, scanned=wrong) == "CODE_INVALID"
    assert refusal(manager, scanned=codes.issue("M", 9, codes.SERIAL_MAX)) == "DIGITAL_ID_UNKNOWN"
    assert refusal(world.br.manager, scanned=shown.code) == "DIGITAL_ID_ELSEWHERE"


def test_nobody_sees_an_id_who_does_not_see_the_record(world, groups):
    group, other = groups
    shown = digital_id(group.keeper, record_id=group.members[0])
    stranger = make_groups(world, world.up, 1)[0].keeper
    assert refusal(stranger, scanned=shown.code) == "DIGITAL_ID_UNKNOWN"
    assert refusal(stranger, record_id=group.members[0]) == "RECORD_UNKNOWN"
    assert refusal(stranger, record_id=str(uuid4())) in {"RECORD_UNKNOWN", "ID_INVALID"}
    assert digital_id(group.keeper, record_id=other.institution_id).kind == "SHG"


def test_an_shg_and_its_members_are_printed(groups):
    group = groups[0]
    keeper = group.keeper
    printed = keeper(keeper.profiles.PrintDigitalIds, profiles_pb2.PrintDigitalIdsRequest(institution_id=group.institution_id))
    assert printed.cards >= 1 + len(group.members)
    assert printed.html.count('<div class="card">') == printed.cards
    for record_id in (group.institution_id, *group.members):
        assert digital_id(keeper, record_id=record_id).printed in printed.html
