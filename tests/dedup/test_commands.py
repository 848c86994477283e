"""Screening against a real PostgreSQL: both sides, every order, two at once."""

import threading
import time
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from protos import dedup_pb2, profiles_pb2
from services.chassis import database, mailbox
from services.dedup import commands, queries, rules
from services.dedup.consumer import Consumer
from services.dedup.rules import Record, Verdict
from services.dedup.tables import contested, labels, matches, people, screenings, statuses
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.errors import NotFound
from services.kernel.ids import uuid7

SERVICE = "dedup"
# In a state that there is not, so that a story played on the same machine does not meet the tests.
HERE, NEAR, FAR = "99.978.9904.9977.99005", "99.978.9904.9978.99006", "99.940.9913.9990.99007"
TOKEN = {"identity_token": "token of the tests"}


def record(**changes):
    plain = {
        "member_id": uuid7(),
        "revision": 1,
        "institution_id": uuid7(),
        "region": HERE,
        "name": "Sunita Devi",
        "relation_name": "Ramesh",
        "birth_year": 1988,
        "mobile": "9123456780",
    }
    return Record(**{**plain, **changes})


def submit(connection, version=1, **changes):
    made = record(**changes)
    commands.screen(connection, made, version)
    return made.member_id


def decide(connection, member_id, status, version=2, revision=1, **decisions):
    commands.decide(connection, member_id, revision, status, decisions, version)


def told(connection, member_id):
    """The versions and bodies of what was told about a member, in order."""
    query = select(mailbox.outbox).where(mailbox.outbox.c.subject == str(member_id)).order_by(mailbox.outbox.c.id)
    return [(row.version, dedup_pb2.MemberScreened.FromString(row.body)) for row in connection.execute(query)]


def verdict(connection, member_id):
    return queries.screening(connection, member_id)[0].verdict


def test_the_first_of_her_kind_is_clear(connection):
    member_id = submit(connection)
    assert told(connection, member_id) == [(1, dedup_pb2.MemberScreened(member_id=str(member_id), revision=1, verdict="VERDICT_CLEAR"))]


def test_both_sides_learn_of_one_identity(connection):
    first = submit(connection, **TOKEN)
    second = submit(connection, name="Suneeta Devi", **TOKEN)
    assert [version for version, _ in told(connection, first)] == [1, 2]
    for one, other in ((first, second), (second, first)):
        last = told(connection, one)[-1][1]
        assert last.verdict == dedup_pb2.VERDICT_CONFIRMED
        assert [match.other_member_id for match in last.matches] == [str(other)]
        assert "SAME_IDENTITY" in {clue.code for clue in last.matches[0].clues}


def test_the_story_of_the_demo(connection):
    """One very like a member of another SHG, who has no e-KYC: flagged. With a token each: two women."""
    submit(connection, **TOKEN)
    like = submit(connection, name="Suneeta Devi", birth_year=1989)
    another = submit(connection, name="Suneeta Devi", birth_year=1989, identity_token="another token")
    assert verdict(connection, like) is Verdict.POTENTIAL
    assert {match.other_id for match in queries.screening(connection, another)[0].matches} == {like}


def keyed(connection, member_id):
    return [(one.person.name_fold, one.person.revision, one.person.status, one.waiting) for one in queries.held(connection, [member_id])[member_id]]


def test_heard_again_or_late_nothing_is_told(connection):
    made = record(**TOKEN)
    commands.screen(connection, made, 3)
    commands.screen(connection, made, 3)
    commands.screen(connection, record(member_id=made.member_id, name="Zarina"), 2)
    assert len(told(connection, made.member_id)) == 1
    assert keyed(connection, made.member_id) == [("sunita", 1, Status.SUBMITTED, False)]


def test_told_again_it_counts_where_names_are_keyed_otherwise_by_now(connection):
    member_id = submit(connection)
    connection.execute(update(people).where(people.c.member_id == member_id).values(name_fold="suneetaa"))
    commands.screen(connection, record(member_id=member_id, institution_id=uuid7()), 1)
    assert keyed(connection, member_id) == [("sunita", 1, Status.SUBMITTED, False)]


