"""Which institutions may be one: the rules, and what is told of them against a real PostgreSQL, in every order."""

import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from protos import dedup_pb2, profiles_pb2
from services.chassis import database, mailbox
from services.chassis.hears import Event
from services.dedup import commands, queries
from services.dedup.consumer import Consumer
from services.dedup.rules import institution as rules
from services.dedup.rules.institution import InCommon
from services.dedup.rules.verdicts import Verdict
from services.dedup.tables import institution_matches, institution_screenings, institutions, people, screenings
from services.kernel.approval import Status
from services.kernel.ids import uuid7
from tests.dedup.test_commands import HERE, NEAR, SERVICE, waiting_for_a_lock

__all__ = ["SERVICE"]
GP, BLOCK = HERE.rpartition(".")[0], "99.978.9904"
FORMED = date(2020, 4, 14)
ACCOUNT = ("ZZZZ0KLD001", "1000200917401")


def group(**changes):
    plain = {"institution_id": uuid7(), "revision": 1, "kind": "SHG", "region": HERE, "name": "Jai Maa Durga SHG", "formed_on": FORMED}
    return rules.group(**{**plain, "accounts": [], "status": Status.SUBMITTED, **changes})


def judged(one, other, common=rules.NOBODY):
    return rules.judge(rules.compare(one, other, common), common)


# --- Names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jai Maa Durga SHG", "Maa Durga Swayam Sahayata Samuh"),
        ("Jai Maa Durga SHG", "माँ दुर्गा महिला स्वयं सहायता समूह"),
        ("Durga S.H.G.", "दुर्गा समूह"),
        ("Gram Sangathan Ekta", "एकता ग्राम संगठन"),
        ("Ekta V.O.", "Ekta Village Organisation"),
        ("Laxmi Saraswati", "Saraswati Lakshmi Mahila Mandal"),
        ("Durga 2", "दुर्गा समूह २"),
        ("Mahila Samuh", "महिला समूह"),
    ],
)
def test_spellings_of_one_name_meet(one, other):
    assert rules.name_keys(one)[1] == rules.name_keys(other)[1] != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Usha SHG", "Asha SHG"),
        ("Durga 1", "Durga 2"),
        ("Durga", "Durga 2"),
        ("Jai Maa Durga SHG", "Jai Maa Kali SHG"),
        ("Mahila Samuh", "Bachat Gat"),
    ],
)
def test_other_names_do_not(one, other):
    assert rules.name_keys(one)[1] != rules.name_keys(other)[1]


@pytest.mark.parametrize("name", ["", "🙂", "<>", "१" * 10_000, "ा" * 10_000, "a" * 10_000, "\u202eSHG\u202c"])
def test_any_name_has_keys(name):
    assert all(len(key) < 1000 for key in rules.name_keys(name))


# --- Verdicts


def test_what_each_rule_says():
    one = group(accounts=[ACCOUNT])
    assert judged(one, group(name="Other", region=NEAR, formed_on=None, accounts=[ACCOUNT])) is Verdict.CONFIRMED
    like = {"name": "Maa Durga Samuh", "formed_on": FORMED + timedelta(days=30)}
    assert judged(one, group(**like)) is Verdict.POTENTIAL
    for other in ({"formed_on": FORMED + timedelta(days=31)}, {"region": NEAR}, {"name": "Kali"}):
        assert judged(one, group(**{**like, **other})) is Verdict.CLEAR
    far = group(name="Other", region=NEAR, formed_on=None)
    for shared, of, verdict in (
        (4, 10, "CLEAR"),
        (5, 10, "POTENTIAL"),
        (7, 10, "POTENTIAL"),
        (8, 10, "CONFIRMED"),
        (1, 1, "CLEAR"),
        (4, 4, "CONFIRMED"),
    ):
        assert judged(one, far, InCommon(shared, of, 12)) is Verdict[verdict]


@pytest.mark.parametrize(
    ("kind", "region", "same"), [("SHG", HERE, "the same village"), ("VO", GP, "the same Gram Panchayat"), ("CLF", BLOCK, "the same block")]
)
def test_a_kind_is_compared_with_its_own_where_it_belongs(kind, region, same):
    one, other = (group(kind=kind, region=region, accounts=[ACCOUNT]) for _ in range(2))
    assert [clue.words for clue in rules.compare(one, other)] == ["the same bank account", "the same name", same, "formed on the same day"]
    others = {"SHG", "VO", "CLF"} - {kind}
    assert all(judged(one, group(kind=each, region=region, accounts=[ACCOUNT]), InCommon(9, 9, 9)) is Verdict.CLEAR for each in others)


