"""What identity does, on a real database; rolled back after each test."""

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, select

from protos import identity_pb2
from services.chassis import database, mailbox, tokens
from services.chassis.epochs import epochs
from services.identity import queries
from services.identity.adapters import ekyc, uidai_sandbox
from services.identity.commands import consent, invitation, kyc, password
from services.identity.rules.user import Assignment
from services.identity.rules.vault import Identity
from services.identity.servicer import Servicer
from services.identity.tables import institutions, kycs, redeemed, user_roles, users
from services.kernel.caller import Caller, Role
from services.kernel.codes import check_digit
from services.kernel.errors import Conflict, Exhausted, Invalid, NotFound, Refused, Unauthenticated, Unavailable
from services.kernel.ids import uuid7
from tests.identity.builders import (
    BLOCK_ADMIN,
    BOOKKEEPER,
    GIVEN_AT,
    PASSWORD,
    STATE_ADMIN,
    TODAY,
    give,
    heard,
    keeper,
    nobody,
    number,
    said,
    told,
    withdraw,
)

SERVICE = "identity"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nobody_yet(request):
    """Each test begins with no user and no institution, whatever other tests left behind."""
    if "connection" in request.fixturenames:
        nobody(request.getfixturevalue("connection"))


# Login (test_sessions.py has the rest)


@pytest.mark.parametrize("user_id", ["IUP_NOBODY", "", "IUP_SITA1\0", "' or 1=1 --" * 1000])
def test_the_answer_to_a_failed_login_is_one_after_the_same_work(up, user_id, monkeypatch):
    verified = []
    verify = password._HASHER.verify
    monkeypatch.setattr(password, "_HASHER", SimpleNamespace(verify=lambda *given: verified.append(1) or verify(*given), hash=password._HASHER.hash))
    device = identity_pb2.Device(device_id=str(uuid4()), kind="DEVICE_KIND_APP")
    asked = identity_pb2.LoginRequest(user_id=user_id, password="x", role="STATE_ADMIN", device=device, secret_hash=b"x" * 32)
    # Each from an address of its own: nobody's failures slow another one's.
    context = SimpleNamespace(peer=lambda: f"ipv4:{uuid4()}:1", invocation_metadata=list)
    with pytest.raises((Unauthenticated, Exhausted)) as refused:
        Servicer().Login(asked, context)
    if refused.value.code != "SLOW_DOWN":  # As the user id of nobody may be, after many runs within an hour.
        assert (refused.value.code, refused.value.field, refused.value.params, verified) == ("LOGIN_FAILED", "", {}, [1])


# Invitations


def at(machine, monkeypatch, code):
    for name, value in machine.instances[code].env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def invite(machine, connection, monkeypatch):
    """Have the nation invite, and come back to UP."""

    def invited(state="UP", name="Asha Rao", mobile="9876543210"):
        at(machine, monkeypatch, "IN")
        with database.engine(SERVICE).connect() as here:
            transaction = here.begin()
            token, _ends = invitation.invite(here, Caller("IIN_ADMIN", Role.NATIONAL_ADMIN), state, name, mobile)
            transaction.rollback()
        at(machine, monkeypatch, "UP")
        return token

    return invited


def redeem(connection, token, user_id="IUP_ADMIN1", given=PASSWORD):
    return invitation.redeem(connection, tokens.verify(token, "invitation"), user_id, given, "IUP_", TODAY)


def test_an_invitation_makes_a_state_admin_once(connection, invite):
    token = invite()
    made = redeem(connection, token)
    assert (made.assignments, made.full_name, made.mobile) == ((Assignment(Role.STATE_ADMIN, "9"),), "Asha Rao", "9876543210")
    assert password.is_right(PASSWORD, queries.password_hash(connection, "IUP_ADMIN1"))
    assert told(connection)[-1][0].user_id == "IUP_ADMIN1"
    for user_id in ("IUP_ADMIN1", "IUP_ADMIN2"):
        with pytest.raises(Conflict) as refused:
            redeem(connection, token, user_id)
        assert refused.value.code == "INVITATION_USED"


def test_an_invitation_that_is_older_than_restored_books_is_used_up(connection, invite):
    token, now = invite(), datetime.now(UTC)
    connection.execute(insert(epochs).values(epoch=10**6, began_at=now + timedelta(seconds=2)))
    with pytest.raises(Conflict) as refused:
        redeem(connection, token)
    assert refused.value.code == "INVITATION_TOO_OLD"
    connection.execute(delete(epochs).where(epochs.c.epoch > 1))
    connection.execute(insert(epochs).values(epoch=10**6, began_at=now - timedelta(hours=1)))
    assert redeem(connection, token)


