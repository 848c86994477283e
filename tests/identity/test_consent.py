"""Consents: what is told, what is given and withdrawn, the chain of it, and what a member reads of herself."""

import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from protos import identity_pb2, profiles_pb2
from services.chassis import audit, interceptors, jobs
from services.identity import __main__ as commands_of_operators
from services.identity import queries, servicer
from services.identity.commands import alert, consent, kyc, retention
from services.identity.rules import consent as rules
from services.identity.rules import summary
from services.identity.rules.consent import Channel, Kind, Purpose
from services.identity.rules.retention import CLASSES
from services.identity.rules.vault import Identity
from services.identity.tables import alerts, consents, kycs, members
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.kernel.policies import RULES
from tests.identity.builders import BLOCK, BOOKKEEPER, GIVEN_AT, TODAY, VILLAGE, give, keeper, outbox, said, withdraw

SERVICE = "identity"
NOW = GIVEN_AT + timedelta(hours=1)
OFFICER = Caller("IUP_BPM1", Role.BLOCK_PROGRAM_MANAGER, BLOCK)
ELSEWHERE = Caller("IUP_BPM2", Role.BLOCK_PROGRAM_MANAGER, "9.178.1205")

# A notice that was told never changes: another text is another version, with a line of its own here.
TOLD = {
    (Purpose.AADHAAR_OFFLINE, 1, "en"): "f491d34c776a7d80",
    (Purpose.AADHAAR_OFFLINE, 1, "hi"): "da8d69a1655f61ce",
    (Purpose.AADHAAR_ONLINE, 1, "en"): "efaa4ce14613f863",
    (Purpose.AADHAAR_ONLINE, 1, "hi"): "d97b8d9ed67bed7b",
    (Purpose.AADHAAR_QR, 1, "en"): "cd00c9852b2d2d46",
    (Purpose.AADHAAR_QR, 1, "hi"): "bd93ce842a29f1be",
    (Purpose.BANK_SHARING, 1, "en"): "93452a3762899dba",
    (Purpose.BANK_SHARING, 1, "hi"): "e62f42611b3d5282",
    (Purpose.MESSAGES, 1, "en"): "8b3233b8fe682ab5",
    (Purpose.MESSAGES, 1, "hi"): "b747d5ec56fad212",
    (Purpose.PHOTO, 1, "en"): "92ea64eb5d5a1e24",
    (Purpose.PHOTO, 1, "hi"): "d30c39d01ec19243",
}


def days(policy):
    return RULES[policy].default


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


# --- Notices


def test_every_purpose_has_a_notice_in_english_and_hindi_that_stands_by_itself():
    for purpose in Purpose:
        found = {one.language: one for one in rules.current(purpose, "", TODAY)}
        assert set(found) == {"en", "hi"}
        english, hindi = found["en"], found["hi"]
        assert (english.data_items, english.recipients, english.version) == (hindi.data_items, hindi.recipients, hindi.version)
        assert english.data_items
        assert english.recipients
        assert "withdraw" in english.text
        assert "You need not agree" in english.text
        assert "complaint" in english.text
        assert any("\u0900" <= letter <= "\u097f" for letter in hindi.title + hindi.text)
        assert english.retention in {*CLASSES, "EVIDENCE", "PROFILE"}
        if purpose.startswith("AADHAAR"):
            assert "another proof instead" in english.text
            assert "Nobody is refused" in english.text


def test_a_notice_that_was_told_reads_as_it_did():
    assert {key: notice.hash.hex()[:16] for key, notice in rules.notices().items()} == TOLD


@pytest.mark.parametrize("name", ["title", "text", "data_items", "recipients", "lawful_basis", "retention", "valid_from", "valid_days", "version"])
def test_whatever_changes_of_a_notice_changes_its_hash(name):
    notice = rules.current("PHOTO", "en", TODAY)[0]
    value = getattr(notice, name)
    more = {str: ".", tuple: ("MORE",), int: 1, date: timedelta(days=1)}[type(value)]
    assert replace(notice, **{name: value + more}).hash != notice.hash


def test_the_newest_notice_that_has_come_into_force_is_told(monkeypatch):
    file = tomllib.loads((rules.NOTICES / "photo.toml").read_text())
    file["versions"].append({**file["versions"][0], "version": 2, "valid_from": date(2027, 1, 1)})
    monkeypatch.setattr(rules, "notices", lambda: rules.read_notices([file]))
    told = [[one.version for one in rules.current("PHOTO", "en", day)] for day in (date(2025, 12, 31), TODAY, date(2027, 1, 1))]
    assert told == [[], [1], [2]]


