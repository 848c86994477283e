"""Online e-KYC 2.5: each step of the wire format by another library's hand, the way there and back over HTTP, and all that can go wrong."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from Cryptodome.Cipher import AES, PKCS1_OAEP, PKCS1_v1_5
from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import RSA
from Cryptodome.Signature import pkcs1_15
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from sqlalchemy import delete, select

from protos import identity_pb2
from services.chassis import audit, database, interceptors
from services.chassis.outside import Outside
from services.identity.adapters import ekyc, uidai, uidai_sandbox
from services.identity.adapters.papers import uidai as answers
from services.identity.adapters.uidai import KeyFiles, Uidai
from services.identity.adapters.uidai_sandbox import Fault
from services.identity.commands import consent
from services.identity.rules import uidai as rules
from services.identity.rules.verified import Mode, TrustedCertificate
from services.identity.servicer import Servicer
from services.identity.tables import institutions, kycs
from services.identity.tables.vault import numbers
from services.kernel.codes import check_digit
from services.kernel.errors import Conflict, Exhausted, Invalid, Refused, Unavailable
from services.kernel.ids import uuid7
from services.kernel.month import IST
from tests.identity.builders import keeper, said
from tests.identity.papers import made_offline

# UIDAI's own test number, which is nobody's.
NUMBER, OTP = "999999990019", uidai_sandbox.TEST_OTP
TXN = "UKC:0123456789abcdef0123456789abcdef"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"


@pytest.fixture(scope="module")
def standing():
    made = uidai_sandbox.start(None)
    made.photo = made_offline.portrait()
    yield made
    made.stop()


@pytest.fixture
def sandbox(standing):
    standing.calls.clear()
    yield standing
    standing.faults.clear()
    standing.limited = False


@pytest.fixture
def client(sandbox):
    return sandbox.client()


def code_of(call, *arguments):
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.code


def asked(client, number=NUMBER):
    txn = ekyc.new_txn()
    client.request_otp(number, txn)
    return txn


def account_with(sandbox, **changes):
    return Uidai(Outside("LOKOS_EKYC_URL", sandbox.url, 10), replace(sandbox.account(), **changes))


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


# Each step, by another library's hand


@pytest.mark.parametrize(
    ("said", "hashed"),
    [
        ("2.5FYNNN", "E0jzJ/P8UopUHAieZn8CKqS4WPMi5ZSYXgfnlfkWjrc="),
        ("2.5PYNNN", "sgydIC09zzy6f8Lb3xaAqzKquKe9lFcNR9uTvYxFp+A="),
        ("2.5OYNNN", "pc0K1hVqt6oaWRjtxuFDfkB7aCL356jpGa28E1WIZ/4="),
    ],
)
def test_what_binds_a_pid_to_its_kind_of_e_kyc(monkeypatch, said, hashed):
    """The first two are published values; the third is ours, by openssl."""
    monkeypatch.setattr(rules, "KYC", rules.KYC | {"ra": said[3]})
    assert "".join(rules.KYC.values()) == said
    assert rules.wadh() == hashed


def test_a_time_is_indias_and_its_end_is_the_nonce():
    ts = rules.stamp(datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert ts == "2026-07-01T17:30:00"
    key = bytes(range(32))
    sealed = uidai.sealed_by(key, ts, b"<Pid/>")
    assert sealed.hex() == "c3aa7ea09dbee90080dcaf82ee918e6a073561f1c40c"
    other = AES.new(key, AES.MODE_GCM, nonce=b"-01T17:30:00", mac_len=16)
    other.update(b"6-07-01T17:30:00")
    assert other.decrypt_and_verify(sealed[:-16], sealed[-16:]) == b"<Pid/>"


@given(st.integers(0, 100_000_000), st.from_regex(r"[0-9]{6}", fullmatch=True))
def test_a_pid_says_its_time_and_her_password_and_nothing_else(minutes, otp):
    ts = rules.stamp(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    pid = etree.fromstring(uidai.pid_block(ts, rules.check_otp(otp)))
    assert len(ts) == 19
    assert (pid.tag, dict(pid.attrib)) == (f"{{{uidai.PID_XML}}}Pid", {"ts": ts, "ver": "2.0", "wadh": rules.wadh()})
    assert [(child.tag, dict(child.attrib), child.text) for child in pid] == [(f"{{{uidai.PID_XML}}}Pv", {"otp": otp}, None)]


@given(st.text())
def test_a_password_is_six_digits_or_is_wrong(otp):
    if len(otp) == 6 and set(otp) <= set("0123456789"):
        assert rules.check_otp(otp) == otp
    else:
        assert code_of(rules.check_otp, otp) == "KYC_OTP_WRONG"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")))
def test_a_pid_is_xml_whatever_it_is_given(text):
    [value] = etree.fromstring(uidai.pid_block("2026-07-01T17:30:00", text))
    assert value.get("otp") == text


@pytest.fixture(scope="module")
def ours():
    key = rsa.generate_private_key(65537, 2048)
    return KeyFiles(uidai_sandbox.certificate_of(key, "AUA").public_bytes(Encoding.PEM).decode(), key, key), key


def envelope(key, content=b"<KycRes/>", *, version=b"VERSION_1.0", digest=None):
    """As UIDAI seals an answer, by the other library."""
    theirs, session, label = RSA.import_key(pem(key)), os.urandom(32), os.urandom(32)
    wrapped = PKCS1_OAEP.new(theirs, SHA256, label=label).encrypt(session)
    held = AES.new(session, AES.MODE_CFB, iv=label[:16], segment_size=128).encrypt((digest or hashlib.sha256(content).digest()) + content)
    return version + theirs.public_key().export_key("DER") + label + wrapped + held


def test_an_answers_envelope_opens(ours):
    holder, key = ours
    assert len(holder.opens) == 294
    assert uidai.opened(envelope(key, b"x" * 1000), holder) == b"x" * 1000


@pytest.mark.parametrize("place", [0, 11, 11 + 294, 11 + 294 + 32, 11 + 294 + 32 + 256, 11 + 294 + 32 + 256 + 32, -1])
def test_a_changed_byte_of_an_envelope_opens_nothing(ours, place):
    holder, key = ours
    whole = bytearray(envelope(key))
    whole[place] ^= 1
    with pytest.raises(ValueError, match=r"not |ecryption"):
        uidai.opened(bytes(whole), holder)


@pytest.mark.parametrize("length", [0, 10, 100, 11 + 294 + 32 + 256, 11 + 294 + 32 + 256 + 31])
def test_a_short_envelope_opens_nothing(ours, length):
    holder, key = ours
    with pytest.raises(ValueError, match=r"not |ecryption"):
        uidai.opened(envelope(key)[:length], holder)


def test_an_envelope_for_another_or_of_another_version_opens_nothing(ours):
    holder, key = ours
    stranger = rsa.generate_private_key(65537, 2048)
    for other in (envelope(stranger), envelope(key, version=b"VERSION_2.0"), envelope(key, digest=bytes(32))):
        with pytest.raises(ValueError, match="not "):
            uidai.opened(other, holder)


def check_signature(root, key):
    """By hand: the digest is of the document without its signature, the signature of how it was made, both in the canonical form."""
    [signature] = root.findall(f"{DS}Signature")
    info, value = signature.find(f"{DS}SignedInfo"), signature.find(f"{DS}SignatureValue").text
    [reference] = info.findall(f"{DS}Reference")
    methods = {one.tag.removeprefix(DS): one.get("Algorithm") for one in info.iter() if one.get("Algorithm")}
    assert methods["CanonicalizationMethod"] == C14N
    assert methods["SignatureMethod"] == "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
    assert methods["DigestMethod"] == "http://www.w3.org/2001/04/xmlenc#sha256"
    assert reference.get("URI") == ""
    pkcs1_15.new(RSA.import_key(key)).verify(SHA256.new(etree.tostring(info, method="c14n")), b64decode(value))
    root.remove(signature)
    assert b64decode(reference.find(f"{DS}DigestValue").text) == hashlib.sha256(etree.tostring(root, method="c14n")).digest()


def posted(monkeypatch, sandbox, call):
    """Path and document of the one request that a call makes."""
    seen, ask = [], Outside.ask

    def note(self, method, path, body, headers, *, bytes_max):
        seen.append((method, path, etree.fromstring(body), dict(headers)))
        return ask(self, method, path, body, headers, bytes_max=bytes_max)

    monkeypatch.setattr(Outside, "ask", note)
    call()
    monkeypatch.undo()
    [request] = seen
    return request


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_request_for_a_password_is_as_uidai_wants_it(monkeypatch, sandbox, client):
    method, path, root, headers = posted(monkeypatch, sandbox, lambda: client.request_otp(NUMBER, TXN))
    sandbox.asked.pop(TXN)
    assert (method, path, headers) == ("POST", "/uidotp/2.5/SANDBOXAUA/9/9/sandbox-asa", {"Content-Type": "application/xml"})
    check_signature(root, public(sandbox.keys.aua))
    assert root.tag == "{http://www.uidai.gov.in/authentication/otp/1.0}Otp"
    ts = root.attrib.pop("ts")
    assert abs(datetime.fromisoformat(ts).replace(tzinfo=IST) - datetime.now(UTC)) < timedelta(minutes=1)
    assert dict(root.attrib) == {
        "uid": NUMBER,
        "ac": "SANDBOXAUA",
        "sa": "SANDBOXSUB",
        "tid": "",
        "lk": "sandbox-licence",
        "txn": TXN,
        "ver": "2.5",
        "type": "A",
    }
    assert [(child.tag.rpartition("}")[2], dict(child.attrib)) for child in root] == [("Opts", {"ch": "01"})]


def test_an_e_kycs_request_is_as_uidai_wants_it(monkeypatch, sandbox, client):
    """Opened as UIDAI opens it, by the other library."""
    txn = asked(client)
    method, path, kyc, _ = posted(monkeypatch, sandbox, lambda: client.confirm(NUMBER, txn, OTP))
    assert (method, path) == ("POST", "/uidkyc/2.5/SANDBOXAUA/9/9/sandbox-asa")
    check_signature(kyc, public(sandbox.keys.aua))
    assert kyc.tag == "{http://www.uidai.gov.in/kyc/uid-kyc-request/1.0}Kyc"
    assert dict(kyc.attrib) == {"ver": "2.5", "ra": "O", "rc": "Y", "lr": "N", "de": "N", "pfr": "N"}
    auth = etree.fromstring(b64decode(kyc[0].text))
    check_signature(auth, public(sandbox.keys.aua))
    assert auth.tag == "{http://www.uidai.gov.in/authentication/uid-auth-request/2.0}Auth"
    of_auth = {"uid": NUMBER, "rc": "Y", "tid": "", "ac": "SANDBOXAUA", "sa": "SANDBOXSUB", "ver": "2.5", "txn": txn, "lk": "sandbox-licence"}
    assert dict(auth.attrib) == of_auth
    parts = {child.tag.rpartition("}")[2]: child for child in auth}
    assert list(parts) == ["Uses", "Meta", "Skey", "Data", "Hmac"]
    assert dict(parts["Uses"].attrib) == {"pi": "n", "pa": "n", "pfa": "n", "bio": "n", "bt": "", "pin": "n", "otp": "y"}
    assert set(parts["Meta"].attrib) == {"udc", "rdsId", "rdsVer", "dpId", "dc", "mi", "mc"}
    assert parts["Skey"].get("ci") == f"{sandbox.seal_certificate.not_valid_after_utc:%Y%m%d}"
    assert parts["Data"].get("type") == "X"
    session = PKCS1_v1_5.new(RSA.import_key(pem(sandbox.keys.sealed_for))).decrypt(b64decode(parts["Skey"].text), None)
    data, digest = b64decode(parts["Data"].text), b64decode(parts["Hmac"].text)
    ts = data[:19]

    def unsealed(sealed):
        cipher = AES.new(session, AES.MODE_GCM, nonce=ts[-12:], mac_len=16)
        cipher.update(ts[-16:])
        return cipher.decrypt_and_verify(sealed[:-16], sealed[-16:])

    pid = unsealed(data[19:])
    assert unsealed(digest) == hashlib.sha256(pid).digest()
    assert etree.fromstring(pid).get("ts").encode() == ts
    assert etree.fromstring(pid)[0].get("otp") == OTP


# There and back


def test_she_is_who_uidai_says(sandbox, client):
    txn = asked(client)
    assert txn.startswith("UKC:")
    answer = client.confirm(NUMBER, txn, OTP)
    her = answer.said
    assert (her.mode, her.name, her.birth_year, her.gender, her.last4) == (Mode.ONLINE_EKYC, "Sumitra Testdevi", 1985, "F", "0019")
    assert her.born_on.isoformat() == "1985-02-01"
    assert (her.care_of, her.address["district"], her.address["pincode"]) == ("W/O: Ramesh Testkumar", "Testpur", "800001")
    assert her.photo.startswith(b"\x89PNG")
    assert abs(her.referenced_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert her.signed_by == sandbox.account().trusted[0].fingerprint
    assert (len(answer.uid_token), answer.uid_token[:2]) == (72, "01")
    assert sandbox.calls == ["uidotp", "uidkyc"]


def test_a_limited_answer_does_without_the_number(sandbox, client):
    sandbox.limited = True
    answer = client.confirm(NUMBER, asked(client), OTP)
    assert (answer.said.last4, len(answer.uid_token)) == ("0019", 72)


def test_one_transaction_holds_password_and_e_kyc_together(client):
    txn = asked(client)
    assert code_of(client.confirm, NUMBER, ekyc.new_txn(), OTP) == "KYC_EXPIRED"
    assert code_of(client.confirm, "999941057058", txn, OTP) == "KYC_EXPIRED"
    assert client.confirm(NUMBER, txn, OTP).said.last4 == "0019"
    assert code_of(client.confirm, NUMBER, txn, OTP) == "KYC_EXPIRED"
    assert code_of(client.request_otp, NUMBER, txn) == "KYC_EXPIRED"


def test_a_wrong_password_is_wrong_and_only_so_often(client):
    txn = asked(client)
    for _ in range(uidai_sandbox.OTP_TRIES_MAX):
        assert code_of(client.confirm, NUMBER, txn, "000000") == "KYC_OTP_WRONG"
    assert code_of(client.confirm, NUMBER, txn, OTP) == "KYC_EXPIRED"


def test_what_cannot_be_a_password_is_not_sent(sandbox, client):
    for otp in ("", "12345", "1234567", "१२३४५६", "12345x", "123456\n"):
        assert code_of(client.confirm, NUMBER, TXN, otp) == "KYC_OTP_WRONG"
    assert sandbox.calls == []


# Told to fail


AWAY, INVALID = "EKYC_AWAY", "EKYC_ANSWER_INVALID"
MEETS = {
    Fault.HTTP_500: AWAY,
    Fault.DROP: AWAY,
    Fault.GARBAGE: INVALID,
    Fault.OVERSIZED: INVALID,
    Fault.ENTITIES: INVALID,
    Fault.OTHER_TXN: INVALID,
    Fault.WRONG_SIGNATURE: INVALID,
    Fault.UNSIGNED: INVALID,
    Fault.STALE: INVALID,
    Fault.OTHER_NUMBER: INVALID,
    Fault.OTHER_KEY: INVALID,
}


def test_every_fault_is_tried():
    assert {*MEETS, Fault.NONE, Fault.HANG} == set(Fault)


@pytest.mark.parametrize("fault", MEETS)
def test_an_e_kyc_that_fails_so_is_refused_and_goes_well_after(sandbox, client, caplog, fault):
    txn = asked(client)
    sandbox.faults.append(fault)
    with pytest.raises(Unavailable) as refused:
        client.confirm(NUMBER, txn, OTP)
    assert (refused.value.code, refused.value.params["seconds"] > 0) == (MEETS[fault], True)
    assert refused.value.__cause__ is None
    assert client.confirm(NUMBER, asked(client), OTP).said.last4 == "0019"


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.DROP, Fault.GARBAGE, Fault.OVERSIZED, Fault.ENTITIES, Fault.OTHER_TXN])
def test_a_request_for_a_password_that_fails_so_is_refused(sandbox, client, fault):
    sandbox.faults.append(fault)
    assert code_of(client.request_otp, NUMBER, ekyc.new_txn()) == MEETS[fault]
    asked(client)


def test_a_provider_that_hangs_is_given_up():
    hanging = uidai_sandbox.start(None)
    try:
        hanging.faults.append(Fault.HANG)
        begun = time.monotonic()
        assert code_of(hanging.client(0.3).request_otp, NUMBER, ekyc.new_txn()) == AWAY
        assert time.monotonic() - begun < 5
    finally:
        hanging.stop()


def test_a_provider_that_is_away_is_left_in_peace(sandbox, client):
    sandbox.faults.extend([Fault.HTTP_500] * uidai.FAILURES_MAX)
    for _ in range(uidai.FAILURES_MAX + 2):
        with pytest.raises(Unavailable) as refused:
            client.request_otp(NUMBER, ekyc.new_txn())
    assert len(sandbox.calls) == uidai.FAILURES_MAX
    assert uidai.REST_SECONDS - 5 < refused.value.params["seconds"] <= uidai.REST_SECONDS + 1
    client._rests_until = 0
    asked(client)


# Of what our own request should never meet: the operator is told.
OURS = (
    "100 200 300 401 500 501 502 503 504 505 510 511 512 515 517 520 521 523 530 540 541 542 543 550 553 561 562 564 565 566 567 568 569 570 579"
    " 710 740 811 812 940 941 980 K-514 K-515 K-517 K-540 K-541 K-542 K-544 K-546 K-547 K-551 K-552 K-553 K-569 K-570 K-600 K-601 K-602 K-603"
    " K-604 K-605 12345 nonsense"
)
MEANT = {
    "KYC_OTP_WRONG": (Conflict, "400 K-100"),
    "KYC_EXPIRED": (Conflict, "402 403 563"),
    "AADHAAR_INVALID": (Invalid, "998 K-998"),
    "EKYC_NO_MOBILE": (Conflict, "110 111 112 113 114 115"),
    "EKYC_LOCKED": (Conflict, "330 331 332 K-545"),
    "EKYC_SUSPENDED": (Conflict, "992 994 995 996 997"),
    "EKYC_TOO_MANY_OTPS": (Exhausted, "952 953"),
    "EKYC_AWAY": (Unavailable, "930 931 932 933 934 935 936 937 938 939 950 951 999 K-200 K-571 K-955 K-956 K-999"),
    "EKYC_REFUSED": (Conflict, OURS),
}
EVERY = [(code, refusal, kind) for refusal, (kind, codes) in MEANT.items() for code in codes.split()]


@pytest.mark.parametrize(("code", "refusal", "kind"), EVERY)
def test_what_a_code_means(code, refusal, kind):
    meant = rules.meant_by(code)
    assert (meant.code, type(meant)) == (refusal, kind)
    assert str(meant).endswith(".")
    if refusal == "EKYC_REFUSED":
        assert (code if code != "nonsense" and len(code) < 6 and code != "12345" else "?") in str(meant)


def test_a_failed_authentication_means_what_stands_behind_it():
    assert rules.meant_by("K-100", "997").code == "EKYC_SUSPENDED"
    assert rules.meant_by("K-100", "<script>").code == "EKYC_REFUSED"
    assert "script" not in str(rules.meant_by("K-100", "<script>"))
    assert rules.meant_by("K-955", "400").code == "EKYC_AWAY"


@pytest.mark.parametrize("code", ["998", "111", "331", "997", "952", "950", "569"])
def test_a_code_instead_of_a_password(sandbox, client, code):
    sandbox.faults.append(code)
    assert code_of(client.request_otp, NUMBER, ekyc.new_txn()) == rules.meant_by(code).code


@pytest.mark.parametrize("code", ["400", "403", "K-998", "K-545", "331", "997", "K-955", "K-569", "502"])
def test_a_code_instead_of_an_e_kyc(sandbox, client, caplog, code):
    """Those of the authentication are signed, and stand behind K-100."""
    txn = asked(client)
    sandbox.faults.append(code)
    wanted = rules.meant_by(code)
    with pytest.raises(Refused) as refused:
        client.confirm(NUMBER, txn, OTP)
    assert (refused.value.code, str(refused.value)) == (wanted.code, str(wanted))
    assert ("UIDAI takes no e-KYC request of ours" in caplog.text) == (wanted.code == "EKYC_REFUSED")


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404])
def test_a_status_of_the_asa_is_no_code_of_uidais(sandbox, client, monkeypatch, status):
    monkeypatch.setattr(Outside, "ask", lambda *_, **__: (status, b""))
    with pytest.raises(Conflict, match=f"HTTP {status}") as refused:
        client.request_otp(NUMBER, ekyc.new_txn())
    assert refused.value.code == "EKYC_REFUSED"


# What the sandbox checks


def upstream(caplog):
    return [vars(record)["upstream"] for record in caplog.records if "upstream" in vars(record)]


def stranger(sandbox):
    """Another's key under our certificate."""
    return KeyFiles(sandbox.account().keys.certificate, sandbox.keys.stranger, sandbox.keys.aua)


