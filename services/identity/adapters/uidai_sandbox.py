"""UIDAI and an ASA on this machine's loopback: Otp, Auth and e-KYC 2.5 in the real wire format, with keys of its own and invented residents.

It checks what UIDAI checks, and fails as it is told to: by the next of its `faults`, or over HTTP at /faults. Run by itself,
`python -m services.identity.adapters.uidai_sandbox FOLDER` writes keys and settings into the folder, for a rehearsal with LOKOS_EKYC=uidai.
"""

import argparse
import csv
import hmac
import json
import logging
import os
import sys
import threading
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from services.chassis import settings
from services.chassis.outside import Outside
from services.identity.adapters.uidai import Account, KeyFiles, Uidai, trusted
from services.kernel.month import IST

AUA, SUB_AUA, LICENCE_KEY, ASA_LICENCE_KEY, DEVICE = "SANDBOXAUA", "SANDBOXSUB", "sandbox-licence", "sandbox-asa", "SANDBOX"
CLIENT_SECONDS_MAX = 10
BODY_BYTES_MAX = 100_000
HANGS_SECONDS = 60
OVERSIZED_BYTES = 8 * 1024 * 1024
CLOCKS_APART_MAX = timedelta(minutes=20)
OTP_TRIES_MAX = 3
TXNS_KEPT = 10_000
KEY_BITS, SESSION_KEY_BYTES = 2048, 32
PATH_PARTS = 7  # /service/version/ac/digit/digit/licence: the first is empty.

# UIDAI's own test numbers, which are nobody's.
TEST_NUMBERS = {"999941057058": "Shivshankar Testkumar", "999999990019": "Sumitra Testdevi"}
TEST_OTP = "123456"
OTHER_NUMBER = "999941057058"
POA = {
    "co": "W/O: Ramesh Testkumar",
    "house": "12-A",
    "street": "Main Road",
    "lm": "Near Panchayat Bhawan",
    "loc": "Ward 3",
    "vtc": "Testgaon",
    "po": "Testpur SO",
    "subdist": "Test Block",
    "dist": "Testpur",
    "state": "Bihar",
    "country": "India",
    "pc": "800001",
}
ENTITIES = b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 1000 + b'"><!ENTITY b "' + b"&a;" * 1000 + b'">]><KycRes>' + b"&b;" * 1000 + b"</KycRes>"
DS = "http://www.w3.org/2000/09/xmldsig#"
KYC_ANSWER = "http://www.uidai.gov.in/kyc/uid-kyc-response/1.0"
AUTH_ANSWER = "http://www.uidai.gov.in/authentication/uid-auth-response/1.0"
OTP_ANSWER = "http://www.uidai.gov.in/authentication/otp/1.0"


class Fault(StrEnum):
    """What one call may meet, besides an error code of UIDAI's (400, K-955) in this one's place."""

    NONE = "none"
    HTTP_500 = "http-500"
    HANG = "hang"
    DROP = "drop"
    GARBAGE = "garbage"
    WRONG_SIGNATURE = "wrong-signature"
    UNSIGNED = "unsigned"
    OVERSIZED = "oversized"
    ENTITIES = "entities"
    STALE = "stale"
    OTHER_TXN = "other-txn"
    OTHER_NUMBER = "other-number"
    OTHER_KEY = "other-key"