# --- Giving and withdrawing


def test_a_consent_says_who_when_to_what_and_by_which_words(connection):
    caller, shg = keeper(connection)
    given_ = said()
    state = consent.give(connection, caller, shg, given_, NOW)
    record = queries.consents_of(connection, given_.member_id)[0]
    assert record == state.given
    assert record.hash == record.computed()
    assert (record.notice_hash, record.language, record.data_items) == (given_.notice.hash, "hi", given_.notice.data_items)
    assert (record.user_id, record.role, record.device_id, record.proof) == (caller.user_id, "SHG_BOOKKEEPER", "device-1", "image-1")
    assert (record.institution_id, record.region, record.prior_hash) == (shg, VILLAGE, rules.GENESIS)
    assert record.expires_at == GIVEN_AT + timedelta(days=given_.notice.valid_days)
    assert state.holds(NOW)
    last = connection.execute(select(audit.audit).order_by(audit.audit.c.id.desc()).limit(1)).one()
    assert (last.action, last.facts["hash"]) == ("consent.give", record.hash.hex())
    assert outbox(connection, "ConsentRenewed") == []


def test_the_same_consent_again_is_the_same_answer_and_another_under_its_id_is_refused(connection):
    caller, shg = keeper(connection)
    given_ = said()
    first = consent.give(connection, caller, shg, given_, NOW)
    assert consent.give(connection, replace(caller, user_id="IUP_GITA1"), shg, given_, NOW + timedelta(hours=1)) == first
    assert len(queries.consents_of(connection, given_.member_id)) == 1
    [photo] = rules.current("PHOTO", "hi", TODAY)
    [english] = rules.current("AADHAAR_ONLINE", "en", TODAY)
    for changes in (
        {"member_id": uuid7()},
        {"notice": photo, "data_items": photo.data_items},
        {"notice": english},
        {"channel": Channel.SELF},
        {"device_id": "device-2"},
        {"proof": ""},
        {"at": GIVEN_AT + timedelta(seconds=1)},
        {"until": GIVEN_AT + timedelta(days=1)},
    ):
        assert code_of(consent.give, connection, caller, shg, replace(given_, **changes), NOW) == "CONSENT_CONTENT"


def test_a_verification_reads_all_that_its_notice_names_or_is_not_done(connection):
    caller, shg = keeper(connection)
    assert code_of(consent.give, connection, caller, shg, replace(said(), data_items=said().notice.data_items[:1]), NOW) == "DATA_ITEMS_MISSING"


def test_a_language_without_a_notice_is_told_in_english():
    for purpose in rules.Purpose:
        assert [one.language for one in rules.current(purpose, "ta", TODAY)] == ["en"]
        assert [one.language for one in rules.current(purpose, "hi", TODAY)] == ["hi"]


def test_whom_profiles_told_of_is_nobody_elses(connection):
    """Of an enrolled woman who never spoke of consents here, a stranger cannot say that she is hers."""
    caller, shg = keeper(connection)
    stranger, strangers_shg = keeper(connection)
    given_ = said()
    place = {"institution_id": shg, "region": VILLAGE}
    retention.heard(connection, given_.member_id, place, 3, None)
    assert code_of(consent.give, connection, stranger, strangers_shg, given_, NOW) == "INSTITUTION_NOT_YOURS"
    assert queries.consents_of(connection, given_.member_id) == []
    assert consent.give(connection, caller, shg, given_, NOW)
    assert code_of(consent.give, connection, stranger, strangers_shg, given_, NOW) == "INSTITUTION_NOT_YOURS"
    # An older word moves her nowhere.
    retention.heard(connection, given_.member_id, place | {"region": "9.179"}, 2, None)
    assert queries.member(connection, caller, given_.member_id).region == VILLAGE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": NOW + timedelta(minutes=6)}, "GIVEN_IN_FUTURE"),
        ({"at": datetime(2025, 12, 31, 18, 29, tzinfo=UTC)}, "GIVEN_BEFORE_NOTICE"),
        ({"data_items": ()}, "DATA_ITEMS_UNKNOWN"),
        ({"data_items": ("NAME", "CASTE")}, "DATA_ITEMS_UNKNOWN"),
        ({"until": GIVEN_AT}, "EXPIRES_BEFORE_GIVEN"),
    ],
)
def test_what_is_no_consent(connection, changes, code):
    caller, shg = keeper(connection)
    given_ = said()
    assert code_of(consent.give, connection, caller, shg, replace(given_, **changes), NOW) == code
    assert queries.consents_of(connection, given_.member_id) == []