@pytest.mark.parametrize(
    ("changed", "otp_code", "kyc_code"),
    [
        (lambda sandbox: {"keys": stranger(sandbox)}, "569", "K-569"),
        (lambda _: {"licence_key": "another"}, "565", "565"),
        (lambda _: {"asa_licence_key": "another"}, "940", "K-601"),
        (lambda _: {"sub_aua": "another"}, "530", "530"),
        (lambda _: {"aua": "another"}, "530", "K-600"),
        (lambda sandbox: {"seals_for": sandbox.sign_certificate}, None, "500 502"),
        (lambda sandbox: {"seals_for": uidai_sandbox.certificate_of(sandbox.keys.sealed_for, "older", 300)}, None, "501"),
    ],
    ids=["signature", "licence", "asa", "sub-aua", "aua", "sealed for another", "older certificate"],
)
def test_who_is_not_the_aua_gets_nothing(sandbox, client, caplog, changed, otp_code, kyc_code):
    txn, other = asked(client), account_with(sandbox, **changed(sandbox))
    if otp_code:
        assert code_of(other.request_otp, NUMBER, ekyc.new_txn()) == "EKYC_REFUSED"
        assert upstream(caplog).pop() == otp_code
        caplog.clear()
    assert code_of(other.confirm, NUMBER, txn, OTP) == "EKYC_REFUSED"
    assert upstream(caplog).pop() in set(kyc_code.split())


