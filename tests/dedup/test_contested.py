"""An active member of whom another record proves to be the same woman: a case, told and listed; and the lists of what was flagged."""

import pytest
from sqlalchemy import delete, select

from protos import dedup_pb2
from services.chassis import interceptors, mailbox
from services.chassis.database import transaction
from services.dedup import __main__ as operator
from services.dedup import commands, queries
from services.dedup.servicer import Servicer
from services.dedup.tables import contested, people, screenings
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.errors import Invalid
from tests.dedup.test_commands import FAR, HERE, NEAR, SERVICE, TOKEN, decide, submit

BLOCK = HERE.rsplit(".", 2)[0]
ACCOUNT = {"ifsc": "ZZZZ0KLD001", "account_number": "123456", "account_holding": "SINGLE"}


def told(connection, member_id, to=None):
    """The versions of what was told of her being contested, and whether the case was open."""
    of = (mailbox.outbox.c.subject == str(member_id), mailbox.outbox.c.event == "MemberContested", mailbox.outbox.c.destination == to)
    rows = connection.execute(select(mailbox.outbox).where(*of).order_by(mailbox.outbox.c.id))
    return [(row.version, dedup_pb2.MemberContested.FromString(row.body).open) for row in rows]


def active(connection, **changes):
    member_id = submit(connection, **{**TOKEN, **changes})
    decide(connection, member_id, Status.ACTIVE)
    return member_id


def manager(region=BLOCK):
    return Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, region)


def test_whoever_is_contested_is_told_of_when_it_begins_and_when_it_ends(connection):
    first = active(connection)
    second, third = submit(connection, **TOKEN), submit(connection, **TOKEN)
    assert told(connection, first) == [(1, True)]
    decide(connection, second, Status.REJECTED)
    assert told(connection, first) == [(1, True)]
    decide(connection, third, Status.REJECTED)
    assert told(connection, first) == [(1, True), (2, False)]
    submit(connection, member_id=third, revision=2, version=3, **TOKEN)
    assert told(connection, first) == [(1, True), (2, False), (3, True)]
    assert told(connection, second) == told(connection, third) == []


def test_a_change_that_waits_settles_nothing(connection):
    first = active(connection)
    second = submit(connection, **TOKEN)
    other = {"name": "Zarina", "relation_name": "Salim", "birth_year": 1960, "mobile": "", "identity_token": "hers"}
    submit(connection, member_id=first, revision=2, version=3, **other)
    assert queries.open_contests(connection, first) == {second}
    decide(connection, first, Status.ACTIVE, version=4, revision=2)
    assert queries.open_contests(connection, first) == set()
    assert told(connection, first) == [(1, True), (2, False)]


def test_while_a_change_waits_a_rejected_rival_is_none(connection):
    first = active(connection)
    second = submit(connection, **TOKEN)
    submit(connection, member_id=first, revision=2, version=3, name="Zarina", relation_name="Salim", mobile="", identity_token="hers")
    decide(connection, second, Status.REJECTED)
    assert told(connection, first) == [(1, True), (2, False)]


def test_cases_are_listed_with_what_proved_them_page_by_page_in_her_region_alone(connection):
    first = active(connection)
    others = {submit(connection, **TOKEN), submit(connection, **TOKEN)}
    elsewhere = active(connection, region=FAR, identity_token="another's")
    submit(connection, region=FAR, identity_token="another's")
    found, after = [], None
    while page := queries.contests(connection, manager(), after, 1):
        found += page
        after = (page[-1].member_id, page[-1].other_id)
    assert {(one.member_id, one.other_id) for one in found} == {(first, other) for other in others}
    assert all("SAME_IDENTITY" in {clue.code for clue in one.clues} for one in found)
    [far] = queries.contests(connection, manager(FAR), None, 9)
    assert far.member_id == elsewhere
    for other in others:
        decide(connection, other, Status.REJECTED)
    assert queries.contests(connection, manager(), None, 9) == []


def test_a_case_lies_where_she_lies(connection):
    first = active(connection, region=FAR)
    submit(connection, **TOKEN)
    submit(connection, member_id=first, revision=2, version=3, **TOKEN)
    decide(connection, first, Status.ACTIVE, version=4, revision=2)
    assert [one.member_id for one in queries.contests(connection, manager(), None, 9)] == [first]
    assert told(connection, first) == [(1, True)]


