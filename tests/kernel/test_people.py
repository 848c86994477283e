"""Who may create whom, what a caller sees, and the maker-checker moves."""

from itertools import product
from uuid import UUID

import pytest

from services.kernel.approval import MEETING_MOVES, MOVES, MeetingStatus, Status, Step, move, move_meeting
from services.kernel.caller import BOOKKEEPERS, COMMUNITY, CREATES, LEVEL_OF, Caller, Role, may_create
from services.kernel.errors import Conflict, Forbidden
from services.kernel.region import Level

SHG, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(("status", "step"), list(product(Status, Step)))
def test_a_profile_moves_as_the_table_says_or_is_refused(status, step):
    if (status, step) in MOVES:
        assert move(status, step) == MOVES[status, step]
    else:
        with pytest.raises(Conflict):
            move(status, step)


@pytest.mark.parametrize(("status", "step"), list(product(MeetingStatus, Step)))
def test_a_meeting_moves_as_the_table_says_or_is_refused(status, step):
    if (status, step) in MEETING_MOVES:
        assert move_meeting(status, step) == MEETING_MOVES[status, step]
    else:
        with pytest.raises(Conflict):
            move_meeting(status, step)


@pytest.mark.parametrize(("maker", "made"), list(product(Role, Role)))
def test_who_may_create_whom(maker, made):
    if made in CREATES.get(maker, ()):
        may_create(maker, [made])
    else:
        with pytest.raises(Forbidden):
            may_create(maker, [made])


def test_everybody_is_made_by_somebody_but_the_national_admin_and_those_whom_she_invites():
    made = frozenset().union(*CREATES.values())
    assert set(Role) - made == {Role.NATIONAL_ADMIN, Role.STATE_ADMIN}


def test_each_official_role_has_the_level_of_its_name():
    assert len(LEVEL_OF) == 12
    assert LEVEL_OF[Role.NATIONAL_ADMIN] is Level.NATION
    assert LEVEL_OF[Role.BLOCK_PROGRAM_MANAGER] is Level.BLOCK
    assert Role.BLOCK_PROGRAM_MANAGER.label == "Block Program Manager"
    assert Role.SHG_TRANS_APPROVER.label == "SHG Trans Approver"
    assert len(COMMUNITY) == 5


@pytest.mark.parametrize("role", sorted(BOOKKEEPERS))
def test_a_bookkeeper_sees_her_institutions_and_nobody_elses(role):
    caller = Caller("IUP_X", role, "9.1.2", frozenset({SHG}))
    assert caller.sees(SHG, "9.1.2.3.4")
    assert not caller.sees(OTHER, "9.1.2.3.4")
    with pytest.raises(Forbidden):
        caller.must_see(OTHER, "9.1.2.3.4")


def test_an_officer_sees_her_region():
    caller = Caller("IUP_X", Role.BLOCK_PROGRAM_MANAGER, "9.1.2")
    assert caller.sees(OTHER, "9.1.2.3.4")
    assert not caller.sees(OTHER, "9.1.3")
    with pytest.raises(Forbidden):
        caller.must_see_region("9.1")


def test_nobody_approves_her_own_entry_through_a_second_user_id():
    caller = Caller("IUP_B", Role.SHG_TRANS_APPROVER, "9", person="p1")
    caller.must_not_be("p2")
    caller.must_not_be("")
    with pytest.raises(Forbidden):
        caller.must_not_be("p1")