def test_a_consent_ends_when_she_says_and_never_after_the_notice_does(connection):
    caller, shg = keeper(connection)
    for until, expected in ((timedelta(days=30), 30), (timedelta(days=9999), 1825)):
        assert give(connection, caller, shg, until=GIVEN_AT + until).given.expires_at == GIVEN_AT + timedelta(days=expected)


def test_whose_institution_it_is_not_records_nothing(connection):
    caller, shg = keeper(connection)
    other, others_shg = keeper(connection)
    assert code_of(give, connection, other, shg) == "INSTITUTION_NOT_YOURS"
    assert code_of(give, connection, other, uuid7()) == "INSTITUTION_UNKNOWN"
    hers = give(connection, caller, shg).given
    assert code_of(give, connection, other, others_shg, member_id=hers.member_id) == "INSTITUTION_NOT_YOURS"
    assert code_of(withdraw, connection, other, hers.consent_id) == "CONSENT_UNKNOWN"
    assert code_of(withdraw, connection, caller, uuid7()) == "CONSENT_UNKNOWN"
    # She moves, as profiles tells: from then on the other one keeps her record.
    place = {"institution_id": others_shg, "region": VILLAGE}
    retention.heard(connection, hers.member_id, place, 2, None)
    retention.heard(connection, hers.member_id, {"institution_id": shg, "region": VILLAGE}, 1, None)
    assert code_of(withdraw, connection, caller, hers.consent_id) == "CONSENT_UNKNOWN"
    assert withdraw(connection, other, hers.consent_id).withdrawn.institution_id == others_shg


def test_a_withdrawal_ends_every_consent_to_the_purpose_and_no_other_and_is_told_once(connection):
    caller, shg = keeper(connection)
    first = give(connection, caller, shg).given
    again = give(connection, caller, shg, member_id=first.member_id, at=GIVEN_AT + timedelta(minutes=9)).given
    photo = give(connection, caller, shg, member_id=first.member_id, purpose="PHOTO").given
    another = give(connection, caller, shg).given
    when = NOW + timedelta(hours=1)
    ended = withdraw(connection, caller, first.consent_id, when)
    assert withdraw(connection, caller, again.consent_id, when + timedelta(hours=1)).withdrawn == ended.withdrawn
    states = {one.given.consent_id: one for one in rules.states(queries.consents_of(connection, first.member_id))}
    assert {one: state.holds(when) for one, state in states.items()} == {first.consent_id: False, again.consent_id: False, photo.consent_id: True}
    assert queries.consent(connection, another.consent_id).holds(when)
    [told] = outbox(connection, "ConsentWithdrawn")
    body = identity_pb2.ConsentWithdrawn.FromString(told.body)
    assert (body.member_id, body.purpose, set(body.consent_ids)) == (
        str(first.member_id),
        "AADHAAR_ONLINE",
        {str(first.consent_id), str(again.consent_id)},
    )
    assert (body.withdrawn_at.ToDatetime(UTC), told.version) == (when, 4)
    # And once more she agrees.
    anew = give(connection, caller, shg, member_id=first.member_id, now=when + timedelta(days=1)).given
    assert queries.consent(connection, anew.consent_id).holds(when + timedelta(days=1))
    [told] = outbox(connection, "ConsentRenewed")
    assert (identity_pb2.ConsentRenewed.FromString(told.body).purpose, told.version) == ("AADHAAR_ONLINE", 5)


def test_a_withdrawal_is_not_before_the_giving_nor_in_the_future(connection):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given
    for at in (GIVEN_AT - timedelta(seconds=1), NOW + timedelta(minutes=6)):
        wanted = consent.Withdrawing(hers.consent_id, Channel.SELF, "", "", at)
        assert code_of(consent.withdraw, connection, caller, wanted, NOW) == "WITHDRAWN_AT_INVALID"
    earlier = consent.Withdrawing(hers.consent_id, Channel.SELF, "", "", GIVEN_AT + timedelta(minutes=2))
    made = consent.withdraw(connection, caller, earlier, NOW).withdrawn
    assert (made.at, made.recorded_at) == (GIVEN_AT + timedelta(minutes=2), NOW)