def test_while_a_change_of_her_waits_she_is_found_by_both_her_records(connection):
    live = submit(connection, name="Zarina Khatoon", relation_name="Salim", **TOKEN)
    decide(connection, live, Status.ACTIVE)
    submit(connection, 3, member_id=live, revision=2, identity_token="another", name="Rukhsana Khatoon", relation_name="Salim", mobile="9123400000")
    assert keyed(connection, live) == [("zarina", 1, Status.ACTIVE, False), ("rukhsana", 2, Status.SUBMITTED, True)]
    as_before, as_changed = submit(connection, **TOKEN), submit(connection, name="Zuleika", identity_token="another")
    assert (verdict(connection, as_before), verdict(connection, as_changed)) == (Verdict.CONFIRMED, Verdict.CONFIRMED)
    # The screening is of what waits; the proof against what is live is a case.
    assert {match.other_id for match in queries.screening(connection, live)[0].matches} >= {as_changed}
    assert queries.open_contests(connection, live) == {as_before}
    decide(connection, live, Status.ACTIVE, 4, revision=2)
    assert keyed(connection, live) == [("rukhsana", 2, Status.ACTIVE, False)]
    assert (verdict(connection, as_before), queries.open_contests(connection, live)) == (Verdict.CLEAR, {as_changed})


@pytest.mark.parametrize("decided_first", [True, False])
def test_a_change_that_is_handed_back_leaves_her_as_she_was(connection, decided_first):
    live = submit(connection, **TOKEN)
    decide(connection, live, Status.ACTIVE)
    submit(connection, 3, member_id=live, revision=2, identity_token="another")
    steps = [
        lambda: decide(connection, live, Status.ACTIVE, 4, revision=2),
        lambda: submit(connection, 4, member_id=live, **TOKEN),
    ]
    for step in steps if decided_first else reversed(steps):
        step()
    assert keyed(connection, live) == [("sunita", 1, Status.ACTIVE, False)]
    assert verdict(connection, submit(connection, name="Zarina", identity_token="another")) is Verdict.CLEAR


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("edit_first", [True, False])
def test_who_withdrew_is_known_by_no_token_of_before_in_whatever_order_it_is_heard(connection, waits, edit_first):
    """The edit came after she withdrew, by another consent; the word that she withdrew may come behind it."""
    live = submit(connection, **TOKEN)
    decide(connection, live, Status.ACTIVE)
    other = submit(connection, name="Zarina", relation_name="Salim", mobile="9123411111", **TOKEN)
    assert queries.open_contests(connection, live) == {other}
    withdrawn = record(member_id=live)
    edit = record(member_id=live, revision=2, name="Rukhsana", identity_token="anew") if waits else None
    steps = [
        lambda: commands.screen(connection, withdrawn, 5, identity_withdrawn=True),
        *([lambda: commands.screen(connection, edit, 6)] if edit else []),
    ]
    for step in reversed(steps) if edit_first else steps:
        step()
    commands.screen(connection, withdrawn, 5, identity_withdrawn=True)
    commands.screen(connection, record(member_id=live, **TOKEN), 3)  # Told before she withdrew.
    held = [(one.person.identity_token, one.waiting) for one in queries.held(connection, [live])[live]]
    assert held == [("", False), *([("anew", True)] if waits else [])]
    assert verdict(connection, other) is Verdict.CLEAR
    assert queries.open_contests(connection, live) == set()


