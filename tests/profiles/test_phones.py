"""Phones that members of more than one SHG carry: whose they are, and never the number."""

import pytest
from sqlalchemy import select, text, update

from protos import profiles_pb2
from protos.common_pb2 import Page
from services.kernel.ids import uuid7
from services.profiles.queries import phones
from services.profiles.rules.member import default_phone
from services.profiles.tables import institutions, members
from tests.profiles.builders import (
    BLOCK,
    FAR_VILLAGE,
    GP,
    NEXT_VILLAGE,
    OTHER_GP,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    VILLAGE,
    code_of,
    emptied,
    enrol,
    live_at_once,
    manager,
    new_shg,
    phone,
)

pytestmark = pytest.mark.usefixtures("land")

AGENTS, FAMILYS, HER_OWN = "6000917401", "6000917402", "6000917403"


@pytest.fixture
def connection(connection):
    return emptied(connection)


@pytest.fixture
def groups(connection):
    """Two SHGs in one Gram Panchayat, and one in the next."""
    made = [new_shg(connection, name=name) for name in ("Ujala", "Asha", "Jyoti")]
    for (shg_id, _), region in zip(made, (VILLAGE, NEXT_VILLAGE, FAR_VILLAGE), strict=True):
        connection.execute(update(institutions).where(institutions.c.id == shg_id).values(region=region))
    for shg_id, _ in made:
        live_at_once(connection, shg_id)
    return made


def woman(connection, group, number, **changes):
    """A member who is there, with this phone, straight in the table: whoever is like another is for the duplicate check."""
    content = {"phones": [phone(number)], **changes.pop("content", {})}
    region = connection.execute(select(institutions.c.region).where(institutions.c.id == group[0])).scalar_one()
    plain = {"id": uuid7(), "version": 1, "revision": 1, "status": "ACTIVE", "institution_id": group[0], "region": region}
    connection.execute(members.insert().values(**{**plain, "source": "FORM", "entered_on": TODAY, "content": content, **changes}))
    return plain["id"]


def listed(serving, **asked):
    made, calling = serving
    calling["who"] = asked.pop("who", manager())
    return made.ListSharedPhones(profiles_pb2.ListSharedPhonesRequest(**asked), None)


def test_a_phone_in_several_groups_is_shown_by_its_last_digits_with_whose_it_is(connection, serving, groups):
    agents = [woman(connection, group, AGENTS) for group in (*groups, groups[0])]
    family = [woman(connection, group, FAMILYS) for group in groups[:2]]
    for _ in range(3):
        woman(connection, groups[0], HER_OWN)
    answer = listed(serving)
    assert [(one.ends_in, one.members, one.institutions) for one in answer.phones] == [("7401", 4, 3), ("7402", 2, 2)]
    whose = [{(one.member_id, one.institution_id) for one in shown.carriers} for shown in answer.phones]
    shgs = [str(group[0]) for group in (*groups, groups[0])]
    assert whose == [{(str(one), shg) for one, shg in zip(ids, shgs, strict=False)} for ids in (agents, family)]
    for number in (AGENTS, FAMILYS, HER_OWN):
        assert number not in str(answer)


def test_who_left_whose_phone_ended_and_what_waits_do_not_count(connection, serving, groups):
    woman(connection, groups[0], AGENTS)
    woman(connection, groups[1], AGENTS, status="INACTIVE")
    woman(connection, groups[1], AGENTS, content={"phones": [phone(AGENTS, ended_on="2026-01-01"), phone(HER_OWN)]})
    other = phone(AGENTS)
    del other["is_default"]
    woman(connection, groups[1], AGENTS, content={"phones": [other, phone(HER_OWN)]})
    woman(connection, groups[1], AGENTS, content={"phones": []})
    woman(connection, groups[1], AGENTS, status="DRAFT", content=None or {})
    assert list(listed(serving).phones) == []
    woman(connection, groups[1], AGENTS, status="LEGACY")
    assert [one.members for one in listed(serving).phones] == [2]