def test_who_withdraws_has_her_number_erased_and_her_e_kyc_stopped(connection):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given
    begun = kyc.start(connection, caller, hers.member_id, hers.consent_id, uuid4(), "t", NOW)
    withdraw(connection, caller, hers.consent_id, NOW + timedelta(minutes=1))
    asked = select(jobs.jobs.c.arguments).where(jobs.jobs.c.name == "erase_numbers", jobs.jobs.c.key.like(f"{hers.member_id}%"))
    assert connection.execute(asked).scalars().all() == [{"member_id": str(hers.member_id)}]
    ends = connection.execute(select(kycs.c.expires_at).where(kycs.c.kyc_id == begun.kyc_id)).scalar_one()
    assert ends == NOW + timedelta(minutes=1)


# --- The chain


MOVES = st.lists(st.tuples(st.sampled_from(["give", "withdraw"]), st.sampled_from(list(Purpose)), st.integers(0, 2)), max_size=14)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(MOVES)
def test_whatever_she_says_in_whatever_order_the_state_is_the_models_and_the_chain_fits(connection, moves):
    caller, shg = keeper(connection)
    member_id, held, ended, now = uuid7(), {purpose: [] for purpose in Purpose}, set(), NOW
    for move, purpose, which in moves:
        now += timedelta(minutes=1)
        if move == "give":
            held[purpose].append(give(connection, caller, shg, member_id=member_id, purpose=purpose, now=now).given.consent_id)
        elif held[purpose]:
            withdraw(connection, caller, held[purpose][which % len(held[purpose])], now)
            if held[purpose][which % len(held[purpose])] not in ended:
                ended |= set(held[purpose])
    states = {one.given.consent_id: one.holds(now) for one in rules.states(queries.consents_of(connection, member_id))}
    assert states == {one: one not in ended for ids in held.values() for one in ids}
    assert fault_of(connection, member_id) == ""


def fault_of(connection, member_id):
    row = connection.execute(select(members).where(members.c.member_id == member_id)).one_or_none()
    if row is None:
        return ""
    return rules.first_fault(queries.consents_of(connection, member_id), row.erased_place, row.erased_hash, row.head)


CHANGES = {
    "purpose": "PHOTO",
    "language": "en",
    "notice_hash": b"x" * 32,
    "data_items": ["NAME"],
    "channel": "SELF",
    "user_id": "IUP_ELSE1",
    "proof": "image-2",
    "at": GIVEN_AT - timedelta(seconds=1),
    "expires_at": GIVEN_AT + timedelta(days=1),
    "recorded_at": NOW + timedelta(days=1),
    "kind": "WITHDRAWN",
    "region": BLOCK,
}


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("what", [*CHANGES, "taken out"])
def test_what_is_changed_in_a_chain_is_found(connection, place, what):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given.member_id
    for _ in range(2):
        give(connection, caller, shg, member_id=hers)
    assert fault_of(connection, hers) == ""
    this = consents.c.member_id == hers, consents.c.place == place
    if what == "taken out":
        connection.execute(delete(consents).where(*this))
    else:
        connection.execute(update(consents).where(*this).values({what: CHANGES[what]}))
    assert fault_of(connection, hers)


def test_a_record_put_between_or_behind_is_found_and_so_is_one_resealed(connection):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given.member_id
    give(connection, caller, shg, member_id=hers)
    first, second = queries.consents_of(connection, hers)
    behind = replace(second, place=3, consent_id=uuid7(), prior_hash=second.hash).sealed()
    connection.execute(insert(consents).values(queries.columns_of(behind)))
    assert fault_of(connection, hers)
    connection.execute(delete(consents).where(consents.c.member_id == hers, consents.c.place == 3))
    assert fault_of(connection, hers) == ""
    resealed = replace(first, proof="image-9").sealed()
    this = consents.c.member_id == hers, consents.c.place == 1
    connection.execute(update(consents).where(*this).values(proof=resealed.proof, hash=resealed.hash))
    assert fault_of(connection, hers) == "record 2 does not follow the one before it"