def test_of_two_who_redeem_at_once_one_wins(up, invite):
    token, outcome = invite(), []
    names = {f"IUP_TWO{uuid4().hex[:8].upper()}" for _ in range(2)}

    def try_it(user_id):
        try:
            with database.transaction(SERVICE) as own:
                redeem(own, token, user_id)
            outcome.append("made")
        except Refused as refused:
            outcome.append(refused.code)

    threads = [Thread(target=try_it, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction(SERVICE) as own:
        own.execute(delete(user_roles).where(user_roles.c.user_id.in_(names)))
        own.execute(delete(users).where(users.c.user_id.in_(names)))
        own.execute(delete(redeemed).where(redeemed.c.user_id.in_(names)))
        own.execute(delete(mailbox.outbox).where(mailbox.outbox.c.subject.in_(names)))
    assert sorted(outcome) == ["INVITATION_USED", "made"]


def test_an_invitation_to_another_state_is_not_ours(connection, invite):
    with pytest.raises(Unauthenticated) as refused:
        redeem(connection, invite("BR"))
    assert refused.value.code == "TOKEN_FOREIGN"


def test_an_expired_invitation_is_refused(connection, invite, monkeypatch):
    monkeypatch.setattr(invitation, "INVITATION_LIFE", timedelta(seconds=-60))
    with pytest.raises(Unauthenticated) as refused:
        redeem(connection, invite())
    assert refused.value.code == "TOKEN_EXPIRED"


@pytest.mark.parametrize("part", [0, 1, 2])
def test_an_invitation_with_a_changed_byte_is_refused(connection, invite, part):
    parts = invite().split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    with pytest.raises(Unauthenticated):
        redeem(connection, ".".join(parts))


def test_no_other_token_is_an_invitation(connection, up):
    access, _ends = tokens.sign_caller(BLOCK_ADMIN)
    own, _ends = tokens.sign("invitation", "UP", timedelta(days=1), {"invitation_id": str(uuid7()), "full_name": "x", "mobile": "9876543210"})
    for token in (access, own, "", "a.b.c"):
        with pytest.raises(Unauthenticated):
            redeem(connection, token)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"state": "XX"}, "STATE_UNKNOWN"), ({"state": "up"}, "STATE_UNKNOWN"), ({"name": ""}, "NAME_MISSING"), ({"mobile": "1"}, "MOBILE_INVALID")],
)
def test_who_cannot_be_invited(connection, invite, changes, code):
    with pytest.raises(Invalid) as refused:
        invite(**changes)
    assert refused.value.code == code


def test_a_state_invites_nobody(connection):
    with pytest.raises(Conflict) as refused:
        invitation.invite(connection, STATE_ADMIN, "UP", "Asha Rao", "9876543210")
    assert refused.value.code == "NATION_ONLY"


def test_a_refused_redeemer_may_try_again(connection, invite):
    token = invite()
    for user_id, given in (("IBH_ADMIN1", PASSWORD), ("IUP_ADMIN1", "short")):
        with pytest.raises(Invalid):
            redeem(connection, token, user_id, given)
    assert redeem(connection, token)


# Institutions


def test_an_older_word_of_an_institution_does_not_undo_a_newer_one(connection):
    made = heard(connection, "Jyoti", version=3)
    heard(connection, "Old", version=2, institution_id=made)
    heard(connection, "Same", version=3, institution_id=made)
    assert [one.name for one in queries.institutions_of(connection, [made])] == ["Jyoti"]
    heard(connection, "New", version=4, institution_id=made)
    assert [one.name for one in queries.institutions_of(connection, [made])] == ["New"]


# e-KYC


def begin(connection, member_id=None):
    caller, shg = keeper(connection)
    agreed = give(connection, caller, shg, member_id=member_id or uuid7()).given
    return kyc.start(connection, BOOKKEEPER, agreed.member_id, agreed.consent_id, uuid4(), "sandbox-1", NOW)