def test_a_later_revision_is_screened_anew_on_both_sides(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    submit(connection, member_id=second, revision=2, version=2, name="Zarina", relation_name="Salim", identity_token="hers", mobile="")
    assert (verdict(connection, first), verdict(connection, second)) == (Verdict.CLEAR, Verdict.CLEAR)
    assert told(connection, second)[-1][1].revision == 2


def test_a_rejected_record_frees_those_flagged_because_of_her(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    decide(connection, second, Status.REJECTED)
    assert verdict(connection, first) is Verdict.CLEAR
    assert told(connection, first)[-1][1].verdict == dedup_pb2.VERDICT_CLEAR
    third = submit(connection, **TOKEN)
    assert {match.other_id for match in queries.screening(connection, third)[0].matches} == {first}


def test_a_rejected_record_that_comes_back_counts_again(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    decide(connection, second, Status.REJECTED)
    submit(connection, member_id=second, revision=2, version=3, **TOKEN)
    assert verdict(connection, first) is verdict(connection, second) is Verdict.CONFIRMED


def test_decided_before_submitted(connection):
    first, second = submit(connection, **TOKEN), uuid7()
    decide(connection, second, Status.REJECTED)
    submit(connection, member_id=second, **TOKEN)
    assert verdict(connection, first) is Verdict.CLEAR
    assert told(connection, second) == []


def test_a_proof_against_an_active_member_opens_a_case_and_undoes_nothing(connection):
    first = submit(connection, **TOKEN)
    decide(connection, first, Status.ACTIVE)
    second = submit(connection, **TOKEN)
    assert verdict(connection, first) is Verdict.CLEAR
    assert verdict(connection, second) is Verdict.CONFIRMED
    assert queries.open_contests(connection, first) == {second}
    decide(connection, second, Status.REJECTED)
    assert queries.open_contests(connection, first) == set()
    row = connection.execute(select(contested).where(contested.c.member_id == first)).one()
    assert row.settled_at is not None


def test_she_became_active_before_we_heard(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    decide(connection, first, Status.ACTIVE)
    assert queries.open_contests(connection, first) == {second}


def test_a_decision_is_a_label_once(connection):
    first = submit(connection)
    second = submit(connection)
    (finding,) = (match.finding_id for match in queries.screening(connection, second)[0].matches)
    commands.decide(connection, second, 1, Status.ACTIVE, {finding: "FIELD_VERIFICATION"}, 2)
    commands.decide(connection, second, 1, Status.ACTIVE, {finding: "NOT_A_DUPLICATE"}, 3)
    commands.decide(connection, second, 1, Status.ACTIVE, {finding: "FIELD_VERIFICATION"}, 2)
    row = connection.execute(
        select(labels.c.decision, matches.c.other_id).join(matches, matches.c.finding_id == labels.c.finding_id).where(labels.c.member_id == second)
    ).one()
    assert row == ("NOT_A_DUPLICATE", first)
    # Said before or beside a decision on the record, it is a label all the same, and changes nothing that was found.
    told = queries.screening(connection, second)
    commands.label(connection, second, 1, {finding: "DUPLICATE_REJECT"}, 4)
    commands.decide(connection, second, 1, Status.ACTIVE, {finding: "FIELD_VERIFICATION"}, 3)
    assert connection.execute(select(labels.c.decision).where(labels.c.finding_id == finding)).scalar_one() == "DUPLICATE_REJECT"
    assert queries.screening(connection, second) == told


def test_a_finding_keeps_its_id_when_another_one_joins_it(connection):
    submit(connection)
    second = submit(connection)
    before = {match.finding_id for match in queries.screening(connection, second)[0].matches}
    submit(connection)
    after = {match.finding_id for match in queries.screening(connection, second)[0].matches}
    assert before < after


def test_a_value_that_too_many_share_finds_nobody_and_proves_nothing(connection):
    crowd = [submit(connection, name=f"Z{letter}", relation_name="", birth_year=0, region=FAR) for letter in "abcdefghijklmnopqrstu"]
    probe = record(region="99.940.9913.9991.99008", name="Zeenat")
    one, found = queries.candidates(connection, rules.person(probe, Status.SUBMITTED))
    assert len(crowd) == 21
    assert (one.mobile, found) == ("", [])


def test_one_document_in_common_is_enough_to_be_found(connection):
    first = submit(connection, name="Zarina", mobile="", region=FAR, documents=("VOTER_ID:B2", "PAN:A1"))
    second = submit(connection, mobile="", documents=("PAN:a-1", "PASSPORT:C3"))
    assert {match.other_id for match in queries.screening(connection, second)[0].matches} == {first}
    assert [clue.code for clue in queries.screening(connection, first)[0].matches[0].clues][-1] == "SAME_DOCUMENT"
    assert keyed(connection, first) == [("zarina", 1, Status.SUBMITTED, False)]
    crowd = [
        submit(connection, name=f"Z{letter}", mobile="", birth_year=0, relation_name="", documents=("PAN:Z9",)) for letter in "abcdefghijklmnopqrstu"
    ]
    alone = submit(connection, name="Meena", mobile="", region=FAR, documents=("PAN:Z9",))
    assert len(crowd) == 21
    assert verdict(connection, alone) is Verdict.CLEAR
    both = submit(connection, name="Rukhsana", mobile="", region=FAR, documents=("PAN:Z9", "VOTER_ID:B2"))
    assert {match.other_id for match in queries.screening(connection, both)[0].matches} == {first}


def test_the_consumer_reads_what_profiles_tells(connection):
    from datetime import UTC, datetime
    from uuid import uuid4

    from services.chassis.hears import Event

    member_id, institution_id = uuid7(), uuid7()
    submitted = profiles_pb2.MemberSubmitted(
        member_id=str(member_id), revision=1, institution_id=str(institution_id), region=HERE, name="Sunita Devi", born_on="1988-05-07",
        relation_name="Ramesh", mobile="9123456780", account_number="12345", ifsc="SBIN0001234", account_holding="SINGLE", identity_token="t",
        documents=["VOTER_ID:B2"],
    )  # fmt: skip
    decision = profiles_pb2.FindingDecision(finding_id=str(uuid4()), decision=profiles_pb2.DECISION_NOT_A_DUPLICATE, reason="of another village")
    decided = profiles_pb2.MemberDecided(member_id=str(member_id), revision=1, status=profiles_pb2.STATUS_ACTIVE, decisions=[decision])

    def event(body, version):
        return Event(uuid4(), str(member_id), version, datetime.now(UTC), body)

    Consumer().member_decided(connection, event(decided, 3))
    Consumer().member_submitted(connection, event(submitted, 1))
    (held,) = queries.held(connection, [member_id])[member_id]
    assert (held.person.born_on, held.person.account, held.person.status, held.version) == (date(1988, 5, 7), "SBIN000123412345", Status.ACTIVE, 1)
    assert held.person.documents == ("VOTER_ID:B2",)
    assert connection.execute(select(labels.c.decision).where(labels.c.member_id == member_id)).scalars().all() == ["NOT_A_DUPLICATE"]


def officer(region):
    return Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, region)


def test_an_officer_sees_her_region(connection):
    clear, first, second = (
        submit(connection, name="Zarina", relation_name="Salim", mobile=""),
        submit(connection, **TOKEN),
        submit(connection, **TOKEN),
    )
    here = officer("99.978.9904")
    assert [found.member_id for found in queries.flagged(connection, here, None, 50)] == sorted([first, second])
    assert [found.member_id for found in queries.flagged(connection, here, min(first, second), 50)] == [max(first, second)]
    assert queries.flagged(connection, officer("99.978.99"), None, 50) == []
    assert queries.screening_in_sight(connection, here, clear).verdict is Verdict.CLEAR
    for caller, member_id in ((officer("99.940"), clear), (here, uuid7())):
        with pytest.raises(NotFound, match="No screening"):
            queries.screening_in_sight(connection, caller, member_id)
    decide(connection, second, Status.REJECTED)
    assert queries.flagged(connection, here, None, 50) == []


def test_who_is_moved_is_seen_where_she_is(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    decide(connection, second, Status.ACTIVE)
    submit(connection, 3, member_id=second, region=FAR, **TOKEN)  # Her group was put elsewhere: the same revision.
    assert [found.member_id for found in queries.flagged(connection, officer("99.940"), None, 50)] == [second]
    assert [found.member_id for found in queries.flagged(connection, officer("99.978.9904"), None, 50)] == [first]
    assert queries.screening(connection, second)[1] == 1


def test_a_restatement_tells_the_same_under_the_same_version(connection):
    before, first, second = (uuid7(4e9 + seconds) for seconds in range(3))
    for member_id in (first, second):
        submit(connection, member_id=member_id, **TOKEN)
    assert commands.restate(connection, "profiles", before) == [first, second]
    for member_id in (first, second):
        assert told(connection, member_id)[-1] == told(connection, member_id)[-2]
    assert commands.restate(connection, "profiles", second) == []


def test_a_screening_stands_until_something_else_is_found(connection):
    def stands(member_id):
        return queries.stands(connection, queries.screening(connection, member_id)[0])

    one, other = submit(connection, **TOKEN), submit(connection, name="Zarina")
    assert stands(one)
    assert stands(other)
    connection.execute(update(people).where(people.c.member_id == other).values(**TOKEN))
    assert not stands(one)
    decide(connection, one, Status.ACTIVE)  # Which tells the case, by the proof that has come behind our back.
    assert stands(one)
    connection.execute(update(people).where(people.c.member_id == other).values(identity_token=""))
    assert not stands(one)
    commands.rescreen(connection, one)
    assert stands(one)


def test_screened_again_under_the_same_rules_nothing_is_told(connection):
    first, second = submit(connection, **TOKEN), submit(connection, **TOKEN)
    before = told(connection, first), told(connection, second)
    assert queries.members_after(connection, "99.978", None, 50) == sorted([first, second])
    for member_id in (first, second):
        commands.rescreen(connection, member_id)
    assert (told(connection, first), told(connection, second)) == before


# --- Any order, any repetition: the same in the end.

IDS = [uuid7() for _ in range(4)]
SUBMISSIONS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Sunita Devi", "Suneeta Kumari", "Vimla"]),
        "relation_name": st.sampled_from(["Ramesh", ""]),
        "region": st.sampled_from([HERE, NEAR]),
        "mobile": st.sampled_from(["", "9123456780"]),
        "identity_token": st.sampled_from(["", "t1", "t2"]),
    }
)
# What becomes of one member: her submissions, and what was decided on each but perhaps the last.
LIVES = st.tuples(st.lists(SUBMISSIONS, min_size=1, max_size=3), st.sampled_from([None, Status.ACTIVE, Status.REJECTED]))


def events_of(member_id, life):
    submissions, end = life
    version = 0
    for revision, facts in enumerate(submissions, 1):
        version += 1
        yield "submitted", version, record(member_id=member_id, revision=revision, **facts)
        last = revision == len(submissions)
        if not last or end:
            version += 1
            yield "decided", version, (member_id, revision, end if last else Status.REJECTED)


def play(connection, events):
    """What stands after these events; then they are undone."""
    undo = connection.begin_nested()
    for kind, version, facts in events:
        if kind == "submitted":
            commands.screen(connection, facts, version)
        else:
            commands.decide(connection, *facts, {}, version)
    open_ids = connection.execute(select(people.c.member_id).where(people.c.status == Status.SUBMITTED, people.c.member_id.in_(IDS))).scalars().all()
    found = {member_id: queries.screening(connection, member_id)[0] for member_id in open_ids}
    cases = {member_id: queries.open_contests(connection, member_id) for member_id in IDS}
    last_told = {member_id: told(connection, member_id)[-1][1] for member_id in open_ids}
    undo.rollback()
    return found, cases, last_told


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_events_leaves_no_trace(connection, data):
    lives = data.draw(st.lists(LIVES, min_size=2, max_size=len(IDS)))
    events = [event for member_id, life in zip(IDS, lives, strict=False) for event in events_of(member_id, life)]
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=3))
    shuffled = data.draw(st.permutations(events + repeated))
    assert play(connection, events) == play(connection, shuffled)