def test_where_there_is_no_gram_panchayat_its_block_tells_the_place_apart():
    assert group(kind="VO", region="99.978.9904.0").place != group(kind="VO", region="99.978.9905.0").place


def test_of_many_the_gravest_are_shown():
    one = group(accounts=[ACCOUNT])
    others = [*(group() for _ in range(30)), group(name="Other", region=NEAR, accounts=[ACCOUNT])]
    found = rules.screen(one, others, {})
    assert len(found.matches) == 20
    assert (found.verdict, found.matches[0].other_id) == (Verdict.CONFIRMED, others[-1].institution_id)


GROUPS = st.builds(
    group,
    institution_id=st.uuids(),
    kind=st.sampled_from(["SHG", "VO"]),
    region=st.sampled_from([HERE, NEAR, ""]),
    name=st.sampled_from(["Durga", "दुर्गा समूह", "Usha", "SHG", ""]),
    formed_on=st.sampled_from([FORMED, FORMED + timedelta(days=9), date(2001, 1, 1), None]),
    accounts=st.lists(st.sampled_from([ACCOUNT, ("ZZZZ0KLD001", "2"), ("", "3"), ("ZZZZ0KLD001", "")]), max_size=2),
)
COMMON = st.builds(InCommon, st.integers(0, 5), st.integers(5, 9), st.integers(5, 9))


@given(GROUPS, GROUPS, COMMON)
def test_symmetric_and_deterministic(one, other, common):
    turned = InCommon(common.shared, common.others, common.own)
    assert rules.compare(one, other, common) == rules.compare(other, one, turned) == rules.compare(one, other, common)
    assert judged(one, other, common) is judged(other, one, turned)


@given(GROUPS, GROUPS)
def test_an_empty_value_never_adds(one, other):
    for nothing in ({"name_key": "", "name_fold": ""}, {"formed_on": None}, {"place": ""}, {"accounts": ()}):
        assert set(rules.compare(replace(one, **nothing), other)) < {*rules.compare(one, other), None}
    assert rules.compare(*(group(name="", formed_on=None, region="") for _ in range(2))) == ()


@given(GROUPS, GROUPS)
def test_whoever_may_be_one_shares_a_lookup(one, other):
    """Locks are on lookups: without one in common two could miss each other."""
    if judged(one, other) is not Verdict.CLEAR:
        assert rules.lookups(one) & rules.lookups(other)


# --- What is told


def submit(connection, version=1, **changes):
    made = group(**changes)
    commands.screen_institution(connection, made, version)
    return made.institution_id


def told(connection, institution_id):
    asked = select(mailbox.outbox).where(mailbox.outbox.c.subject == str(institution_id)).order_by(mailbox.outbox.c.id)
    return [(row.version, dedup_pb2.InstitutionScreened.FromString(row.body)) for row in connection.execute(asked)]


def verdict(connection, institution_id):
    return queries.institution_screening(connection, institution_id)[0].verdict


def test_both_sides_learn_of_one_account(connection):
    first = submit(connection, accounts=[ACCOUNT])
    assert told(connection, first) == [(1, dedup_pb2.InstitutionScreened(institution_id=str(first), revision=1, verdict="VERDICT_CLEAR"))]
    second = submit(connection, name="Kali", region=NEAR, accounts=[("ZZZZ0KLD001", "1"), ACCOUNT])
    for one, other in ((first, second), (second, first)):
        last = told(connection, one)[-1][1]
        assert last.verdict == dedup_pb2.VERDICT_CONFIRMED
        assert [(match.other_institution_id, [clue.code for clue in match.clues]) for match in last.matches] == [
            (str(other), ["SAME_ACCOUNT", "FORMED_SAME_DAY"])
        ]


