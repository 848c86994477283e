"""Evidence by signed papers: whom a paper may stand for, how often one may try, what is attested and what is kept; on a real database."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from protos import identity_pb2
from services.chassis import audit, database, interceptors, tokens
from services.identity import queries
from services.identity.adapters import papers
from services.identity.commands import certificate, consent
from services.identity.commands import evidence as commands
from services.identity.rules import consent as consents
from services.identity.rules import evidence as rules
from services.identity.rules.consent import Channel, Given, Purpose
from services.identity.rules.verified import Mode, VerifiedIdentity
from services.identity.servicer import Servicer
from services.identity.tables import attempts, evidence
from services.kernel.caller import Caller, Role
from services.kernel.errors import Exhausted, Invalid, Refused
from services.kernel.ids import uuid7
from services.kernel.month import IST
from tests.identity.builders import HERE, VILLAGE, heard, with_policies, withdraw
from tests.identity.papers import made

SERVICE = "identity"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
KEY = b"a key of these tests"
ADMIN, SECOND = (Caller(f"IUP_{name}", Role.STATE_ADMIN, "9", person=name) for name in ("FIRST", "SECOND"))
PURPOSES = {Mode.SECURE_QR: Purpose.AADHAAR_QR, Mode.OFFLINE_EKYC: Purpose.AADHAAR_OFFLINE}


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def said(**changes):
    """A paper of this moment, unlike any other one."""
    plain = {
        "mode": Mode.SECURE_QR,
        "name": "Sita Testdevi",
        "born_on": date(1985, 2, 1),
        "birth_year": 1985,
        "gender": "F",
        "last4": "1234",
        "care_of": "W/O: Ramesh Testkumar",
        "address": {"vtc": "Testgaon"},
        "referenced_at": datetime(2024, 2, 15, tzinfo=IST) + timedelta(microseconds=uuid4().int % 10**12),
        "mobile_matches": None,
        "email_matches": None,
        "photo": b"",
        "signed_by": "ab" * 32,
    }
    return VerifiedIdentity(**plain | changes)


class Woman:
    """A member whom a bookkeeper is about to enter, and who has consented."""

    def __init__(self, connection, mode=Mode.SECURE_QR, now=NOW):
        self.member_id, self.consent_id, shg_id = uuid7(), uuid7(), heard(connection)
        self.keeper = Caller(f"IUP_{uuid4().hex[:8].upper()}", Role.SHG_BOOKKEEPER, VILLAGE, frozenset({shg_id}))
        [notice] = consents.current(PURPOSES[mode], "en", now.date())
        given = Given(self.consent_id, self.member_id, notice, notice.data_items, Channel.ASSISTED, "", "", now, None)
        consent.give(connection, self.keeper, shg_id, given, now)

    def begin(self, connection, mode=Mode.SECURE_QR, now=NOW):
        return commands.begin(connection, self.keeper, self.member_id, self.consent_id, mode, KEY, now)

    def keep(self, connection, paper, here=HERE, now=NOW):
        evidence_id, attestation = commands.keep(connection, self.keeper, self.member_id, self.consent_id, paper, here, KEY, now)
        return evidence_id, tokens.verify(attestation, "kyc")


def rows(connection, member_id):
    return connection.execute(select(evidence).where(evidence.c.member_id == member_id)).all()


# --- The rules.


def test_two_papers_of_one_woman_have_one_fingerprint_and_are_two_papers():
    one = said()
    other = said(mode=Mode.OFFLINE_EKYC, name="SITA  TESTDEVI", referenced_at=one.referenced_at + timedelta(days=3), care_of="", photo=b"x")
    assert rules.fingerprint(KEY, one) == rules.fingerprint(KEY, other)
    assert rules.reference_key(KEY, one) == rules.reference_key(KEY, replace(one, name="Another", photo=b"x"))
    assert rules.reference_key(KEY, one) != rules.reference_key(KEY, replace(one, referenced_at=one.referenced_at + timedelta(milliseconds=1)))
    assert rules.fingerprint(b"another key", one) != rules.fingerprint(KEY, one)


DIFFERENT = [{"last4": "1235"}, {"name": "Gita Testdevi"}, {"born_on": date(1985, 1, 2)}, {"born_on": None}, {"gender": "M"}]


@pytest.mark.parametrize("changes", [*DIFFERENT, {"birth_year": 1986, "born_on": None}])
def test_whatever_differs_makes_another_fingerprint(changes):
    one = said()
    assert rules.fingerprint(KEY, replace(one, **changes)) != rules.fingerprint(KEY, one)


# --- What is kept, and for whom.


def test_a_paper_is_attested_without_what_nobody_compares(up, connection):
    woman, paper = Woman(connection), said()
    evidence_id, claims = woman.keep(connection, paper)
    plain = {
        "sub": str(woman.member_id),
        "evidence_id": str(evidence_id),
        "consent_id": str(woman.consent_id),
        "mode": "SECURE_QR",
        "last4": "1234",
        "born_on": "1985-02-01",
        "birth_year": 1985,
        "gender": "F",
        "verified_on": "2026-07-01",
    }
    assert plain.items() <= claims.items()
    assert claims["fingerprint"] == rules.fingerprint(KEY, paper)
    assert "identity_token" not in claims
    assert not {"Sita", "Testgaon", "Ramesh"} & set(json.dumps(dict(claims)).replace('"', " ").split())
    [row] = rows(connection, woman.member_id)
    assert (row.certificate, row.user_id, row.role, row.verified_at) == ("ab" * 32, woman.keeper.user_id, "SHG_BOOKKEEPER", NOW)
    assert row.referenced_at == paper.referenced_at
    known = connection.execute(select(audit.audit.c.facts).order_by(audit.audit.c.id.desc()).limit(5)).scalars().all()
    assert "Sita" not in str(row) + str(known)


def test_the_same_paper_is_the_same_womans_again_and_no_other_ones(up, connection):
    paper, hers, anothers = said(), Woman(connection), Woman(connection)
    (first, claims), (second, again) = hers.keep(connection, paper), hers.keep(connection, paper)
    assert first != second
    assert claims["fingerprint"] == again["fingerprint"]
    assert len(rows(connection, hers.member_id)) == 2
    assert code_of(anothers.keep, connection, paper) == "EVIDENCE_USED"
    assert rows(connection, anothers.member_id) == []
    anothers.keep(connection, said())
    assert anothers.keep(connection, paper, with_policies(evidence_reuse=1))[1]["fingerprint"] == claims["fingerprint"]


def test_who_withdrew_may_be_enrolled_by_the_same_paper_under_another_record(up, connection):
    paper, before, now_hers = said(), Woman(connection), Woman(connection)
    before.keep(connection, paper)
    assert code_of(now_hers.keep, connection, paper) == "EVIDENCE_USED"
    withdraw(connection, before.keeper, before.consent_id, NOW + timedelta(minutes=1))
    assert now_hers.keep(connection, paper)[1]["sub"] == str(now_hers.member_id)
    assert code_of(before.keep, connection, paper) == "CONSENT_WITHDRAWN"


def test_a_paper_of_tomorrow_is_none(up, connection):
    woman = Woman(connection)
    assert woman.keep(connection, said(referenced_at=NOW + consents.CLOCK_SLACK))
    tomorrow = said(referenced_at=NOW + consents.CLOCK_SLACK + timedelta(milliseconds=1))
    assert code_of(woman.keep, connection, tomorrow, with_policies(secure_qr_days_max=0)) == "EVIDENCE_IN_FUTURE"


@pytest.mark.parametrize(
    ("mode", "days", "policies", "is_old"),
    [
        (Mode.SECURE_QR, 5000, {}, False),
        (Mode.OFFLINE_EKYC, 90, {}, False),
        (Mode.OFFLINE_EKYC, 91, {}, True),
        (Mode.OFFLINE_EKYC, 5000, {"offline_ekyc_days_max": 0}, False),
        (Mode.SECURE_QR, 31, {"secure_qr_days_max": 30}, True),
    ],
)
def test_how_old_a_paper_may_be_is_the_states_word(up, connection, mode, days, policies, is_old):
    woman = Woman(connection, mode)
    paper = said(mode=mode, referenced_at=NOW - timedelta(days=days) + timedelta(microseconds=uuid4().int % 10**9))
    if is_old:
        assert code_of(woman.keep, connection, replace(paper, referenced_at=NOW - timedelta(days=days)), with_policies(**policies)) == "EVIDENCE_OLD"
    else:
        assert woman.keep(connection, paper, with_policies(**policies))


def test_without_her_consent_to_this_way_nothing_is_read(connection):
    woman, another = Woman(connection), Woman(connection, Mode.OFFLINE_EKYC)
    assert woman.begin(connection) == [one.trusted for one in queries.trusted_certificates(connection, Mode.SECURE_QR)]
    assert code_of(woman.begin, connection, Mode.OFFLINE_EKYC) == "CONSENT_MISSING"
    woman.consent_id = another.consent_id
    assert code_of(woman.begin, connection) == code_of(woman.keep, connection, said()) == "CONSENT_MISSING"


def tries(connection, woman, key=KEY):
    [one] = rules.tries_of(key, woman.keeper.user_id)
    return connection.execute(select(attempts.c.failures).where(attempts.c.key == one)).scalar()


def test_who_tries_often_waits_and_whom_the_paper_knows_does_not(up, connection):
    woman = Woman(connection)
    for _ in range(3):
        woman.begin(connection)
        woman.keep(connection, said(mobile_matches=True))
    assert tries(connection, woman) == 0
    woman.begin(connection)
    woman.keep(connection, said(mobile_matches=False))  # It is answered, and it is a guess.
    assert tries(connection, woman) == 1
    for _ in range(rules.OF_PAPERS.free - 1):
        woman.begin(connection)  # And the child refuses the paper.
    assert code_of(woman.begin, connection) == "SLOW_DOWN"
    woman.begin(connection, now=NOW + timedelta(seconds=3))
    for minute in range(1, 60):
        woman.begin(connection, now=NOW + timedelta(minutes=2 * minute))
    assert code_of(woman.begin, connection, now=NOW + timedelta(minutes=118, seconds=59)) == "SLOW_DOWN"
    Woman(connection).begin(connection)


def test_of_two_women_with_one_paper_at_the_same_instant_one_has_it(up):
    paper, answers = said(), []
    with database.transaction(SERVICE) as own:
        women = [Woman(own) for _ in range(2)]

    def show(woman):
        try:
            with database.transaction(SERVICE) as own:
                answers.append(woman.keep(own, paper)[1]["sub"])
        except Refused as refused:
            answers.append(refused.code)

    threads = [Thread(target=show, args=[woman]) for woman in women]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "EVIDENCE_USED" in answers
    assert {str(woman.member_id) for woman in women} & set(answers)


# --- The whole way.


@pytest.fixture
def signer(up):
    """The name of a key whose certificate two State Admins have just trusted."""
    name = f"UIDAI {uuid4()}"
    read = papers.read_certificate(made.pem(name))
    with database.transaction(SERVICE) as own:
        proposed = certificate.propose(own, ADMIN, Mode.SECURE_QR, read, None, None, NOW)
        certificate.confirm(own, SECOND, proposed.certificate_id, NOW)
    yield name
    with database.transaction(SERVICE) as own:
        certificate.revoke(own, ADMIN, read.fingerprint, "The test is over", NOW)


def signed_qr(signer, **changes):
    number = f"0{uuid4().int % 1000:03}20240215103015{uuid4().int % 1000:03}"
    return made.digits(made.packed(made.sealed(made.signed_part(**{"reference_id": number} | changes), signer)))


def test_a_qr_is_read_shown_and_forgotten(signer):
    with database.transaction(SERVICE) as own:
        woman = Woman(own, now=datetime.now(UTC))
    interceptors._caller.set(woman.keeper)
    serving = Servicer()
    text = signed_qr(signer)
    ask = {"member_id": str(woman.member_id), "consent_id": str(woman.consent_id)}
    shown = serving.VerifySecureQr(identity_pb2.VerifySecureQrRequest(**ask, text=text, mobile=f"+91 {made.MOBILE}"), None)
    assert (shown.mode, shown.name, shown.born_on, shown.birth_year, shown.gender) == ("SECURE_QR", "Sita Testdevi", "1985-02-01", 1985, "F")
    assert (shown.care_of, shown.address["vtc"], shown.mobile_matches) == ("W/O: Ramesh Testkumar", "Testgaon", True)
    assert not shown.HasField("email_matches")
    assert shown.photo.startswith(b"\x89PNG")
    assert shown.number_masked[:-4] == "XXXX XXXX "
    assert UUID(tokens.verify(shown.attestation, "kyc")["sub"]) == woman.member_id
    by_picture = serving.VerifySecureQr(identity_pb2.VerifySecureQrRequest(**ask, image=made.file(made.picture(text))), None)
    assert (by_picture.name, by_picture.HasField("mobile_matches")) == (shown.name, False)
    with database.transaction(SERVICE) as own:
        found = rows(own, woman.member_id)
        assert {row.certificate for row in found} == {papers.read_certificate(made.pem(signer)).fingerprint}
        assert len(found) == 2
        kept = [str(own.execute(select(table)).all()) for table in evidence.metadata.sorted_tables] + [str(own.execute(select(audit.audit)).all())]
        assert not [name for name in ("Testkumar", "Testgaon") if any(name in one for one in kept)]


def test_a_paper_that_proves_nothing_is_refused_by_the_field_that_it_came_in(signer):
    with database.transaction(SERVICE) as own:
        woman = Woman(own, now=datetime.now(UTC))
    interceptors._caller.set(woman.keeper)
    serving, ask = Servicer(), {"member_id": str(woman.member_id), "consent_id": str(woman.consent_id)}

    def refusal(**paper):
        with pytest.raises(Refused) as refused:
            serving.VerifySecureQr(identity_pb2.VerifySecureQrRequest(**ask | paper), None)
        return refused.value.code, refused.value.field, refused.value.params

    # What an unsigned one holds is with the device, which has read it; it does not travel back.
    assert refusal(text=made.legacy_xml()) == ("QR_UNSIGNED", "text", {})
    assert refusal(image=made.file(made.picture(signed_qr("a stranger"))))[:2] == ("QR_SIGNATURE_INVALID", "image")
    assert refusal()[:2] == ("EVIDENCE_MISSING", "text")
    assert refusal(text="1", mobile="12")[0] == "MOBILE_INVALID"
    assert refusal(text="1", consent_id="")[0] == "CONSENT_MISSING"
    with database.transaction(SERVICE) as own:
        assert rows(own, woman.member_id) == []


def test_what_is_not_the_papers_fault_is_no_try(signer, monkeypatch):
    now = datetime.now(UTC)
    with database.transaction(SERVICE) as own:
        woman, other = Woman(own, now=now), Woman(own, now=now)
    serving, text = Servicer(), signed_qr(signer)

    def tried(one, text):
        """What came of it, and how many tries stand against who asked."""
        interceptors._caller.set(one.keeper)
        ask = identity_pb2.VerifySecureQrRequest(member_id=str(one.member_id), consent_id=str(one.consent_id), text=text)
        try:
            code = serving.VerifySecureQr(ask, None).mode
        except Refused as refused:
            code = refused.code
        with database.transaction(SERVICE) as own:
            return code, tries(own, one, serving._fingerprint_key)

    assert tried(woman, text) == ("SECURE_QR", 0)
    assert tried(other, text) == ("EVIDENCE_USED", 0)
    assert tried(other, signed_qr("a stranger")) == ("QR_SIGNATURE_INVALID", 1)
    monkeypatch.setattr(papers, "read_qr", Mock(side_effect=Exhausted("BUSY", "Many ask at once.")))
    assert tried(other, text) == ("BUSY", 1)
    monkeypatch.setattr(papers, "read_qr", Mock(side_effect=Invalid("CERTIFICATES_MISSING", "None is trusted.", field="content")))
    assert tried(other, text) == ("CERTIFICATES_MISSING", 1)