@pytest.mark.parametrize("minutes", [-21, 21])
def test_a_clock_that_is_off_is_told(sandbox, client, caplog, minutes):
    off = Uidai(Outside("LOKOS_EKYC_URL", sandbox.url, 10), sandbox.account(), clock=lambda: datetime.now(UTC) + timedelta(minutes=minutes))
    assert code_of(off.request_otp, NUMBER, ekyc.new_txn()) == "EKYC_REFUSED"
    assert upstream(caplog) == ["523"]
    # The answer to an e-KYC has a time too, which is as far off from ours: it is not believed, whatever it says.
    assert code_of(off.confirm, NUMBER, asked(client), OTP) == INVALID


def test_a_transaction_of_another_kind_is_none(client, caplog):
    client.request_otp(NUMBER, "ABC:1")
    assert code_of(client.confirm, NUMBER, "ABC:1", OTP) == "EKYC_REFUSED"
    assert upstream(caplog) == ["K-551"]


def post(sandbox, path, body):
    connection = HTTPConnection(sandbox.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def resent(sandbox, client, change):
    """An e-KYC's request with its authentication changed and signed anew; what UIDAI says is wrong with it."""
    txn = asked(client)
    auth = etree.fromstring(client._auth_request(NUMBER, txn, OTP))
    auth.remove(auth.find(f"{DS}Signature"))
    change({part.tag.rpartition("}")[2]: part for part in auth} | {"Auth": auth})
    root = etree.Element(f"{{{uidai.KYC_XML}}}Kyc", rules.KYC, nsmap={None: uidai.KYC_XML})
    keys = sandbox.account().keys
    etree.SubElement(root, f"{{{uidai.KYC_XML}}}Rad").text = b64encode(uidai.signed(auth, keys)).decode()
    _, answered = post(sandbox, "/uidkyc/2.5/SANDBOXAUA/9/9/sandbox-asa", uidai.signed(root, keys))
    outer = answers.read_answer(answered, "Resp")
    if not outer["sealed"]:
        return outer["err"]
    return answers.read_kyc(uidai.opened(b64decode(outer["sealed"]), keys), sandbox.account().trusted)[0]["authentication"]


def changed_byte(name, place=25):
    def change(parts):
        held = bytearray(b64decode(parts[name].text))
        held[place] ^= 1
        parts[name].text = b64encode(bytes(held)).decode()

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda _: None, ""),
        (changed_byte("Data"), "502"),
        (changed_byte("Data", 17), "502"),  # the time before it
        (changed_byte("Hmac"), "503"),
        (lambda parts: parts["Auth"].set("rc", "N"), "512"),
        (lambda parts: parts["Uses"].set("otp", "n"), "740"),
        (lambda parts: parts["Auth"].set("uid", "999999990020"), "998"),
        (lambda parts: parts["Auth"].set("uid", "899999990019"), "510"),  # not the digits of the path
        (lambda parts: parts["Auth"].set("ver", "2.0"), "540"),
        (lambda parts: parts["Auth"].set("txn", "1"), "K-551"),
    ],
)
def test_uidais_checks_of_an_authentication(sandbox, client, change, code):
    assert resent(sandbox, client, change) == code