class Error(Exception):
    """An error code of UIDAI's. Of an e-KYC one without K- is the authentication's, which the answer says under UIDAI's signature."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Resident:
    number: str
    otp: str
    name: str
    dob: str
    gender: str


@dataclass
class Keys:
    """Of UIDAI: one that is sealed for, one that signs. Of the AUA: one that signs and opens, which the real AUA would never give away."""

    sealed_for: rsa.RSAPrivateKey
    signs: rsa.RSAPrivateKey
    aua: rsa.RSAPrivateKey
    stranger: rsa.RSAPrivateKey

    @classmethod
    def made(cls) -> "Keys":
        return cls(*(rsa.generate_private_key(65537, KEY_BITS) for _ in range(4)))


def certificate_of(key: rsa.RSAPrivateKey, name: str, days: int = 365) -> x509.Certificate:
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    begins, ends = now - timedelta(days=1), now + timedelta(days=days)
    return x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begins, ends).sign(key, SHA256())


@dataclass
class Sandbox:
    """Answers while the process runs, and forgets with it: which one-time passwords were asked for, and which transactions are over.

    `alone`: a transaction that it has not seen was never begun. One of several processes that stand in for one UIDAI cannot say so.
    """

    server: ThreadingHTTPServer
    residents_file: Path | None
    alone: bool
    keys: Keys = field(default_factory=Keys.made)
    photo: bytes = b""
    limited: bool = False  # As UIDAI answers an AUA that may not have the number.
    faults: deque[str] = field(default_factory=deque)
    asked: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    over: dict[str, None] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.seal_certificate = certificate_of(self.keys.sealed_for, "UIDAI sandbox, sealed for")
        self.sign_certificate = certificate_of(self.keys.signs, "UIDAI sandbox, signs")
        self.aua_certificate = certificate_of(self.keys.aua, "AUA of the sandbox")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def account(self) -> Account:
        """As whom it is asked."""
        ours = KeyFiles(self.aua_certificate.public_bytes(Encoding.PEM).decode(), self.keys.aua, self.keys.aua)
        return Account(AUA, SUB_AUA, LICENCE_KEY, ASA_LICENCE_KEY, DEVICE, ours, self.seal_certificate, (trusted(self.sign_certificate),))

    def client(self, seconds_max: float = CLIENT_SECONDS_MAX) -> Uidai:
        asa = Outside("LOKOS_EKYC_URL", self.url, seconds_max)
        return Uidai(asa, self.account(), takes_never_issued=True)

    def stop(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    # What is asked.

    def answer(self, path: str, body: bytes, fault: str) -> bytes:
        """What is answered; an error code that the plan names is answered as if UIDAI had found it."""
        said = "" if fault in set(Fault) else fault
        service = path.split("/")[1]
        try:
            number, request = self._request(path, body)
        except Error as error:
            return self._no(service, "", error.code)
        if service == "uidotp":
            return self._otp(number, request, said, fault)
        return self._kyc(number, request, said, fault)

    def _request(self, path: str, body: bytes) -> tuple[str, etree._Element]:
        """The two digits of the path, and the request, which our AUA has signed."""
        _, service, version, aua, first, second, asa_licence_key = path.split("/")
        kyc = "K-" if service == "uidkyc" else ""
        if asa_licence_key != ASA_LICENCE_KEY:
            raise Error("K-601" if kyc else "940")
        if aua != AUA:
            raise Error("K-600" if kyc else "530")
        if version != "2.5":
            raise Error(f"{kyc}541" if kyc else "540")
        return first + second, self._verified(body, {"uidotp": "Otp", "uidkyc": "Kyc"}[service], kyc)

    def _verified(self, body: bytes, name: str, kyc: str = "") -> etree._Element:
        try:
            root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError:
            raise Error(f"{kyc}540" if kyc else "510") from None
        if etree.QName(root).localname != name:
            raise Error(f"{kyc}540" if kyc else "510")
        try:
            how = SignatureConfiguration(location="./", expect_references=1)
            done = XMLVerifier().verify(root, x509_cert=self.aua_certificate, expect_config=how)
        except (SignXMLException, etree.LxmlError, ValueError):
            raise Error(f"{kyc}569") from None
        assert not isinstance(done, list)
        assert done.signed_xml is not None
        return done.signed_xml

    def _otp(self, digits: str, root: etree._Element, wanted: str, fault: str) -> bytes:
        said, txn = dict(root.attrib), root.get("txn", "")
        try:
            self._check_caller(said, digits)
            if said["type"] != "A" or root[0].get("ch") not in {"00", "01", "02"}:
                raise Error("510")
            if _off(said["ts"]):
                raise Error("523")
            if txn in self.asked:
                raise Error("563")
            if self._resident(said["uid"]) is None:
                raise Error("998")
            if wanted:
                raise Error(wanted)
        except Error as error:
            return self._no("uidotp", txn, error.code)
        _keep(self.asked, txn, said["uid"])
        if fault == Fault.ENTITIES:
            return ENTITIES
        named = f"{txn}0" if fault == Fault.OTHER_TXN else txn
        return _written(etree.Element(f"{{{OTP_ANSWER}}}OtpRes", _said("y", named), nsmap={None: OTP_ANSWER}))

    def _kyc(self, digits: str, root: etree._Element, wanted: str, fault: str) -> bytes:
        txn = ""
        try:
            kyc = dict(root.attrib)
            if kyc.get("rc") != "Y":
                raise Error("K-542")
            if kyc.get("ra") != "O":
                raise Error("K-544")
            auth = self._verified(b64decode(root[0].text or ""), "Auth")
            said, txn = dict(auth.attrib), auth.get("txn", "")
            if not txn.startswith("UKC:"):
                raise Error("K-551")
            self._check_caller(said, digits)
            if wanted.startswith("K-"):
                raise Error(wanted)
            resident = self._authenticated(said, auth, kyc, wanted)
        except Error as error:
            if error.code.startswith("K-"):
                return self._no("uidkyc", txn, error.code)
            return self._sealed(self._kyc_answer(txn, None, fault, error.code), txn, fault)
        _keep(self.over, txn, None)
        return self._sealed(self._kyc_answer(txn, resident, fault), txn, fault)

    def _check_caller(self, said: dict[Any, Any], digits: str) -> None:
        if said["ver"] != "2.5":
            raise Error("540")
        if (said["ac"], said["sa"]) != (AUA, SUB_AUA):
            raise Error("530")
        if said["lk"] != LICENCE_KEY:
            raise Error("565")
        if said["uid"][:2] != digits:
            raise Error("510")

    def _authenticated(self, said: dict[Any, Any], auth: etree._Element, kyc: dict[Any, Any], wanted: str) -> Resident:
        """Auth 2.5: whoever gave the right one-time password, as its encrypted block says."""
        if said.get("rc") != "Y":
            raise Error("512")
        parts = {etree.QName(part).localname: part for part in auth}
        if parts["Uses"].get("otp") != "y":
            raise Error("740")
        pid = self._pid(parts)
        if _off(pid.get("ts", "")):
            raise Error("561")
        if pid.get("wadh") != b64encode(sha256("".join(kyc[one] for one in ("ver", "ra", "rc", "lr", "de", "pfr")).encode()).digest()).decode():
            raise Error("K-547")
        resident = self._resident(said["uid"])
        if resident is None:
            raise Error("998")
        self._check_otp(said["txn"], resident, pid[0].get("otp") or "", wanted)
        return resident

    def _check_otp(self, txn: str, resident: Resident, otp: str, wanted: str) -> None:
        if txn in self.over:
            raise Error("563")
        if self.asked.get(txn, "" if self.alone else resident.number) != resident.number:
            raise Error("402")
        if wanted:
            raise Error(wanted)
        if self.tries.get(txn, 0) >= OTP_TRIES_MAX:
            raise Error("403")
        if not hmac.compare_digest(resident.otp.encode(), otp.encode()):
            _keep(self.tries, txn, self.tries.get(txn, 0) + 1)
            raise Error("400")

    def _pid(self, parts: dict[str, etree._Element]) -> etree._Element:
        def text(name: str) -> bytes:
            return b64decode(parts[name].text or "")

        if parts["Skey"].get("ci") != f"{self.seal_certificate.not_valid_after_utc:%Y%m%d}":
            raise Error("501")
        key = b""
        with suppress(ValueError):  # Or, by newer libraries, anything comes out.
            key = self.keys.sealed_for.decrypt(text("Skey"), PKCS1v15())
        if len(key) != SESSION_KEY_BYTES:
            raise Error("500")
        data = text("Data")
        ts, nonce, more = data[:19], data[7:19], data[3:19]
        try:
            held = AESGCM(key).decrypt(nonce, data[19:], more)
        except InvalidTag:
            raise Error("502") from None
        try:
            digest = AESGCM(key).decrypt(nonce, text("Hmac"), more)
        except InvalidTag:
            raise Error("503") from None
        if not hmac.compare_digest(digest, sha256(held).digest()):
            raise Error("564")
        pid = etree.fromstring(held, etree.XMLParser(resolve_entities=False, no_network=True))
        if etree.QName(pid).localname != "Pid" or pid.get("ts", "").encode() != ts or len(pid) != 1:
            raise Error("511")
        return pid

    def _resident(self, number: str) -> Resident | None:
        return next((one for one in self._residents() if one.number == number), None)

    def _residents(self) -> Iterable[Resident]:
        for number, name in TEST_NUMBERS.items():
            yield Resident(number, TEST_OTP, name, "01-02-1985", "F")
        if self.residents_file:
            lines = self.residents_file.read_text(encoding="utf-8").splitlines()
            for one in csv.DictReader(line for line in lines if not line.startswith("#")):
                yield Resident(one["number"], one["otp"], one["name"], one["birth_year"], one["gender"])

    # What is answered.

    def _no(self, service: str, txn: str, code: str) -> bytes:
        """An error before anybody was authenticated, which nobody signs."""
        if service == "uidotp":
            return _written(etree.Element(f"{{{OTP_ANSWER}}}OtpRes", _said("n", txn, code), nsmap={None: OTP_ANSWER}))
        return _written(etree.Element(f"{{{KYC_ANSWER}}}Resp", {"status": "-1", "ko": "KUA"} | _said("n", txn, code), nsmap={None: KYC_ANSWER}))

    def _kyc_answer(self, txn: str, resident: Resident | None, fault: str, code: str = "") -> bytes:
        """A KycRes, signed: she herself, or why not, under the authentication that it began with."""
        named = f"{txn}0" if fault == Fault.OTHER_TXN else txn
        at = datetime.now(UTC) - (2 * CLOCKS_APART_MAX if fault == Fault.STALE else timedelta())
        ret = "y" if resident else "n"
        root = etree.Element(f"{{{KYC_ANSWER}}}KycRes", _said(ret, named, "" if resident else "K-100", at), nsmap={None: KYC_ANSWER})
        auth = etree.Element(f"{{{AUTH_ANSWER}}}AuthRes", _said(ret, named, code, at), nsmap={None: AUTH_ANSWER})
        _add(root, "Rar").text = b64encode(self._signed(auth, fault)).decode()
        if resident:
            number = OTHER_NUMBER if fault == Fault.OTHER_NUMBER else resident.number
            token = f"01{sha256(b'sandbox ' + resident.number.encode()).hexdigest()}{'0' * 6}"
            data = _add(root, "UidData", tkn=token, **({} if self.limited else {"uid": number}))
            _add(data, "Poi", name=resident.name, dob=resident.dob, gender=resident.gender)
            _add(data, "Poa", **POA)
            _add(data, "LData")
            _add(data, "Pht").text = b64encode(self.photo).decode()
        return self._signed(root, fault)

    def _signed(self, root: etree._Element, fault: str) -> bytes:
        if fault == Fault.UNSIGNED:
            return _written(root)
        signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0)
        signer.namespaces = {None: DS}  # type: ignore[dict-item]  # as UIDAI writes it
        strange = fault == Fault.WRONG_SIGNATURE
        return _written(signer.sign(root, key=self.keys.stranger if strange else self.keys.signs, cert=[self.sign_certificate]))

    def _sealed(self, said: bytes, txn: str, fault: str) -> bytes:
        """A Resp around what UIDAI has signed, sealed for the AUA."""
        if fault == Fault.ENTITIES:
            said = ENTITIES
        sealed_for = (self.keys.stranger if fault == Fault.OTHER_KEY else self.keys.aua).public_key()
        key, label = os.urandom(SESSION_KEY_BYTES), os.urandom(32)
        encryptor = Cipher(AES(key), CFB(label[:16])).encryptor()
        held = encryptor.update(sha256(said).digest() + said) + encryptor.finalize()
        spki = sealed_for.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        wrapped = sealed_for.encrypt(key, OAEP(MGF1(SHA256()), SHA256(), label))
        root = etree.Element(f"{{{KYC_ANSWER}}}Resp", {"status": "0", "ko": "KUA"} | _said("y", txn), nsmap={None: KYC_ANSWER})
        _add(root, "kycRes").text = b64encode(b"VERSION_1.0" + spki + label + wrapped + held).decode()
        return _written(root)


def _said(ret: str, txn: str, err: str = "", at: datetime | None = None) -> dict[str, str]:
    code = sha256(txn.encode()).hexdigest()[:32]
    ts = (at or datetime.now(UTC)).astimezone(IST).isoformat(timespec="milliseconds")
    return {"ret": ret, "code": code, "txn": txn, "ts": ts} | ({"err": err} if err else {})


def _add(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{KYC_ANSWER}}}{tag}", attributes)


def _written(root: etree._Element) -> bytes:
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)
    return written


def _off(ts: str) -> bool:
    try:
        said = datetime.fromisoformat(ts).replace(tzinfo=IST)
    except ValueError:
        return True
    return abs(said - datetime.now(UTC)) > CLOCKS_APART_MAX


def _keep(memory: dict[str, Any], txn: str, what: Any) -> None:  # noqa: ANN401 - whatever is remembered of it
    """Remember the newest, and no more than so many."""
    memory[txn] = what
    while len(memory) > TXNS_KEPT:
        del memory[next(iter(memory))]


# --- Over HTTP.


def start(residents_file: Path | None, *, port: int = 0, alone: bool = True) -> Sandbox:
    """A server in a thread of its own; `stop` ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    sandbox = Sandbox(server, residents_file, alone)
    server.RequestHandlerClass = type("Handler", (Handler,), {"sandbox": sandbox})
    threading.Thread(target=server.serve_forever, args=(0.1,), name="sandbox-uidai", daemon=True).start()
    return sandbox


