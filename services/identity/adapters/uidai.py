"""Online e-KYC with UIDAI: Otp 2.5 and e-KYC 2.5, with Auth 2.5 inside it, through an ASA over HTTPS.

The number goes into the request, and its first two digits into the path, as UIDAI wants it: nothing here prints either. Answers are
read by a child, which has no key of ours (papers); here they are opened, and held against what was asked.
"""

import hmac
import logging
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from services.chassis import metrics, settings
from services.chassis.outside import Away, Outside
from services.identity.adapters import papers
from services.identity.rules import uidai as rules
from services.identity.rules import verified
from services.identity.rules.verified import ADDRESS_PARTS, Mode, TrustedCertificate, VerifiedIdentity
from services.kernel.errors import Invalid, Refused

log = logging.getLogger(__name__)
logging.getLogger("signxml").setLevel(logging.INFO)  # It would write whatever it signs, and the number with it, when debugging is on.

ANSWER_SECONDS_MAX = 15
ANSWER_BYTES_MAX = 1024 * 1024
# After so many calls in a row without an answer nobody is asked for a while: each of them would hold a thread up.
FAILURES_MAX, REST_SECONDS = 5, 60

OTP_XML = "http://www.uidai.gov.in/authentication/otp/1.0"
AUTH_XML = "http://www.uidai.gov.in/authentication/uid-auth-request/2.0"
PID_XML = "http://www.uidai.gov.in/authentication/uid-auth-request-data/2.0"
KYC_XML = "http://www.uidai.gov.in/kyc/uid-kyc-request/1.0"
PID_VERSION = "2.0"
SMS = "01"

SESSION_KEY_BYTES = 32
# An answer's envelope: its version, the public key that it is sealed for, the label, the session key under both, and the rest.
ENVELOPE_VERSION = b"VERSION_1.0"
SPKI_BYTES, LABEL_BYTES, WRAPPED_BYTES, IV_BYTES, DIGEST_BYTES = 294, 32, 256, 16, 32


class KeyHolder(Protocol):
    """Our two private keys towards UIDAI, RSA of 2048 bits. A hardware module may hold them: they are asked, and never shown."""

    certificate: str  # Of the key that signs, in PEM.
    opens: bytes  # The public half of the key that opens, as DER.

    def sign(self, said: bytes) -> bytes:
        """By PKCS #1 v1.5 with SHA-256."""

    def unwrap(self, wrapped: bytes, label: bytes) -> bytes:
        """By OAEP with SHA-256. Raises ValueError."""


class KeyFiles:
    """The keys in memory, as they were read from files."""

    def __init__(self, certificate: str, signing: RSAPrivateKey, opening: RSAPrivateKey) -> None:
        self.certificate = certificate
        self.opens = opening.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._signing, self._opening = signing, opening

    def sign(self, said: bytes) -> bytes:
        return self._signing.sign(said, PKCS1v15(), SHA256())

    def unwrap(self, wrapped: bytes, label: bytes) -> bytes:
        return self._opening.decrypt(wrapped, OAEP(MGF1(SHA256()), SHA256(), label))


@dataclass(frozen=True, slots=True)
class Account:
    """As whom we ask, and by which keys of UIDAI's: one to seal for, and those that may have signed."""

    aua: str
    sub_aua: str
    licence_key: str = field(repr=False)
    asa_licence_key: str = field(repr=False)
    device: str
    keys: KeyHolder = field(repr=False)
    seals_for: x509.Certificate = field(repr=False)
    trusted: tuple[TrustedCertificate, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Confirmed:
    """Who she is, and UIDAI's own token of her for our AUA (72 characters, or empty); identity's token is the vault's (decision 1)."""

    said: VerifiedIdentity
    uid_token: str


# --- What a request is made of.


def pid_block(ts: str, otp: str) -> bytes:
    """What she proves herself by, as XML."""
    pid = etree.Element(f"{{{PID_XML}}}Pid", {"ts": ts, "ver": PID_VERSION, "wadh": rules.wadh()}, nsmap={None: PID_XML})
    etree.SubElement(pid, f"{{{PID_XML}}}Pv", otp=otp)
    return _written(pid)


def sealed_by(key: bytes, ts: str, said: bytes) -> bytes:
    """AES-256-GCM as UIDAI has it: the nonce is the end of the time, and so is what is authenticated. One key serves one request alone."""
    return AESGCM(key).encrypt(ts[-12:].encode(), said, ts[-16:].encode())


def signed(root: etree._Element, keys: KeyHolder) -> bytes:
    """The document with our signature in it, which covers all of it."""
    signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0)
    done = signer.sign(root, key=_Signing(keys), cert=keys.certificate)  # type: ignore[arg-type]  # all that it asks of a key is to sign
    return _written(done)