def test_a_hmac_of_another_block_is_found(monkeypatch, sandbox, client):
    with monkeypatch.context() as patched:
        patched.setattr(uidai, "sha256", lambda _: hashlib.sha256(b"another"))
        request = client._kyc_request(NUMBER, asked(client), OTP)
    _, answered = post(sandbox, "/uidkyc/2.5/SANDBOXAUA/9/9/sandbox-asa", request)
    held = uidai.opened(b64decode(answers.read_answer(answered, "Resp")["sealed"]), sandbox.account().keys)
    assert answers.read_kyc(held, sandbox.account().trusted)[0]["authentication"] == "564"


def test_a_plan_of_faults_comes_over_http_too(sandbox, client):
    assert post(sandbox, "/faults", json.dumps(["111"]).encode()) == (204, b"")
    assert code_of(client.request_otp, NUMBER, ekyc.new_txn()) == "EKYC_NO_MOBILE"
    assert post(sandbox, "/elsewhere", b"")[0] == 404


def test_processes_that_stand_in_for_one_uidai_confirm_for_each_other(sandbox):
    one, other = (uidai_sandbox.start(None, alone=False) for _ in range(2))
    try:
        txn = asked(one.client())
        assert other.client().confirm(NUMBER, txn, OTP).said.last4 == "0019"
    finally:
        one.stop()
        other.stop()