def test_an_e_kyc_needs_a_consent_of_hers_to_this_very_purpose_that_holds(connection):
    caller, shg = keeper(connection)
    her = give(connection, caller, shg).given
    photo = give(connection, caller, shg, purpose="PHOTO", member_id=her.member_id).given

    def refused(member_id, consent_id, now=NOW):
        with pytest.raises(Refused) as told:
            kyc.start(connection, caller, member_id, consent_id, uuid4(), "sandbox-1", now)
        return told.value.code

    assert refused(uuid7(), her.consent_id) == "CONSENT_MISSING"
    assert refused(her.member_id, uuid7()) == "CONSENT_MISSING"
    assert refused(her.member_id, photo.consent_id) == "CONSENT_MISSING"
    assert refused(her.member_id, her.consent_id, her.expires_at) == "CONSENT_EXPIRED"
    begun = kyc.start(connection, caller, her.member_id, her.consent_id, uuid4(), "sandbox-1", NOW)
    withdraw(connection, caller, her.consent_id, NOW + timedelta(minutes=1))
    assert refused(her.member_id, her.consent_id, NOW + timedelta(minutes=2)) == "CONSENT_WITHDRAWN"
    # What was under way when she withdrew comes to nothing, at whichever step it was.
    with pytest.raises(Conflict) as refused_:
        kyc.confirm(connection, caller, begun, Identity("ab" * 32, "XXXX XXXX 1234"), 1985, "F", NOW + timedelta(minutes=2))
    assert refused_.value.code == "CONSENT_WITHDRAWN"
    with pytest.raises(Conflict) as refused_:
        kyc.take_try(connection, caller, begun.kyc_id, NOW + timedelta(minutes=2))
    assert refused_.value.code == "KYC_EXPIRED"


def test_an_attestation_names_the_member_and_her_token(connection):
    member_id = uuid7()
    begun = begin(connection, member_id)
    again = kyc.take_try(connection, BOOKKEEPER, begun.kyc_id, NOW + timedelta(minutes=9))
    assert again == begun
    claims = tokens.verify(kyc.confirm(connection, BOOKKEEPER, begun, Identity("ab" * 32, "XXXX XXXX 1234"), 1985, "F", NOW), "kyc")
    assert (claims["sub"], claims["kyc_id"], claims["identity_token"]) == (str(member_id), str(begun.kyc_id), "ab" * 32)
    assert (claims["birth_year"], claims["gender"], claims["verified_on"]) == (1985, "F", "2026-07-01")
    assert claims["consent_id"] == str(begun.consent_id)
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert "1234" not in {str(value) for value in claims.values()}
    with pytest.raises(Conflict) as refused:
        kyc.confirm(connection, BOOKKEEPER, begun, Identity("", ""), 1985, "F", NOW)
    assert refused.value.code == "KYC_EXPIRED"
    noted = (kycs.c.consent_id, kycs.c.consented_at, kycs.c.user_id, kycs.c.role, kycs.c.last4)
    kept = connection.execute(select(*noted).where(kycs.c.kyc_id == begun.kyc_id)).one()
    assert kept == (begun.consent_id, GIVEN_AT, "IUP_SITA1", "SHG_BOOKKEEPER", "1234")


def test_three_tries_in_ten_minutes(connection):
    begun = begin(connection)
    for _ in range(3):
        kyc.take_try(connection, BOOKKEEPER, begun.kyc_id, NOW)
    for when in (NOW, NOW + timedelta(minutes=11)):
        with pytest.raises(Conflict) as refused:
            kyc.take_try(connection, BOOKKEEPER, begun.kyc_id, when)
        assert refused.value.code == "KYC_EXPIRED"
    late = begin(connection)
    with pytest.raises(Conflict):
        kyc.take_try(connection, BOOKKEEPER, late.kyc_id, NOW + timedelta(minutes=10))


def test_whose_it_is_not_to_her_it_is_unknown(connection):
    begun = begin(connection)
    for caller, kyc_id in ((Caller("IUP_GITA1", Role.SHG_BOOKKEEPER), begun.kyc_id), (BOOKKEEPER, uuid7())):
        with pytest.raises(NotFound) as refused:
            kyc.take_try(connection, caller, kyc_id, NOW)
        assert refused.value.code == "KYC_UNKNOWN"


# The sandbox


def residents():
    lines = Path(os.environ["LOKOS_SANDBOX_RESIDENTS_FILE"]).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    return list(csv.DictReader(lines[1:]))


def test_the_sandboxs_residents_are_invented(up):
    women = residents()
    assert len(women) >= 60
    assert {woman["number"][0] for woman in women} == {"0", "1"}
    assert len({woman["number"] for woman in women}) == len(women)
    assert sum(woman["name"] == "Sunita Devi" for woman in women) == 1
    for woman in women:
        assert woman["number"] == woman["number"][:-1] + check_digit(woman["number"][:-1])


def test_the_sandbox_says_what_it_is(up, caplog):
    ekyc.provider()
    assert "SANDBOX e-KYC" in caplog.text