def _written(root: etree._Element) -> bytes:
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return written


class _Signing:
    """A key holder as the library asks for it."""

    def __init__(self, keys: KeyHolder) -> None:
        self._keys = keys

    def sign(self, said: bytes, *, padding: object, algorithm: object) -> bytes:
        assert isinstance(padding, PKCS1v15), "it signs in one way"
        assert isinstance(algorithm, SHA256), "it signs in one way"
        return self._keys.sign(said)


def opened(envelope: bytes, keys: KeyHolder) -> bytes:
    """What an answer's envelope holds. Raises ValueError."""
    parts, start = [], 0
    for length in (len(ENVELOPE_VERSION), SPKI_BYTES, LABEL_BYTES, WRAPPED_BYTES):
        parts.append(envelope[start : start + length])
        start += length
    version, spki, label, wrapped = parts
    if version != ENVELOPE_VERSION or spki != keys.opens:
        raise ValueError("not an envelope for us")
    decryptor = Cipher(AES(keys.unwrap(wrapped, label)), CFB(label[:IV_BYTES])).decryptor()
    held = decryptor.update(envelope[start:]) + decryptor.finalize()
    digest, said = held[:DIGEST_BYTES], held[DIGEST_BYTES:]
    if not hmac.compare_digest(digest, sha256(said).digest()):
        raise ValueError("not what was sealed")
    return said


# --- The provider.