# What comes back is a stranger's


def signed_answer(sandbox, fault=Fault.NONE):
    resident = next(one for one in sandbox._residents() if one.number == NUMBER)
    return sandbox._kyc_answer(TXN, resident, fault)


def code_of_kyc(content, trusted):
    return code_of(answers.read_kyc, content, trusted)


def test_a_signature_counts_for_what_it_signs_alone(sandbox):
    trusted, good = sandbox.account().trusted, signed_answer(sandbox)
    assert answers.read_kyc(good, trusted)[0]["fields"]["name"] == "Sumitra Testdevi"
    attacks = {
        "changed": good.replace(b"Sumitra", b"Kavita "),
        "around it": good.replace(b"<KycRes", b"<KycRes><KycRes").replace(b"</KycRes>", b"</KycRes></KycRes>"),
        "another before it": good.replace(b"<UidData ", b"<UidData/><UidData ", 1),
        "twice": good.replace(b"</KycRes>", good[good.index(b"<Signature") :]),
        "commented": good.replace(b"Sumitra", b"Sum<!-- -->itra"),
        "a reference elsewhere": good.replace(b'URI=""', b'URI="#x"'),
        "an entity": b"<!DOCTYPE a>" + good.split(b"?>", 1)[1],
        "none": good[: good.index(b"<Signature")] + b"</KycRes>",
    }
    for name, content in attacks.items():
        assert content != good, name
        assert code_of_kyc(content, trusted) in {"EKYC_ANSWER_UNSIGNED", "EKYC_ANSWER_MALFORMED"}, name