# --- Two at once, in connections of their own; what they commit is wiped.


@pytest.fixture
def born_here(up):
    ids = []
    yield ids
    with database.transaction(SERVICE) as connection:
        for table in (people, screenings, matches, labels, contested, statuses):
            connection.execute(delete(table).where(table.c.member_id.in_(ids)))
        connection.execute(delete(mailbox.outbox).where(mailbox.outbox.c.subject.in_(map(str, ids))))


def waiting_for_a_lock():
    with database.transaction(SERVICE) as connection:
        return connection.execute(text("select count(*) from pg_locks where locktype = 'advisory' and not granted")).scalar_one()


def at_once(one, other):
    """The other's screening begins while the first one's is not yet committed."""

    def enrol_other():
        with database.transaction(SERVICE) as connection:
            commands.screen(connection, other, 1)

    thread = threading.Thread(target=enrol_other)
    with database.transaction(SERVICE) as connection:
        commands.screen(connection, one, 1)
        thread.start()
        until = time.monotonic() + 5
        while not waiting_for_a_lock() and time.monotonic() < until:
            time.sleep(0.02)
        assert thread.is_alive(), "the second waits for the first"
    thread.join(10)


@pytest.mark.parametrize("shared", [TOKEN, {"name": "Suneeta", "birth_year": 1989}, {"mobile": "9111222233", "name": "Sunitha", "region": NEAR}])
def test_two_at_once_see_each_other(born_here, shared):
    one, other = record(**{"mobile": "9111222233", **shared}), record(mobile="9111222233", **(TOKEN if shared is TOKEN else {}))
    born_here += [one.member_id, other.member_id]
    at_once(one, other)
    with database.transaction(SERVICE) as connection:
        expected = Verdict.CONFIRMED if shared is TOKEN else Verdict.POTENTIAL
        assert verdict(connection, one.member_id) is verdict(connection, other.member_id) is expected


