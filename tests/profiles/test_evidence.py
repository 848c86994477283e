"""What a record keeps of what was verified of her, whatever came first, and what of it others hear; rules, and a real database."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from protos import profiles_pb2
from protos.identity_pb2 import ConsentWithdrawn
from services.chassis import tokens
from services.kernel.ids import uuid7
from services.kernel.names import name_key
from services.profiles import queries
from services.profiles.commands import consent
from services.profiles.commands.evidence import verified_of
from services.profiles.rules.evidence import Evidence, Verified
from services.profiles.servicer import given, show
from services.profiles.tables import submissions
from tests.profiles.builders import (
    SERVICE,  # noqa: F401 - whose connection the tests have
    approve,
    code_of,
    emptied,
    last,
    new_shg,
    reject,
    row,
    screen,
    submit,
)
from tests.profiles.test_form import read_member, refusal

pytestmark = pytest.mark.usefixtures("land")

SUNITA = name_key("Sunita Devi").fold
QR = Evidence(
    mode="SECURE_QR",
    fingerprint="f1" * 32,
    last4="1234",
    birth_year=1985,
    gender="F",
    verified_on="2026-03-31",
    name_fold=SUNITA,
    consent_id=str(uuid7()),
)
ZIP = replace(QR, mode="OFFLINE_EKYC", verified_on="2026-04-01", consent_id=str(uuid7()))
ONLINE = Evidence("token-1", 1985, "F", str(uuid7()), last4="1234", verified_on="2026-03-30")


@pytest.fixture
def connection(connection):
    return emptied(connection)


# --- The rules.


@pytest.mark.parametrize(
    ("said", "notes"),
    [
        ({"birth_year": 1988, "gender": "F"}, []),
        ({}, []),
        ({"birth_year": 1979, "gender": "F"}, ["BIRTH_YEAR"]),
        ({"birth_year": 1979, "gender": "MALE"}, ["BIRTH_YEAR", "GENDER"]),
        ({"name_fold": SUNITA, "birth_year": 1988, "born_on": "1988-05-04"}, []),
        ({"name_fold": name_key("सुनीता").fold}, []),
        ({"name_fold": name_key("Anita Devi").fold}, ["NAME"]),
        ({"birth_year": 1988, "born_on": "1988-04-05"}, ["BIRTH_DATE"]),
        ({"birth_year": 1988, "born_on": "1988-01-01"}, []),  # As where the year alone is known.
        ({"birth_year": 1987, "born_on": "1987-05-04"}, ["BIRTH_YEAR"]),
    ],
)
def test_evidence_that_differs_is_noted_and_not_refused(said, notes):
    paper = Evidence(mode="SECURE_QR", fingerprint="f1", **said)
    assert Verified(paper=paper).notes(read_member()) == notes
    assert Verified(online=Evidence("token-1", **said)).notes(read_member()) == notes


def test_the_record_in_another_script_may_be_what_the_paper_says():
    paper = Evidence(mode="SECURE_QR", name_fold=name_key("Sunita").fold)
    assert Verified(paper=paper).notes(read_member(name="Munni", name_local="सुनीता")) == []


def test_the_online_one_is_stronger_and_neither_takes_the_others_place():
    for order in ([QR, ONLINE], [ONLINE, QR]):
        both = Verified()
        for one in order:
            both = both.having(one)
        assert (both.online, both.paper, both.strongest) == (ONLINE, QR, ONLINE)
    assert both.having(ZIP).paper == ZIP
    assert both.documents == [f"AADHAAR_PAPER:{QR.fingerprint}"]
    assert both.without({ONLINE.consent_id}, unrecorded=True) == Verified(paper=QR)
    assert both.without({QR.consent_id}, unrecorded=False).strongest == ONLINE
    unrecorded = Verified(replace(ONLINE, consent_id=""), QR)
    assert unrecorded.without(set(), unrecorded=True) == Verified(paper=QR)
    assert unrecorded.without(set(), unrecorded=False) == unrecorded


# --- From an attestation to the record, and to whoever hears of it.


def test_an_attestation_says_what_identity_has_verified(up):
    hers = uuid7()
    claims = {"sub": str(hers), "mode": "SECURE_QR", "fingerprint": "f1", "last4": "1234", "birth_year": 1985, "born_on": "", "gender": "F"}
    claims |= {"name_fold": SUNITA, "verified_on": "2026-03-31", "consent_id": QR.consent_id}
    signed = tokens.sign("kyc", "UP", timedelta(hours=1), claims)[0]
    assert given.evidence_of(signed, hers) == replace(QR, fingerprint="f1")


def test_a_paper_is_kept_told_as_a_document_and_shown_by_four_digits(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=QR, documents=[row("pan", kind="PAN", number="ABCDE1234F")])
    assert (made.waiting.identity_token, made.waiting.identity_notes) == (None, [])
    told = last(connection, profiles_pb2.MemberSubmitted)[0]
    assert (told.identity_token, list(told.documents)) == ("", ["PAN:ABCDE1234F", f"AADHAAR_PAPER:{QR.fingerprint}"])
    assert not last(connection, profiles_pb2.MemberChanged)[0].identity_verified
    [shown], _ = show.members(connection, [made])
    assert shown.aadhaar == profiles_pb2.Aadhaar(
        status=profiles_pb2.AADHAAR_STATUS_VERIFIED, mode="SECURE_QR", number_masked="XXXX XXXX 1234", verified_on="2026-03-31"
    )
    assert not shown.identity_verified
    assert QR.fingerprint not in str(shown)
    screen(connection, made)
    assert verified_of(approve(connection, made.row.id).row) == Verified(paper=QR)


def test_an_online_e_kyc_stays_when_a_paper_comes_later(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=ONLINE)
    reject(connection, made.row.id)
    again = submit(connection, maker, shg_id, made.row.id, 2, evidence=ZIP)
    assert verified_of(again.waiting) == Verified(ONLINE, ZIP)
    [shown], _ = show.members(connection, [again])
    assert (shown.identity_verified, shown.aadhaar.mode, shown.aadhaar.verified_on) == (True, "ONLINE_EKYC", "2026-03-30")
    told = last(connection, profiles_pb2.MemberSubmitted)[0]
    assert (told.identity_token, list(told.documents)) == ("token-1", [f"AADHAAR_PAPER:{ZIP.fingerprint}"])
    screen(connection, again)
    approve(connection, made.row.id, 2)
    edit = submit(connection, maker, shg_id, made.row.id, 3, name="Sunita")
    assert verified_of(edit.waiting) == Verified(ONLINE, ZIP)


def test_the_same_revision_with_another_paper_is_another_content(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=QR)
    her = made.row.id
    assert submit(connection, maker, shg_id, her) == made
    assert submit(connection, maker, shg_id, her, evidence=QR) == made
    assert submit(connection, maker, shg_id, her, evidence=replace(QR, verified_on="2026-04-01")) == made  # The same paper, read again.
    for other in (replace(QR, fingerprint="f2"), ONLINE):
        assert code_of(submit, connection, maker, shg_id, her, evidence=other) == "REVISION_CONTENT"


def test_a_paper_that_names_another_woman_is_for_the_checker_to_look_at(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=replace(QR, name_fold=name_key("Zarina Khatoon").fold, gender="M"))
    assert made.waiting.identity_notes == ["NAME", "GENDER"]
    screen(connection, made)
    assert queries.submission(connection, made.row.id).open_questions
    assert approve(connection, made.row.id).row.identity_notes == ["NAME", "GENDER"]  # Who has looked may let her in.


def withdraw(connection, member_id, purpose, one):
    told = ConsentWithdrawn(member_id=str(member_id), purpose=purpose, consent_ids=[one.consent_id])
    told.withdrawn_at.GetCurrentTime()
    consent.withdrawn(connection, 1, told)


def test_who_withdraws_one_way_keeps_the_other(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=ONLINE)
    reject(connection, made.row.id)
    her = submit(connection, maker, shg_id, made.row.id, 2, evidence=QR).row.id
    withdraw(connection, her, "AADHAAR_QR", QR)
    waiting = connection.execute(select(submissions).where(submissions.c.record_id == her)).one()
    assert verified_of(waiting) == Verified(ONLINE)
    told = last(connection, profiles_pb2.MemberSubmitted)[0]
    assert (told.identity_token, list(told.documents), told.identity_withdrawn, told.papers_withdrawn) == ("token-1", [], False, True)
    withdraw(connection, her, "AADHAAR_ONLINE", ONLINE)
    told = last(connection, profiles_pb2.MemberSubmitted)[0]
    assert (told.identity_token, told.identity_withdrawn, told.papers_withdrawn) == ("", True, False)
    [shown], _ = show.members(connection, [queries.member(connection, maker, her)])
    assert shown.aadhaar.status == profiles_pb2.AADHAAR_STATUS_NONE


# --- Nobody is denied for lack of Aadhaar.


def test_who_has_no_aadhaar_and_no_document_is_a_member_like_any_other(connection):
    shg_id, maker = new_shg(connection)
    voter = [row("voter", kind="VOTER_ID", number="ZZZ1234567")]
    for changes, documents in (({"documents": voter}, ["VOTER_ID:ZZZ1234567"]), ({"no_document_reason": "LOST"}, []), ({}, [])):
        made = submit(connection, maker, shg_id, **changes)
        assert list(last(connection, profiles_pb2.MemberSubmitted)[0].documents) == documents
        [shown], _ = show.members(connection, [made])
        assert (shown.aadhaar.status, shown.no_document_reason) == (profiles_pb2.AADHAAR_STATUS_NONE, changes.get("no_document_reason", ""))
        assert not shown.identity_notes
        screen(connection, made)
        assert not queries.submission(connection, made.row.id).open_questions
        assert approve(connection, made.row.id).row.code


def test_why_she_shows_no_document_is_said_of_who_shows_none():
    assert read_member(documents=[], no_document_reason="APPLIED_FOR")["no_document_reason"] == "APPLIED_FOR"
    assert refusal(read_member, no_document_reason="LOST") == ("VALUE_OUT_OF_PLACE", "no_document_reason")
    assert refusal(read_member, documents=[], no_document_reason="LAZY")[0] == "VALUE_UNKNOWN"