SIGNED_ODDLY = {
    "no base64": '<KycRes xmlns="{}" ts="2026-07-01T17:30:00+05:30"><Rar>क</Rar></KycRes>',
    "no AuthRes": '<KycRes xmlns="{}" ts="2026-07-01T17:30:00+05:30"><Rar>PGEvPg==</Rar></KycRes>',
    "no time": '<KycRes xmlns="{}"/>',
    "two women": '<KycRes xmlns="{}" ts="2026-07-01T17:30:00+05:30"><UidData/><UidData/></KycRes>',
    "no woman": '<KycRes xmlns="{}" ts="2026-07-01T17:30:00+05:30"><UidData/></KycRes>',
}


@pytest.mark.parametrize("name", SIGNED_ODDLY)
def test_what_uidai_has_signed_and_makes_no_sense_is_refused(sandbox, name):
    [one] = sandbox.account().trusted
    ever = TrustedCertificate(one.pem, datetime(2020, 1, 1, tzinfo=UTC), one.trusted_until)
    signed = sandbox._signed(etree.fromstring(SIGNED_ODDLY[name].format(uidai_sandbox.KYC_ANSWER)), Fault.NONE)
    assert code_of_kyc(signed, [ever]) == "EKYC_ANSWER_MALFORMED"


def test_a_certificate_counts_for_answers_of_its_time(sandbox):
    now = datetime.now(UTC)
    [one] = sandbox.account().trusted
    over = TrustedCertificate(one.pem, now - timedelta(days=9), now - timedelta(days=1))
    assert code_of_kyc(signed_answer(sandbox), [over]) == "EKYC_ANSWER_OUT_OF_TIME"
    assert code_of_kyc(signed_answer(sandbox), []) == "EKYC_ANSWER_UNSIGNED"
    assert answers.read_kyc(signed_answer(sandbox), [over, one])[0]["signed_by"] == one.fingerprint


@given(st.binary(max_size=300), st.data())
def test_whatever_comes_back_is_read_or_refused(standing, content, data):
    whole = signed_answer(standing)
    start = data.draw(st.integers(0, len(whole)))
    for answer in (content, whole[:start] + content + whole[start + data.draw(st.integers(0, 50)) :]):
        for read, arguments in ((answers.read_answer, ("Resp",)), (answers.read_kyc, (standing.account().trusted,))):
            with suppress(Invalid):
                read(answer, *arguments)