class Uidai:
    """Asked outside of any transaction. One transaction id holds the one-time password and the e-KYC together."""

    def __init__(self, asa: Outside, account: Account, *, takes_never_issued: bool = False, clock: Callable[[], datetime] | None = None) -> None:
        self.takes_never_issued = takes_never_issued
        self._asa = asa
        self._account = account
        self._now = clock or (lambda: datetime.now(UTC))
        self._failures = 0
        self._rests_until = 0.0

    def request_otp(self, number: str, txn: str) -> None:
        """Have her sent a one-time password. Raises Refused: AADHAAR_INVALID, KYC_*, EKYC_*."""
        account = self._account
        said = {"uid": number, "ac": account.aua, "sa": account.sub_aua, "tid": "", "lk": account.licence_key, "txn": txn}
        root = etree.Element(f"{{{OTP_XML}}}Otp", said | {"ts": self._stamp(), "ver": rules.VERSION, "type": "A"}, nsmap={None: OTP_XML})
        etree.SubElement(root, f"{{{OTP_XML}}}Opts", ch=SMS)
        answer = self._read(self._ask("uidotp", number, signed(root, account.keys)), "answer", expected="OtpRes")
        if answer["ret"].lower() != "y":
            raise self._refused(answer["err"])
        if answer["txn"] != txn:
            raise self._unbelievable("of another transaction")

    def confirm(self, number: str, txn: str, otp: str) -> Confirmed:
        """Who she is, by the one-time password that she was sent. Raises Refused: AADHAAR_INVALID, KYC_*, EKYC_*."""
        request = self._kyc_request(number, txn, rules.check_otp(otp))
        outer = self._read(self._ask("uidkyc", number, request), "answer", expected="Resp")
        if not outer["sealed"]:
            raise self._refused(outer["err"]) if outer["ret"].lower() == "n" else self._unbelievable("nothing in it")
        try:
            held = opened(b64decode(outer["sealed"]), self._account.keys)
        except ValueError:
            raise self._unbelievable("not sealed for us") from None
        answer = self._read(held, "kyc", trusted=self._account.trusted)
        if answer["txn"] != txn:
            raise self._unbelievable("of another transaction")
        if not rules.is_of_now(answer["ts"], self._now()):
            raise self._unbelievable("of another time")
        if answer["ret"].lower() != "y":
            raise self._refused(answer["err"], answer["authentication"])
        return self._confirmed(number, answer)

    def _confirmed(self, number: str, answer: dict[str, Any]) -> Confirmed:
        if "fields" not in answer:
            raise self._unbelievable("nobody in it")
        if not rules.is_of(answer["uid"], number):
            raise self._unbelievable("of another number")
        fields = answer["fields"]
        try:
            born_on, birth_year = verified.read_birth(fields["dob"])
            gender = verified.read_gender(fields["gender"])
        except Invalid as invalid:
            raise self._unbelievable(invalid.code) from None
        said = VerifiedIdentity(
            mode=Mode.ONLINE_EKYC,
            name=fields["name"],
            born_on=born_on,
            birth_year=birth_year,
            gender=gender,
            last4=number[-4:],
            care_of=fields["careof"],
            address={part: fields[part] for part in ADDRESS_PARTS},
            referenced_at=rules.moment(datetime.fromisoformat(answer["ts"])),
            mobile_matches=None,
            email_matches=None,
            photo=b64decode(answer["portrait"]),
            signed_by=answer["signed_by"],
        )
        return Confirmed(said, answer["tkn"])

    def _kyc_request(self, number: str, txn: str, otp: str) -> bytes:
        root = etree.Element(f"{{{KYC_XML}}}Kyc", rules.KYC, nsmap={None: KYC_XML})
        etree.SubElement(root, f"{{{KYC_XML}}}Rad").text = b64encode(self._auth_request(number, txn, otp)).decode()
        return signed(root, self._account.keys)

    def _auth_request(self, number: str, txn: str, otp: str) -> bytes:
        account, ts, key = self._account, self._stamp(), os.urandom(SESSION_KEY_BYTES)
        pid, seals_for = pid_block(ts, otp), account.seals_for.public_key()
        assert isinstance(seals_for, RSAPublicKey), "checked when it was read"
        said = {"uid": number, "rc": "Y", "tid": "", "ac": account.aua, "sa": account.sub_aua, "ver": rules.VERSION, "txn": txn}
        root = etree.Element(f"{{{AUTH_XML}}}Auth", said | {"lk": account.licence_key}, nsmap={None: AUTH_XML})

        def add(name: str, text: bytes = b"", **attributes: str) -> None:
            etree.SubElement(root, f"{{{AUTH_XML}}}{name}", attributes).text = b64encode(text).decode() or None

        add("Uses", pi="n", pa="n", pfa="n", bio="n", bt="", pin="n", otp="y")
        # A one-time password needs no registered device.
        add("Meta", udc=account.device, rdsId="", rdsVer="", dpId="", dc="", mi="", mc="")
        add("Skey", seals_for.encrypt(key, PKCS1v15()), ci=f"{account.seals_for.not_valid_after_utc:%Y%m%d}")
        add("Data", ts.encode() + sealed_by(key, ts, pid), type="X")
        add("Hmac", sealed_by(key, ts, sha256(pid).digest()))
        return signed(root, account.keys)

    def _ask(self, service: str, number: str, request: bytes) -> bytes:
        """What the ASA answers; whatever it is, it is a stranger's."""
        rests = self._rests_until - time.monotonic()
        if rests > 0:
            raise rules.away(round(rests) + 1)
        account = self._account
        place = "/".join(quote(part, safe="") for part in (service, rules.VERSION, account.aua, number[0], number[1], account.asa_licence_key))
        try:
            status, said = self._asa.ask("POST", f"/{place}", request, {"Content-Type": "application/xml"}, bytes_max=ANSWER_BYTES_MAX + 1)
        except Away:
            raise self._failed() from None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._failed()
        self._failures = 0
        if status != HTTPStatus.OK:
            raise self._taken(rules.refused_by(f"HTTP {status}"))
        if len(said) > ANSWER_BYTES_MAX:
            raise self._unbelievable("too large")
        return said

    def _read(self, content: bytes, kind: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what each kind needs
        try:
            return papers.read_online(content, kind, **more)
        except Invalid as invalid:
            raise self._unbelievable(invalid.code) from None

    def _refused(self, code: str, of_authentication: str = "") -> Refused:
        return self._taken(rules.meant_by(code, of_authentication))

    def _taken(self, refused: Refused) -> Refused:
        """For the operator, where it is he who can do something about it."""
        if refused.code == "EKYC_REFUSED":
            log.error("UIDAI takes no e-KYC request of ours", extra={"upstream": refused.params["code"]})
        return refused

    def _unbelievable(self, reason: str) -> Refused:
        log.error("an answer is not UIDAI's to what was asked", extra={"reason": reason})
        return rules.unbelievable()

    def _failed(self) -> Refused:
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._failures, self._rests_until = 0, time.monotonic() + REST_SECONDS
            log.warning("the e-KYC provider does not answer; nobody is asked for a while", extra={"seconds": REST_SECONDS})
        return rules.away()

    def _stamp(self) -> str:
        return rules.stamp(self._now())


# --- The settings.


def configured() -> Uidai:
    """As the settings say. What is missing or does not fit ends the process here."""
    url, aua, licence_key, asa_licence_key = (settings.text(f"LOKOS_EKYC_{name}") for name in ("URL", "AUA", "LICENCE_KEY", "ASA_LICENCE_KEY"))
    [certificate], signing = _certificates("CERTIFICATE_FILE")[:1], _private_key("KEY_FILE")
    if certificate.public_key() != signing.public_key():
        raise SystemExit("The settings LOKOS_EKYC_KEY_FILE and LOKOS_EKYC_CERTIFICATE_FILE are not of one key.")
    opening = _private_key("OPENING_KEY_FILE") if settings.text("LOKOS_EKYC_OPENING_KEY_FILE", "") else signing
    account = Account(
        aua=aua,
        sub_aua=settings.text("LOKOS_EKYC_SUB_AUA", aua),
        licence_key=licence_key,
        asa_licence_key=asa_licence_key,
        device=settings.text("LOKOS_EKYC_DEVICE", f"LOKOS{settings.instance()}"),
        keys=KeyFiles(certificate.public_bytes(Encoding.PEM).decode(), signing, opening),
        seals_for=_certificates("UIDAI_ENCRYPTION_FILE")[0],
        trusted=tuple(map(trusted, _certificates("UIDAI_SIGNING_FILE"))),
    )
    seconds = settings.number("LOKOS_EKYC_SECONDS_MAX", ANSWER_SECONDS_MAX)
    return Uidai(Outside("LOKOS_EKYC_URL", url, seconds), account)


def trusted(certificate: x509.Certificate) -> TrustedCertificate:
    """For answers of its own time."""
    return TrustedCertificate(certificate.public_bytes(Encoding.PEM).decode(), certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _certificates(name: str) -> list[x509.Certificate]:
    setting = f"LOKOS_EKYC_{name}"
    try:
        found = x509.load_pem_x509_certificates(settings.file(setting).read_bytes())
        fits = all(isinstance(key := one.public_key(), RSAPublicKey) and key.key_size == WRAPPED_BYTES * 8 for one in found)
    except ValueError:
        fits = False
    if not fits:
        raise SystemExit(f"The setting {setting} names a file that holds no certificates in PEM with RSA keys of {WRAPPED_BYTES * 8} bits.")
    ends = max(one.not_valid_after_utc for one in found).timestamp()  # Those of before may stay beside the one in use.
    metrics.CERTIFICATE_SECONDS_LEFT.labels(setting).set_function(lambda: ends - time.time())
    return found


def _private_key(name: str) -> RSAPrivateKey:
    setting = f"LOKOS_EKYC_{name}"
    try:
        key = load_pem_private_key(settings.file(setting).read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size != WRAPPED_BYTES * 8:
        raise SystemExit(f"The setting {setting} names a file that holds no RSA key of {WRAPPED_BYTES * 8} bits in PEM without a password.")
    return key