def test_two_strangers_at_once_both_reach_whom_they_are_like(born_here):
    account = {"account_number": "10203040", "ifsc": "TEST0000001", "account_holding": "SINGLE"}
    like_both = record(mobile="9111222233", **TOKEN, **account)
    one = record(mobile="", name="Zarina", relation_name="", birth_year=1950, region=FAR, **TOKEN)
    other = record(mobile="", name="Pushpa", relation_name="", birth_year=1999, region="99.941.9914.9991.99009", **account)
    born_here += [like_both.member_id, one.member_id, other.member_id]
    with database.transaction(SERVICE) as connection:
        commands.screen(connection, like_both, 1)
    at_once(one, other)
    with database.transaction(SERVICE) as connection:
        of_hers = told(connection, like_both.member_id)
    assert [version for version, _ in of_hers] == [1, 2, 3]
    assert {match.other_member_id for match in of_hers[-1][1].matches} == {str(one.member_id), str(other.member_id)}


def test_many_at_once_never_wait_in_a_circle(born_here):
    facts = [{"mobile": f"911122223{n % 3}", "identity_token": f"of the tests {n % 2}", "name": ["Sunita", "Vimla"][n % 2]} for n in range(6)]
    records = [record(**each) for each in facts * 2]
    born_here += [each.member_id for each in records]
    failed = []

    def enrol(some):
        for each in some:
            try:
                with database.transaction(SERVICE) as connection:
                    commands.screen(connection, each, 1)
            except DBAPIError as error:
                failed.append(error)

    threads = [threading.Thread(target=enrol, args=(some,)) for some in (records[0::3], records[1::3][::-1], records[2::3])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    with database.transaction(SERVICE) as connection:
        for each in records:
            doubles = {other.member_id for other in records if other.identity_token == each.identity_token and other is not each}
            found = {match.other_id for match in queries.screening(connection, each.member_id)[0].matches if match.verdict is Verdict.CONFIRMED}
            assert found == doubles