@pytest.mark.parametrize(
    ("uid", "fits"),
    [
        ("", True),
        (NUMBER, True),
        ("XXXXXXXX0019", True),
        ("xxxx xxxx 0019", True),
        ("999941057058", False),
        ("XXXXXXXX7058", False),
        ("0019", False),
        ("99999999XXXX", False),
    ],
)
def test_whose_number_an_answer_names(uid, fits):
    assert rules.is_of(uid, NUMBER) is fits


@pytest.mark.parametrize(("ts", "fits"), [("2026-07-01T17:30:00", True), ("2026-07-01T17:45:00.123+05:30", True), ("2026-07-01T12:09:00Z", True)])
def test_an_answer_of_now(ts, fits):
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert rules.is_of_now(ts, now) is fits
    for other in ("", "yesterday", "2026-07-01T17:51:00", "2026-07-01T17:09:00+05:30", "2026-06-30T17:30:00+05:30"):
        assert not rules.is_of_now(other, now)


# The number


def test_the_number_is_in_no_log_no_error_and_no_repr(sandbox, client, caplog):
    caplog.set_level(logging.DEBUG)
    shown = [repr(client), repr(sandbox.account()), str(sandbox.account())]
    for fault in (*MEETS, "400", "997", "569", "K-955"):
        client._failures = 0
        txn = asked(client)
        sandbox.faults.extend([fault, fault])
        for call, arguments in ((client.request_otp, (ekyc.new_txn(),)), (client.confirm, (txn, OTP))):
            try:
                shown.append(repr(call(NUMBER, *arguments)))
            except Refused as refused:
                shown += [str(refused), repr(refused), str(refused.params)]
    shown += [str(vars(record)) for record in caplog.records] + [caplog.text]
    assert len(shown) > 30
    for secret in (NUMBER, NUMBER[:8], "sandbox-asa", "sandbox-licence", "/9/9/"):
        assert secret not in "\n".join(shown)


# The settings


@pytest.fixture
def real(tmp_path, monkeypatch, sandbox, up):
    """The environment of a rehearsal: the true adapter, by settings alone, with the sandbox at the other end."""
    monkeypatch.setenv("LOKOS_EKYC", "uidai")
    for line in uidai_sandbox.write(sandbox, tmp_path).read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    return monkeypatch


def test_by_settings_alone(real, sandbox):
    provider = ekyc.provider()
    assert provider.takes_never_issued is False
    assert provider.confirm(NUMBER, asked(provider), OTP).said.last4 == "0019"


FILES = ("KEY_FILE", "CERTIFICATE_FILE", "UIDAI_ENCRYPTION_FILE", "UIDAI_SIGNING_FILE")


@pytest.mark.parametrize("name", ["URL", "AUA", "LICENCE_KEY", "ASA_LICENCE_KEY", *FILES])
def test_a_missing_setting_ends_the_process_by_its_name(real, name):
    real.delenv(f"LOKOS_EKYC_{name}")
    with pytest.raises(SystemExit, match=f"LOKOS_EKYC_{name} is missing"):
        ekyc.provider()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_something_else_ends_the_process_by_its_settings_name(real, tmp_path, name):
    real.setenv(f"LOKOS_EKYC_{name}", str(tmp_path / "nothing.pem"))
    with pytest.raises(SystemExit, match=f"LOKOS_EKYC_{name}"):
        ekyc.provider()
    for content in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pem(rsa.generate_private_key(65537, 3072))):
        (tmp_path / "nothing.pem").write_bytes(content)
        with pytest.raises(SystemExit, match=f"LOKOS_EKYC_{name} names a file that holds no"):
            ekyc.provider()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("", "pigeon", "must be sandbox or uidai"),
        ("_URL", "http://asa.example/kyc", "must be an https address"),
        ("_URL", "https://asa.example/kyc?x=1", "must be an https address"),
        ("_SECONDS_MAX", "soon", "whole number"),
    ],
)
def test_a_setting_that_is_wrong_ends_the_process_in_words(real, name, value, says):
    real.setenv(f"LOKOS_EKYC{name}", value)
    with pytest.raises(SystemExit, match=says):
        ekyc.provider()


def test_a_key_that_is_not_the_certificates_ends_the_process(real, tmp_path):
    (tmp_path / "other.pem").write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    real.setenv("LOKOS_EKYC_KEY_FILE", str(tmp_path / "other.pem"))
    with pytest.raises(SystemExit, match="not of one key"):
        ekyc.provider()


def test_answers_may_be_opened_by_a_key_of_their_own(real, tmp_path, sandbox):
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / "opening.pem").write_bytes(pem(other))
    real.setenv("LOKOS_EKYC_OPENING_KEY_FILE", str(tmp_path / "opening.pem"))
    provider = ekyc.provider()
    assert uidai.opened(envelope(other), provider._account.keys) == b"<KycRes/>"
    assert code_of(provider.confirm, NUMBER, asked(provider), OTP) == INVALID  # The sandbox seals for the one that it knows.