@cache
def started() -> Sandbox:
    """The one of this process. Others of its kind may have sent the one-time password: an instance may run several processes."""
    return start(Path(settings.text("LOKOS_SANDBOX_RESIDENTS_FILE")), alone=False)


# What a fault answers that looks at nothing.
BLUNT = {
    Fault.HTTP_500: (500, b"<html>Internal Server Error</html>"),
    Fault.GARBAGE: (200, bytes(range(256)) * 4),
    Fault.OVERSIZED: (200, b"<Resp>" + b"a" * OVERSIZED_BYTES + b"</Resp>"),
}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    sandbox: Sandbox

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX))
        service = self.path.split("/")[1]
        if self.path == "/faults":
            self.sandbox.faults.extend(json.loads(body))
            self._say(204, b"")
        elif service not in {"uidotp", "uidkyc"} or len(self.path.split("/")) != PATH_PARTS:
            self._say(404, b"")
        else:
            self.sandbox.calls.append(service)
            self._answer(body, self.sandbox.faults.popleft() if self.sandbox.faults else Fault.NONE)

    def _answer(self, body: bytes, fault: str) -> None:
        if fault == Fault.HANG:
            self.sandbox.ended.wait(HANGS_SECONDS)
        elif fault == Fault.DROP:
            with suppress(OSError):
                self.connection.shutdown(SHUT_RDWR)
        elif fault in BLUNT:
            self._say(*BLUNT[Fault(fault)])
        else:
            try:
                self._say(200, self.sandbox.answer(self.path, body, fault))
            except OSError:  # The file of residents is away.
                self._say(503, b"")

    def _say(self, status: int, body: bytes) -> None:
        with suppress(OSError):  # Whoever asked may have gone.
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the path tells two digits of a number."""


# --- By itself, for a rehearsal.


def write(sandbox: Sandbox, folder: Path) -> Path:
    """Its keys, and the settings by which it is asked as UIDAI is; gives the file of settings."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = sandbox.keys.aua.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pems = {
        "KEY": key,
        "CERTIFICATE": sandbox.aua_certificate.public_bytes(Encoding.PEM),
        "UIDAI_ENCRYPTION": sandbox.seal_certificate.public_bytes(Encoding.PEM),
        "UIDAI_SIGNING": sandbox.sign_certificate.public_bytes(Encoding.PEM),
    }
    said = {"": "uidai", "_URL": sandbox.url, "_AUA": AUA, "_SUB_AUA": SUB_AUA, "_LICENCE_KEY": LICENCE_KEY, "_ASA_LICENCE_KEY": ASA_LICENCE_KEY}
    for name, pem in pems.items():
        file = folder / f"{name.lower()}.pem"
        file.write_bytes(pem)
        file.chmod(0o600)
        said[f"_{name}_FILE"] = str(file.resolve())
    written = folder / "env"
    written.write_text("".join(f"LOKOS_EKYC{name}={value}\n" for name, value in said.items()))
    return written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.identity.adapters.uidai_sandbox", description=__doc__)
    parser.add_argument("folder", type=Path, help="where its keys and settings are written")
    parser.add_argument("--residents", type=Path, help="a CSV of invented residents, beside UIDAI's own test numbers")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    url = os.environ.get("LOKOS_EKYC_URL", "")
    if os.environ.get("LOKOS_EKYC") == "uidai" and not Outside("LOKOS_EKYC_URL", url, 1).is_loopback:
        sys.stderr.write("LOKOS_EKYC is uidai here: this is the environment of real members, and no place for a sandbox.\n")
        return 1
    logging.basicConfig(level=logging.INFO)
    sandbox = start(arguments.residents, port=arguments.port)
    sys.stdout.write(f"The sandbox answers at {sandbox.url}; the settings for it are in {write(sandbox, arguments.folder)}.\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        sandbox.ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
