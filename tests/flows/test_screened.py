"""Whatever is killed while women are handed in: each ends with one current verdict, and it is the right one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from deploy.demo import books
from deploy.demo.answers import complete_member
from protos import profiles_pb2
from services.kernel.ids import uuid7
from tests.flows.test_kills import kill
from tests.flows.world import database, make_groups, strange_name

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

TWICE, ONCE, AT_ONCE = 12, 8, 4


@pytest.fixture(scope="module")
def groups(world):
    return make_groups(world, world.up, AT_ONCE)


def woman(group, name, husband):
    return profiles_pb2.Member(
        member_id=str(uuid7()),
        institution_id=group.institution_id,
        name=name,
        gender="FEMALE",
        birth_year=1985,
        relation="SPOUSE",
        relation_name=husband,
        social_category="OBC",
        joined_on=date(2016, 1, 1).isoformat(),
    )


CURRENT = """
select s.member_id::text, s.verdict, array_agg(m.other_id::text) filter (where m.other_id is not null)
from screenings s left join matches m on m.member_id = s.member_id and m.version = s.version where s.member_id = any(%s::uuid[]) group by 1, 2
"""


def current(world, asked):
    """What dedup says of these members now: each with her verdict and whom she is like, nobody twice."""
    with database(world.up, "dedup") as tables:
        rows = tables.execute(CURRENT, [list(asked)]).fetchall()
    assert all(len(set(others or ())) == len(others or ()) for *_, others in rows)
    found = {member_id: (verdict, set(others or ())) for member_id, verdict, others in rows}
    assert len(found) == len(rows)
    return found


def test_who_stands_twice_in_one_upload_is_found(world, groups):
    """Her two rows are screened against each other as if two devices had sent them; her neighbour's is clear."""
    name = strange_name(), strange_name()
    group = groups[0]
    sent = [woman(group, *name), woman(group, *name), woman(group, strange_name(), strange_name())]
    for one in sent:
        one.revision = 1
        complete_member(one)
    items = [profiles_pb2.UploadItem(member=profiles_pb2.SubmitMemberRequest(member=one)) for one in sent]
    request = profiles_pb2.UploadProfilesRequest(upload_id=str(uuid7()), items=items)
    group.keeper(group.keeper.profiles.UploadProfiles, request)
    one, twin, other = (member.member_id for member in sent)
    expected = {one: ("POTENTIAL", {twin}), twin: ("POTENTIAL", {one}), other: ("CLEAR", set())}
    books.wait_until("each has the verdict that is due", lambda: current(world, expected) == expected, 60)


@pytest.mark.parametrize("program", ["up-consume", "up-relay", "rabbitmq", "postgres"])
def test_each_member_ends_with_one_current_verdict(world, groups, program):
    """Each of some women twice, by two devices at the same moment: each of the two finds the other, whichever is heard first or again."""
    names = [(strange_name(), strange_name()) for _ in range(TWICE)]
    twice = [(woman(groups[0], *name), woman(groups[number % (AT_ONCE - 1) + 1], *name)) for number, name in enumerate(names)]
    once = [woman(groups[number % AT_ONCE], strange_name(), strange_name()) for number in range(ONCE)]
    of_group = {group.institution_id: group for group in groups}
    handed_in = [one for pair in twice for one in pair] + once
    half = threading.Barrier(2)

    def submit(number, member):
        if number == len(handed_in) // 2:
            half.wait()
        books.submit(of_group[member.institution_id].keeper, member)

    killer = threading.Thread(target=lambda: (half.wait(60), kill(world.machine, program)))
    killer.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(submit, range(len(handed_in)), handed_in))
    killer.join()
    world.machine.wait_well(program, 90)
    expected = {one.member_id: ("POTENTIAL", {other.member_id}) for pair in twice for one, other in (pair, pair[::-1])}
    expected |= {one.member_id: ("CLEAR", set()) for one in once}

    books.wait_until("each has the verdict that is due", lambda: current(world, expected) == expected, 60)
    manager = world.up.manager
    for member_id, (verdict, others) in expected.items():

        def told(member_id=member_id, due=(verdict, others)):
            member = manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id), retry_seconds=30)
            findings = [finding.other_member_id for finding in member.findings]
            return (profiles_pb2.Verdict.Name(member.verdict).removeprefix("VERDICT_"), set(findings)) == due

        books.wait_until(f"profiles know that of {member_id}", told, 60)