def test_the_sandbox_runs_by_itself_and_not_where_members_are_real(tmp_path):
    command = [sys.executable, "-m", "services.identity.adapters.uidai_sandbox", str(tmp_path / "s")]
    real_one = {**os.environ, "LOKOS_EKYC": "uidai", "LOKOS_EKYC_URL": "https://asa.example/kyc"}
    done = subprocess.run(command, env=real_one, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "real members" in done.stderr, (tmp_path / "s").exists()) == (1, True, False)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout.readline().startswith("The sandbox answers at http://127.0.0.1:")
            assert {file.stat().st_mode & 0o777 for file in (tmp_path / "s").glob("*.pem")} == {0o600}
            assert "LOKOS_EKYC=uidai\n" in (tmp_path / "s" / "env").read_text()
        finally:
            running.terminate()


# Through the servicer


SERVICE = "identity"


@pytest.fixture
def desk(up, sandbox, monkeypatch, tmp_path):
    """A bookkeeper with a member who agrees, before a servicer that asks the sandbox. What is here is committed."""
    residents = tmp_path / "residents.csv"
    digits = f"0{uuid4().int % 10**10:010}"
    number = digits + check_digit(digits)
    residents.write_text(f"# invented\nnumber,otp,name,birth_year,gender\n{number},654321,Invented Woman,1985,F\n")
    monkeypatch.setattr(sandbox, "residents_file", residents)
    with database.transaction(SERVICE) as own:
        caller, shg = keeper(own)
        agreed = consent.give(own, caller, shg, said(member_id=uuid7()), datetime.now(UTC)).given
    interceptors._caller.set(caller)
    servicer = Servicer()
    servicer._ekyc = sandbox.client()
    ask = identity_pb2.StartKycRequest(member_id=str(agreed.member_id), aadhaar_number=number, consent_id=str(agreed.consent_id))
    yield servicer, ask, residents
    servicer._vault.close()
    with database.transaction(SERVICE) as own:
        own.execute(delete(kycs).where(kycs.c.member_id == agreed.member_id))
        own.execute(delete(institutions).where(institutions.c.institution_id == shg))


def confirm(servicer, begun, otp="654321"):
    return servicer.ConfirmKyc(identity_pb2.ConfirmKycRequest(kyc_id=begun.kyc_id, otp=otp), None)


def stored(ask):
    with database.transaction(SERVICE) as own:
        rows = own.execute(select(kycs).where(kycs.c.member_id == UUID(ask.member_id))).all()
    with database.transaction("vault") as own:
        return rows, own.execute(select(numbers.c.reference)).all()


def test_a_provider_that_is_away_leaves_nothing_half_begun(desk, sandbox):
    servicer, ask, residents = desk
    before = stored(ask)
    for fault in (Fault.HTTP_500, Fault.DROP, Fault.GARBAGE, "950"):
        sandbox.faults.append(fault)
        with pytest.raises(Unavailable):
            servicer.StartKyc(ask, None)
    for code in ("998", "111", "997"):
        sandbox.faults.append(code)
        code_of(servicer.StartKyc, ask, None)
    residents.rename(residents.with_suffix(".away"))
    assert code_of(servicer.StartKyc, ask, None) == AWAY
    assert stored(ask) == before
    residents.with_suffix(".away").rename(residents)
    assert confirm(servicer, servicer.StartKyc(ask, None)).name == "Invented Woman"


def test_while_the_provider_is_away_a_verification_waits_and_no_try_is_lost(desk, sandbox):
    servicer, ask, _ = desk
    begun = servicer.StartKyc(ask, None)
    for fault in (Fault.HTTP_500, Fault.DROP, "K-955", Fault.HTTP_500):
        sandbox.faults.append(fault)
        assert code_of(confirm, servicer, begun) == AWAY
        [[row], _] = stored(ask)
        assert (row.tries, row.confirmed_at) == (0, None)
    assert code_of(confirm, servicer, begun, "000000") == "KYC_OTP_WRONG"
    [[row], _] = stored(ask)
    assert (row.tries, row.provider_txn[:4], len(row.provider_txn)) == (1, "UKC:", 36)
    answer = confirm(servicer, begun)
    assert (answer.name, answer.birth_year, answer.number_masked) == ("Invented Woman", 1985, f"XXXX XXXX {ask.aadhaar_number[-4:]}")
    assert code_of(confirm, servicer, begun) == "KYC_EXPIRED"
    with database.transaction(SERVICE) as own:
        noted = own.execute(select(audit.audit.c.action).where(audit.audit.c.subjects.contains([begun.kyc_id]))).scalars().all()
    assert noted.count("kyc.away") == 4


def test_a_wrong_password_three_times_is_the_end(desk):
    servicer, ask, _ = desk
    begun = servicer.StartKyc(ask, None)
    for _ in range(3):
        assert code_of(confirm, servicer, begun, "000000") == "KYC_OTP_WRONG"
    assert code_of(confirm, servicer, begun) == "KYC_EXPIRED"


def test_the_started_sandbox_reads_the_settings_residents(up):
    first = Path(os.environ["LOKOS_SANDBOX_RESIDENTS_FILE"]).read_text().splitlines()[2].split(",")
    provider = ekyc.provider()
    assert provider.confirm(first[0], asked(provider, first[0]), first[1]).said.name == first[2]