def test_a_name_spelt_otherwise_of_near_days_is_potential_and_a_corrected_one_frees_both(connection):
    first = submit(connection)
    second = submit(connection, name="Maa Durga Swayam Sahayata Samuh", formed_on=FORMED + timedelta(days=20))
    assert (verdict(connection, first), verdict(connection, second)) == (Verdict.POTENTIAL, Verdict.POTENTIAL)
    submit(connection, 2, institution_id=second, revision=2, name="Kali")
    assert (verdict(connection, first), verdict(connection, second)) == (Verdict.CLEAR, Verdict.CLEAR)
    assert [(version, body.revision) for version, body in told(connection, second)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("gone", sorted(rules.GONE))
def test_what_is_no_more_is_nobodys_double_until_it_comes_back(connection, gone):
    first, second = submit(connection, accounts=[ACCOUNT]), uuid7()
    for version, status, expected in ((1, Status.SUBMITTED, "CONFIRMED"), (2, gone, "CLEAR"), (3, Status.SUBMITTED, "CONFIRMED")):
        submit(connection, version, institution_id=second, status=status, accounts=[ACCOUNT])
        assert verdict(connection, first) == expected


def test_what_was_let_in_keeps_its_screening_and_an_edit_of_it_is_screened(connection):
    first = submit(connection, accounts=[ACCOUNT])
    submit(connection, 2, institution_id=first, accounts=[ACCOUNT], status=Status.ACTIVE)
    second = submit(connection, name="Kali", accounts=[ACCOUNT])
    assert (verdict(connection, first), verdict(connection, second)) == (Verdict.CLEAR, Verdict.CONFIRMED)
    submit(connection, 3, institution_id=first, revision=2, accounts=[ACCOUNT])
    assert verdict(connection, first) is Verdict.CONFIRMED


def test_what_came_from_the_old_mis_follows_what_is_known(connection):
    first = submit(connection, accounts=[ACCOUNT], status=Status.LEGACY)
    submit(connection, name="Kali", accounts=[ACCOUNT])
    assert verdict(connection, first) is Verdict.CONFIRMED


def test_heard_again_late_or_without_news_nothing_is_told(connection):
    first = submit(connection, 3)
    for version in (3, 2):
        submit(connection, version, institution_id=first, name="Kali")
    submit(connection, 4, institution_id=first)
    commands.rescreen_institution(connection, first)
    assert len(told(connection, first)) == 1
    assert queries.institution(connection, first)[1] == 4


def enrol(connection, group_id, token, member_id=None, version=1):
    """By the consumer, which counts her in both groups."""
    her = profiles_pb2.MemberSubmitted(member_id=str(member_id or uuid7()), revision=1, institution_id=str(group_id), region=HERE, name="Sunita")
    her.identity_token = token
    Consumer().member_submitted(connection, Event(uuid7(), her.member_id, version, None, her))
    return UUID(her.member_id)


def test_members_in_common_are_counted_as_they_come_move_and_go(connection):
    first, second = submit(connection), submit(connection, name="Kali", region=NEAR)
    for number in range(6):
        enrol(connection, first, f"woman {number}")
    women = []
    for number, expected in enumerate(("CLEAR", "CLEAR", "POTENTIAL", "CONFIRMED", "CONFIRMED")):
        women.append(enrol(connection, second, f"woman {number}"))
        assert (verdict(connection, first), verdict(connection, second)) == (expected, expected)
    last = told(connection, second)[-1][1]
    assert last.matches[0].clues[-1].words == "5 women are members of both, by e-KYC; the smaller has 5"
    gone = profiles_pb2.MemberDecided(member_id=str(women[0]), revision=1, status="STATUS_REJECTED")
    Consumer().member_decided(connection, Event(uuid7(), gone.member_id, 2, None, gone))
    assert verdict(connection, first) is verdict(connection, second) is Verdict.CONFIRMED  # Four of what is counted as five.
    third = submit(connection, name="Lakshmi", region=NEAR)
    enrol(connection, third, "woman 1", women[1], 2)
    assert verdict(connection, first) is verdict(connection, second) is Verdict.POTENTIAL
    for number in range(4):  # Others who join make it less.
        enrol(connection, first, f"another of the first {number}")
        enrol(connection, second, f"another of the second {number}")
    assert verdict(connection, first) is verdict(connection, second) is Verdict.CLEAR


def test_members_who_came_before_the_group_was_handed_in_count(connection):
    groups = [uuid7(), uuid7()]
    for group_id in groups:
        for number in range(5):
            enrol(connection, group_id, f"woman {number}")
    for group_id, name in zip(groups, ("Durga", "Kali"), strict=True):
        submit(connection, institution_id=group_id, name=name)
    assert {verdict(connection, group_id) for group_id in groups} == {Verdict.CONFIRMED}


def test_the_consumer_reads_what_profiles_tells(connection):
    made = uuid7()
    body = profiles_pb2.InstitutionSubmitted(
        institution_id=str(made), revision=2, kind="KIND_VO", name="Ekta V.O.", region=GP, formed_on="2020-04-14", status="STATUS_LEGACY"
    )
    body.accounts.add(ifsc="ZZZZ0KLD001", account_number="1000200917401")
    Consumer().institution_submitted(connection, Event(uuid7(), str(made), 7, None, body))
    expected = group(institution_id=made, revision=2, kind="VO", name="Ekta", region=GP, accounts=[ACCOUNT])
    assert queries.institution(connection, made) == (expected, 7)


def test_a_restatement_tells_the_same_under_the_same_version(connection):
    first = submit(connection, accounts=[ACCOUNT])
    submit(connection, name="Kali", accounts=[ACCOUNT])
    before = told(connection, first)[-1]
    after = None
    while page := commands.restate_institutions(connection, "profiles", after):
        after = page[-1]
    assert told(connection, first)[-1] == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_events_leaves_no_trace(connection, data):
    """Whatever is told of three groups, in whatever order: what is known at the end is the same, but for what was active before."""
    ids = [uuid7() for _ in range(3)]
    said = [
        (version, group(institution_id=one, revision=version, name=name, accounts=[ACCOUNT] if has else [], status=status))
        for one in ids
        for version, name, has, status in data.draw(
            st.lists(
                st.tuples(st.integers(1, 3), st.sampled_from(["Durga", "Kali"]), st.booleans(), st.sampled_from([Status.SUBMITTED, Status.REJECTED])),
                unique_by=lambda each: each[0],
                min_size=1,
            )
        )
    ]
    outcomes = []
    for events in (said, data.draw(st.permutations(said))):
        nested = connection.begin_nested()
        for version, made in events:
            commands.screen_institution(connection, made, version)
        held = {one: queries.institution(connection, one)[0] for one in ids}
        outcomes.append({one: queries.institution_screening(connection, one)[0] for one in ids if rules.in_being(held[one])})
        nested.rollback()
    assert outcomes[0] == outcomes[1]


# --- Two at once, in connections of their own; what they commit is wiped.


@pytest.fixture
def born_here(up):
    ids = []
    yield ids
    with database.transaction(SERVICE) as connection:
        for table in (institutions, institution_screenings, institution_matches):
            connection.execute(delete(table).where(table.c.institution_id.in_(ids)))
        for table in (people, screenings):
            connection.execute(delete(table).where(table.c.member_id.in_(ids)))
        connection.execute(delete(mailbox.outbox).where(mailbox.outbox.c.subject.in_(map(str, ids))))


@pytest.mark.parametrize("shared", [{"accounts": [("TEST0000001", "77")]}, {"name": "दुर्गा समूह"}])
def test_two_at_once_see_each_other(born_here, shared):
    one, other = (uuid7() for _ in range(2))
    born_here += [one, other]
    first = {"name": "Kali", **shared} if "accounts" in shared else {"name": "Durga"}

    def second():
        with database.transaction(SERVICE) as connection:
            submit(connection, institution_id=other, **shared)

    thread = threading.Thread(target=second)
    with database.transaction(SERVICE) as connection:
        submit(connection, institution_id=one, **first)
        thread.start()
        until = time.monotonic() + 5
        while not waiting_for_a_lock() and time.monotonic() < until:
            time.sleep(0.02)
        assert thread.is_alive(), "the second waits for the first"
    thread.join(10)
    with database.transaction(SERVICE) as connection:
        expected = Verdict.CONFIRMED if "accounts" in shared else Verdict.POTENTIAL
        assert verdict(connection, one) is verdict(connection, other) is expected


def test_women_who_come_at_once_are_all_counted(born_here):
    """Each in a transaction of her own, into two groups that are handed in meanwhile."""
    groups = [uuid7() for _ in range(2)]
    women = [(group_id, f"at once {number}", uuid7()) for number in range(5) for group_id in groups]
    born_here += [*groups, *(woman[2] for woman in women)]
    failed = []

    def come(some):
        for group_id, token, member_id in some:
            for tries in range(5):  # As the decorator of consumers does.
                try:
                    with database.transaction(SERVICE) as connection:
                        enrol(connection, group_id, token, member_id)
                    break
                except DBAPIError as error:
                    if tries == 4:
                        failed.append(error)

    def hand_in():
        for group_id, name in zip(groups, ("Durga", "Kali"), strict=True):
            with database.transaction(SERVICE) as connection:
                submit(connection, institution_id=group_id, name=name)

    threads = [threading.Thread(target=come, args=(some,)) for some in (women[0::2], women[1::2][::-1])] + [threading.Thread(target=hand_in)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    with database.transaction(SERVICE) as connection:
        screened = [queries.institution_screening(connection, group_id)[0] for group_id in groups]
    assert {(one.verdict, one.matches[0].clues[-1].words) for one in screened} == {
        (Verdict.CONFIRMED, "5 women are members of both, by e-KYC; the smaller has 5")
    }