def test_a_restatement_says_how_each_stands(connection):
    still, settled = active(connection), active(connection, region=FAR, identity_token="another's")
    submit(connection, **TOKEN)
    decide(connection, submit(connection, region=FAR, identity_token="another's"), Status.REJECTED)
    after = None
    while page := commands.restate_contests(connection, "transactions", after):
        after = page[-1]
    assert told(connection, still, "transactions") == [(1, True)]
    assert told(connection, settled, "transactions") == [(2, False)]


# The lists of what was flagged.


def listed(connection, kind, region=BLOCK):
    return {one.member_id for one in queries.flagged(connection, manager(region), None, 99, kind)}


def test_one_account_under_two_identities_is_on_the_fraud_list(connection):
    victim, thief = (submit(connection, name=name, identity_token=name, mobile="", **ACCOUNT) for name in ("Zarina", "Kamla"))
    honest = submit(connection, mobile="", **{**ACCOUNT, "account_number": "77"})
    unknown = submit(connection, mobile="", **{**ACCOUNT, "account_number": "77"})
    joint = [
        submit(connection, name=name, identity_token=name, mobile="", **{**ACCOUNT, "account_number": "88", "account_holding": "JOINT"})
        for name in ("Rita", "Gauri")
    ]
    twice = [submit(connection, name="Phulmati", mobile="", identity_token="twice") for _ in range(2)]
    assert listed(connection, "FRAUD") == {victim, thief}
    assert listed(connection, "SUPERVISOR") == {victim, thief, honest, unknown}
    assert listed(connection, "CONFIRMED") == set(twice)
    assert listed(connection, "ALL") >= {victim, thief, honest, unknown, *twice}
    assert not listed(connection, "ALL") & set(joint)
    assert listed(connection, "FRAUD", FAR) == set()
    decide(connection, thief, Status.REJECTED)
    assert listed(connection, "FRAUD") == set()


# Over the wire.


@pytest.fixture
def kept(up):
    """What is committed here is taken out again."""
    made = []
    yield made
    with transaction(SERVICE) as connection:
        for table in (contested, screenings, people):
            connection.execute(delete(table).where(table.c.member_id.in_(made)))


def test_the_pages_over_the_wire(kept, monkeypatch):
    with transaction(SERVICE) as connection:
        kept.append(active(connection, region=NEAR, identity_token="of the wire"))
        kept += [submit(connection, region=NEAR, identity_token="of the wire") for _ in range(2)]
    interceptors._caller.set(manager(NEAR))
    servicer = Servicer()
    first = servicer.ListContested(dedup_pb2.ListContestedRequest(page={"size": 1}), None)
    second = servicer.ListContested(dedup_pb2.ListContestedRequest(page={"size": 9, "after": first.next}), None)
    cases = [*first.cases, *second.cases]
    assert {(one.member_id, one.other_member_id) for one in cases} == {(str(kept[0]), str(other)) for other in kept[1:]}
    assert all(one.since.seconds and "SAME_IDENTITY" in {clue.code for clue in one.clues} for one in cases)
    assert second.next == ""
    asked = dedup_pb2.ListFlaggedRequest(kind=dedup_pb2.FLAG_KIND_CONFIRMED)
    assert {one.member_id for one in servicer.ListFlagged(asked, None).screenings} == {str(one) for one in kept[1:]}
    asked.kind = dedup_pb2.FLAG_KIND_FRAUD
    assert not servicer.ListFlagged(asked, None).screenings
    for request in ({"page": {"after": "x"}}, {"page": {"after": f"{kept[0]}"}}):
        with pytest.raises(Invalid):
            servicer.ListContested(dedup_pb2.ListContestedRequest(**request), None)
    with pytest.raises(Invalid) as refused:
        servicer.ListFlagged(dedup_pb2.ListFlaggedRequest(kind=99), None)
    assert refused.value.code == "KIND_UNKNOWN"
    monkeypatch.setattr("sys.argv", ["dedup", "restate", "--to", "transactions"])
    operator.main()
    with transaction(SERVICE) as connection:
        assert told(connection, kept[0], "transactions") == [(1, True)]