@pytest.fixture
def operator(connection, monkeypatch):
    """The command line, inside the test's own transaction; what it printed and how it ended."""
    from contextlib import contextmanager

    @contextmanager
    def same(_service="", **_how):
        yield connection

    monkeypatch.setattr(commands_of_operators.database, "reading", same)
    monkeypatch.setattr(commands_of_operators, "transaction", same)

    def run(capsys, *words):
        monkeypatch.setattr("sys.argv", ["identity", *words])
        code = commands_of_operators.main()
        return code, capsys.readouterr()

    return run


def test_the_command_walks_all_chains_and_names_the_one_that_does_not_fit(connection, operator, capsys, monkeypatch):
    connection.execute(delete(consents))
    connection.execute(delete(members))
    monkeypatch.setattr(consent, "PAGE", 2)
    caller, shg = keeper(connection)
    hers = [give(connection, caller, shg).given.member_id for _ in range(5)]
    code, told = operator(capsys, "consents", "check")
    assert (code, told.out) == (0, "5 records of consents of 5 members walked: 0 chains do not fit.\n")
    connection.execute(update(consents).where(consents.c.member_id == hers[3]).values(proof="image-2"))
    code, told = operator(capsys, "consents", "check")
    assert code == 1
    assert f"{hers[3]}: record 1 was changed" in told.out
    monkeypatch.setattr(rules, "notices", dict)
    assert "of a notice that reads otherwise now" in operator(capsys, "consents", "check")[1].out


# --- Messages


def due(member_id):
    return profiles_pb2.LoanAlertDue(
        loan_id=str(uuid7()), mobile="9000000001", principal_paise=100, given_on="2026-07-01", institution_code="S09", member_id=str(member_id)
    )


def test_who_withdrew_from_messages_is_sent_none_and_her_phone_is_not_kept(connection):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg, purpose="MESSAGES").given
    waits, late = due(hers.member_id), due(hers.member_id)
    alert.keep(connection, waits, NOW)
    withdraw(connection, caller, hers.consent_id)
    alert.keep(connection, late, NOW)
    assert connection.execute(select(alerts).where(alerts.c.member_id == hers.member_id)).all() == []
    assert [alert.take(connection, UUID(one.loan_id)) for one in (waits, late)] == [None, None]
    give(connection, caller, shg, purpose="MESSAGES", member_id=hers.member_id, now=NOW + timedelta(days=2))
    alert.keep(connection, late, NOW)
    assert alert.take(connection, UUID(late.loan_id)).member_id == hers.member_id
    # One who never said anything is told, as the check against loans in her name that she never took.
    nobody = due(uuid7())
    alert.keep(connection, nobody, NOW)
    assert alert.take(connection, UUID(nobody.loan_id))


# --- What she reads


@pytest.fixture
def serving(connection, monkeypatch):
    """The servicer inside the test's transaction, for whoever calls; and what was noted as seen."""
    from contextlib import contextmanager

    @contextmanager
    def same(_service=""):
        yield connection

    seen = []
    monkeypatch.setattr(servicer.consents, "transaction", same)
    made = servicer.Servicer()
    monkeypatch.setattr(made.reads, "seen", lambda who, action, whom: seen.append((who.user_id, action, list(whom))))

    def call(who, name, request):
        interceptors._caller.set(who)
        return getattr(made, name)(request, None)

    call.seen = seen
    return call


def test_she_reads_in_hindi_what_is_kept_of_her_why_and_until_when(connection, serving):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given
    begun = kyc.start(connection, caller, hers.member_id, hers.consent_id, uuid4(), "t", NOW)
    kyc.confirm(connection, caller, begun, Identity("ab" * 32, "XXXX XXXX 1234"), 1985, "F", NOW)
    alert.note_sent(connection, f"loan_given:{uuid7()}", "loan_given", hers.member_id, NOW)
    ask = identity_pb2.AccessSummaryRequest(member_id=str(hers.member_id), language="hi")
    told = serving(OFFICER, "AccessSummary", ask)
    assert [(one.code, "सहमति" in one.words, one.user_id, one.role) for one in told.consents] == [
        ("AADHAAR_ONLINE", True, caller.user_id, "SHG_BOOKKEEPER")
    ]
    [verified] = told.verifications
    assert (verified.code, verified.last4, verified.at.ToDatetime(UTC)) == ("ONLINE_EKYC", "1234", NOW)
    assert verified.until.ToDatetime(UTC) - verified.at.ToDatetime(UTC) > timedelta(days=2556)
    assert [one.code for one in told.messages] == ["loan_given"]
    assert {one.code for one in told.shared_with} == {"SELF_HELP_GROUP", "BLOCK_OFFICE", "UIDAI", "SMS_GATEWAY"}
    assert {one.code for one in told.kept_elsewhere} == {"profiles", "transactions", "dedup", "reporting"}
    assert "90" in told.grievances
    assert not told.held
    assert serving(caller, "AccessSummary", ask) == told
    assert serving.seen == [(who.user_id, "member.summary", [hers.member_id]) for who in (OFFICER, caller)]
    english = serving(OFFICER, "AccessSummary", identity_pb2.AccessSummaryRequest(member_id=str(hers.member_id), language="kn"))
    assert english.consents[0].words == "Aadhaar online e-KYC: you agreed. It holds."