def test_a_missing_file_is_a_provider_that_is_away(up, monkeypatch):
    provider = ekyc.provider()
    monkeypatch.setattr(uidai_sandbox.started(), "residents_file", Path("run/test/no-such-file.csv"))
    with pytest.raises(Unavailable) as refused:
        provider.request_otp(number(), ekyc.new_txn())
    assert refused.value.code == "EKYC_AWAY"


def test_the_whole_way_from_number_to_attestation(up, request):
    """Through the servicer, in transactions of its own, as the processes do it."""
    from services.chassis import interceptors

    woman, member_id = residents()[-1], uuid7()
    with database.transaction(SERVICE) as own:
        caller, shg = keeper(own)
        agreed = consent.give(own, caller, shg, said(member_id=member_id), datetime.now(UTC)).given
    interceptors._caller.set(caller)
    servicer = Servicer()
    request.addfinalizer(servicer._vault.close)
    ask = {"member_id": str(member_id), "aadhaar_number": woman["number"]}
    with pytest.raises(Invalid) as refused:
        servicer.StartKyc(identity_pb2.StartKycRequest(**ask), None)
    assert refused.value.code == "CONSENT_MISSING"
    begun = servicer.StartKyc(identity_pb2.StartKycRequest(**ask, consent_id=str(agreed.consent_id)), None)
    with pytest.raises(Conflict) as refused:
        servicer.ConfirmKyc(identity_pb2.ConfirmKycRequest(kyc_id=begun.kyc_id, otp="wrong"), None)
    assert refused.value.code == "KYC_OTP_WRONG"
    answer = servicer.ConfirmKyc(identity_pb2.ConfirmKycRequest(kyc_id=begun.kyc_id, otp=woman["otp"]), None)
    assert (answer.name, answer.birth_year, answer.number_masked) == (woman["name"], int(woman["birth_year"]), f"XXXX XXXX {woman['number'][-4:]}")
    claims = tokens.verify(answer.attestation, "kyc")
    assert UUID(claims["sub"]) == member_id
    assert woman["number"] not in json.dumps(dict(claims)) + answer.attestation
    with pytest.raises(Conflict) as refused:
        servicer.ConfirmKyc(identity_pb2.ConfirmKycRequest(kyc_id=begun.kyc_id, otp=woman["otp"]), None)
    assert refused.value.code == "KYC_EXPIRED"
    with database.transaction(SERVICE) as own:
        assert woman["number"] not in str(own.execute(select(kycs)).all())
        own.execute(delete(institutions).where(institutions.c.institution_id == shg))


def test_while_the_vault_is_away_no_otp_is_sent_and_no_try_is_used_up(up, request, monkeypatch, tmp_path):
    from services.chassis import interceptors

    file = tmp_path / "vault.keys"
    file.write_bytes(Path(os.environ["LOKOS_VAULT_KEYS_FILE"]).read_bytes())
    monkeypatch.setenv("LOKOS_VAULT_KEYS_FILE", str(file))
    woman, member_id = residents()[-1], uuid7()
    with database.transaction(SERVICE) as own:
        caller, shg = keeper(own)
        agreed = consent.give(own, caller, shg, said(member_id=member_id), datetime.now(UTC)).given
    interceptors._caller.set(caller)
    servicer, sent = Servicer(), []
    request.addfinalizer(servicer._vault.close)
    real = servicer._ekyc.request_otp
    monkeypatch.setattr(servicer._ekyc, "request_otp", lambda number, txn: sent.append(number) or real(number, txn))
    ask = {"member_id": str(member_id), "aadhaar_number": woman["number"], "consent_id": str(agreed.consent_id)}

    def away(method, asked):
        file.rename(tmp_path / "away")
        with pytest.raises(Unavailable) as refused:
            method(asked, None)
        assert refused.value.code == "VAULT_AWAY"
        (tmp_path / "away").rename(file)

    away(servicer.StartKyc, identity_pb2.StartKycRequest(**ask))
    assert not sent
    begun = servicer.StartKyc(identity_pb2.StartKycRequest(**ask), None)
    confirming = identity_pb2.ConfirmKycRequest(kyc_id=begun.kyc_id, otp=woman["otp"])
    for _ in range(4):
        away(servicer.ConfirmKyc, confirming)
    assert servicer.ConfirmKyc(confirming, None).attestation
    with database.transaction(SERVICE) as own:
        assert own.execute(select(kycs.c.tries).where(kycs.c.kyc_id == UUID(begun.kyc_id))).scalar_one() == 1
        own.execute(delete(institutions).where(institutions.c.institution_id == shg))