def test_the_column_says_what_the_rule_says(connection, groups):
    made = enrol(connection, groups[0][1], groups[0][0]).row
    assert made.mobile == default_phone(made.content)["number"]
    connection.execute(update(members).where(members.c.id == made.id).values(content=dict(made.content) | {"phones": [phone(HER_OWN)]}))
    assert connection.execute(select(members.c.mobile).where(members.c.id == made.id)).scalar_one() == HER_OWN


def test_she_sees_her_region_or_clusters_and_asks_for_a_block_at_most(connection, serving, groups):
    ids = [woman(connection, group, AGENTS) for group in groups]

    def carriers(**asked):
        return {one.member_id for shown in listed(serving, **asked).phones for one in shown.carriers}

    assert carriers() == {str(one) for one in ids}
    assert carriers(region=GP) == carriers(who=manager(clusters=(GP,))) == {str(one) for one in ids[:2]}
    assert carriers(region=OTHER_GP) == carriers(who=manager(clusters=(OTHER_GP,))) == set(), "one group alone"
    assert carriers(who=manager(clusters=("-",))) == set()
    assert carriers(who=manager(region="9"), region=BLOCK) == {str(one) for one in ids}
    made, calling = serving
    calling["who"] = manager(region="9")
    for region in ("", "9", "9.178"):
        assert code_of(made.ListSharedPhones, profiles_pb2.ListSharedPhonesRequest(region=region), None) == "REGION_LEVEL"


def test_the_list_is_paged_without_a_number_in_its_pages(connection, serving, groups):
    for number in range(5):
        for group in groups[: 2 + number % 2]:
            woman(connection, group, f"600091741{number}")
    whole = list(listed(serving).phones)
    assert [one.institutions for one in whole] == [3, 3, 2, 2, 2]
    for size in (1, 2, 4):
        found, after = [], ""
        while len(found) < 10:
            page = listed(serving, page=Page(size=size, after=after))
            found, after = [*found, *page.phones], page.next
            assert "60009" not in after
            if not after:
                break
        assert found == whole
    for wrong in ("x", "1/x", "9999999999/01890a5d-ac96-7ab2-80e2-4536629c90de", "/", "-1/01890a5d-ac96-7ab2-80e2-4536629c90de"):
        made, _ = serving
        request = profiles_pb2.ListSharedPhonesRequest(page=Page(after=wrong))
        assert code_of(made.ListSharedPhones, request, None) == "PAGE_INVALID"


def test_of_very_many_the_first_are_named_and_all_are_noted(connection, serving, groups, monkeypatch):
    monkeypatch.setattr(phones, "CARRIERS_MAX", 3)
    of = {woman(connection, group, AGENTS): group[0] for group in (groups[0], *groups)}
    ids = list(of)
    made, _ = serving
    seen = []
    monkeypatch.setattr(made.reads, "seen", lambda _caller, action, subjects: seen.append((action, set(subjects))))
    [shown] = listed(serving).phones
    assert ([one.member_id for one in shown.carriers], shown.members) == ([str(one) for one in sorted(ids)[:3]], 4)
    assert seen == [("member.shared_phones", {*sorted(ids)[:3], *(of[one] for one in sorted(ids)[:3])})]


def test_a_block_is_read_from_one_index(up, connection, groups):
    connection.execute(text("set local enable_seqscan = off"))
    woman(connection, groups[0], AGENTS)
    asked = "explain select mobile, count(distinct institution_id) from members where (region = :b or (region >= :b || '.' and region < :b || '/'))"
    asked += " and mobile is not null and status in ('ACTIVE', 'LEGACY') group by mobile"
    plan = " ".join(connection.execute(text(asked), {"b": BLOCK}).scalars())
    assert "region_mobile_institution_id_id_idx" in plan or "members_mobile" in plan, plan