def test_whom_to_complain_to_is_the_states_to_say(connection, serving, monkeypatch):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given
    monkeypatch.setenv("LOKOS_GRIEVANCE_CONTACT", "Asha Rao, 0522 000000")
    told = serving(caller, "AccessSummary", identity_pb2.AccessSummaryRequest(member_id=str(hers.member_id)))
    assert "Asha Rao, 0522 000000" in told.grievances


@pytest.mark.parametrize("name", ["AccessSummary", "ListConsents"])
def test_whoever_does_not_see_her_learns_nothing(connection, serving, name):
    caller, shg = keeper(connection)
    hers = give(connection, caller, shg).given
    request = getattr(identity_pb2, f"{name}Request")
    other, _ = keeper(connection)
    for who, member_id in ((ELSEWHERE, hers.member_id), (other, hers.member_id), (OFFICER, uuid7())):
        assert code_of(serving, who, name, request(member_id=str(member_id))) == "MEMBER_UNKNOWN"
    assert serving.seen == []


def test_every_word_of_the_summary_is_in_both_languages():
    for section, codes in summary._words().items():
        for code, texts in codes.items():
            assert set(texts) == {"en", "hi"}, f"{section}.{code}"


def test_the_wire_gives_withdraws_and_lists(connection, serving):
    caller, shg = keeper(connection)
    member_id, consent_id = uuid7(), str(uuid7())
    [notice] = serving(caller, "ListNotices", identity_pb2.ListNoticesRequest(purpose="PHOTO", language="en")).notices
    plain = {
        "consent_id": consent_id,
        "member_id": str(member_id),
        "institution_id": str(shg),
        "purpose": "PHOTO",
        "notice_version": notice.version,
        "language": "en",
        "notice_hash": notice.hash,
        "data_items": ["PHOTO"],
        "channel": "SELF",
    }
    for changes, code in (
        ({"purpose": "MARKETING"}, "PURPOSE_UNKNOWN"),
        ({"notice_hash": "00" * 32}, "NOTICE_UNKNOWN"),
        ({"notice_version": 99}, "NOTICE_UNKNOWN"),
        ({"language": "kn"}, "NOTICE_UNKNOWN"),
        ({"channel": ""}, "CHANNEL_UNKNOWN"),
        ({"proof": "x" * 101}, "REFERENCE_TOO_LONG"),
    ):
        assert code_of(serving, caller, "GiveConsent", identity_pb2.GiveConsentRequest(**plain | changes)) == code
    made = serving(caller, "GiveConsent", identity_pb2.GiveConsentRequest(**plain))
    assert (made.holds, made.data_items, made.HasField("withdrawn_at")) == (True, ["PHOTO"], False)
    ended = serving(caller, "WithdrawConsent", identity_pb2.WithdrawConsentRequest(consent_id=consent_id, channel="SELF"))
    assert (ended.holds, ended.HasField("withdrawn_at"), ended.record_hash) == (False, True, made.record_hash)
    [listed] = serving(OFFICER, "ListConsents", identity_pb2.ListConsentsRequest(member_id=str(member_id))).consents
    assert listed == ended
    assert serving.seen == [(OFFICER.user_id, "consent.list", [member_id])]
    kinds = [(one.kind, one.place) for one in queries.consents_of(connection, member_id)]
    assert kinds == [(Kind.GIVEN, 1), (Kind.WITHDRAWN, 2)]
    assert len(serving(BOOKKEEPER, "ListNotices", identity_pb2.ListNoticesRequest()).notices) == 2 * len(Purpose)
