"""The text of an Aadhaar QR: digits that UIDAI has signed, read into fields; of what nobody has signed, what may be prefilled.

The digits are a number, its bytes are gzip, and that holds fields of Latin-1 ended by FF each, the photo, perhaps hashes of the
contacts, and the signature over all before it. FF within a field cannot be told from its end, so what does not fit is refused.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from defusedxml import ElementTree

from services.identity.rules import verified
from services.identity.rules.verified import TrustedCertificate
from services.kernel.errors import Invalid

DIGITS_MAX = 7089  # Of the largest QR there is.
CHUNK_DIGITS = 4000  # Python makes no number of a longer text at once.
INFLATED_BYTES_MAX = 64 * 1024
SIGNATURE_BYTES = 256
HASH_BYTES = 32
UNSIGNED_LENGTH_MAX = 4000
CODESTREAM_BEGINS, CODESTREAM_ENDS = b"\xff\x4f\xff\x51", b"\xff\xd9"
FLAGS = {"0": 0, "1": 1, "2": 2, "3": 3}
EMAIL, MOBILE = 1, 2

FIELDS = (
    *("email_mobile_flag", "reference_id", "name", "dob", "gender", "careof", "district", "landmark", "house", "location"),
    *("pincode", "postoffice", "state", "street", "subdistrict", "vtc"),
)
# What version 2 brought; 3 to 5 read alike, and a version that nobody has told us of is tried so: its signature shows whether it is UIDAI's.
FIELDS_SINCE_2 = ("version", *FIELDS, "mobile_last4")
_VERSION = re.compile(rb"V[0-9]{1,3}")

# The old QR's attributes under the names that the signed one has.
UNSIGNED_FIELDS = {name: name for name in ("name", "gender", "yob", "dob", "house", "street", "vtc", "state")} | {
    "co": "careof",
    "lm": "landmark",
    "loc": "location",
    "po": "postoffice",
    "dist": "district",
    "subdist": "subdistrict",
    "pc": "pincode",
}
_NUMBER = re.compile(r"(?:[0-9][ -]?){12}")
_NUMBER_ALONE = re.compile(r"(?:[0-9][ -]?){12}(?:(?:[0-9][ -]?){4})?")
_PROLOG = re.compile(r"<[/?]{1,2}xml\b[^>]{0,200}>\s*")


def read(text: str, trusted: Sequence[TrustedCertificate]) -> tuple[dict[str, Any], bytes]:
    """The fields of a QR that UIDAI has signed, and its photo as it lies there (a JPEG2000 codestream)."""
    return read_signed(text, trusted)[:2]


def read_signed(text: str, trusted: Sequence[TrustedCertificate]) -> tuple[dict[str, Any], bytes, str]:
    """The same, and the fingerprint of the certificate that it is signed by."""
    text = text.strip()
    if _NUMBER_ALONE.fullmatch(text):
        raise Invalid("QR_NUMBER_ONLY", "This QR holds a number alone, which proves nothing; scan the large one of her Aadhaar.", field="content")
    if text.startswith("<"):
        _refuse_unsigned(text)
    inflated = _inflated(text)
    signed, signature = inflated[:-SIGNATURE_BYTES], inflated[-SIGNATURE_BYTES:]
    fields, photo = _parsed(signed)
    if not trusted:
        raise Invalid("CERTIFICATES_MISSING", "No certificate of UIDAI is trusted here yet; enter her details by hand.", field="content")
    signers = [certificate for certificate in trusted if _has_signed(certificate, signed, signature)]
    if not signers:
        raise Invalid("QR_SIGNATURE_INVALID", "This QR is not signed by UIDAI, or was changed; enter her details by hand.", field="content")
    _, referenced_at = verified.read_reference(fields["reference_id"])
    signed_by = next((certificate.fingerprint for certificate in signers if certificate.covers(referenced_at)), None)
    if signed_by is None:
        raise Invalid(
            "QR_CERTIFICATE_OUT_OF_TIME",
            "The certificate that signed this QR is not trusted for its time; enter her details by hand.",
            field="content",
        )
    verified.read_birth(fields["dob"])
    verified.read_gender(fields["gender"])
    return fields, photo, signed_by


def _malformed() -> NoReturn:
    raise Invalid("QR_MALFORMED", "This is no Aadhaar QR that can be read; scan it again, or enter her details by hand.", field="content") from None


def _inflated(text: str) -> bytes:
    # A number has one spelling: with noughts before it the same QR would be another text.
    if len(text) > DIGITS_MAX or not (text.isascii() and text.isdecimal()) or text.startswith("0"):
        _malformed()
    number = 0
    for at in range(0, len(text), CHUNK_DIGITS):
        chunk = text[at : at + CHUNK_DIGITS]
        number = number * 10 ** len(chunk) + int(chunk)
    gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)  # And nothing but gzip.
    try:
        inflated = gzip.decompress(number.to_bytes((number.bit_length() + 7) // 8), INFLATED_BYTES_MAX)
    except zlib.error:
        _malformed()
    if not gzip.eof or gzip.unused_data:
        _malformed()
    return inflated


def _parsed(signed: bytes) -> tuple[dict[str, Any], bytes]:
    version = signed.partition(b"\xff")[0]
    is_first = version.decode("latin-1") in FLAGS  # It has no field for its version.
    if not is_first and not _VERSION.fullmatch(version):
        _malformed()
    names = FIELDS if is_first else FIELDS_SINCE_2
    *texts, tail = signed.split(b"\xff", len(names))  # No further: the photo is full of FF.
    if len(texts) != len(names):
        _malformed()
    fields: dict[str, Any] = {"version": "V1", "mobile_last4": None, **dict(zip(names, (text.decode("latin-1") for text in texts), strict=True))}
    if fields["email_mobile_flag"] not in FLAGS:
        _malformed()
    flag = fields["email_mobile_flag"] = FLAGS[fields["email_mobile_flag"]]
    fields |= {"aadhaar_last4": fields["reference_id"][:4], "ref_timestamp": fields["reference_id"][4:]}
    photo, hashes = _tail(tail, flag.bit_count(), may_lack_hashes=not is_first)
    fields |= {"photo_sha256": hashlib.sha256(photo).hexdigest(), "photo_len": len(photo)}
    for name, bit in (("email_hash", EMAIL), ("mobile_hash", MOBILE)):
        fields[name] = hashes.pop(0).hex() if flag & bit and hashes else None
    return fields, photo


def _tail(tail: bytes, contacts: int, *, may_lack_hashes: bool) -> tuple[bytes, list[bytes]]:
    """The photo and the hashes behind it. The most hashes are tried first: the end of a codestream is not found within one."""
    for count in range(contacts, -1 if may_lack_hashes else contacts - 1, -1):
        ends = len(tail) - count * HASH_BYTES
        photo = tail[: max(ends, 0)]
        if photo.startswith(CODESTREAM_BEGINS) and photo.endswith(CODESTREAM_ENDS):
            return photo, [tail[at : at + HASH_BYTES] for at in range(ends, len(tail), HASH_BYTES)]
    _malformed()


def _has_signed(certificate: TrustedCertificate, signed: bytes, signature: bytes) -> bool:
    key = x509.load_pem_x509_certificate(certificate.pem.encode()).public_key()
    assert isinstance(key, RSAPublicKey), "whoever trusts a certificate looks at its key"
    try:
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _refuse_unsigned(text: str) -> NoReturn:
    """The old QR proves nothing and holds the whole number, of which only the end goes on; what else is in it may be typed less."""
    if prolog := _PROLOG.match(text):  # Old printers wrote </?xml and ?">.
        text = text[prolog.end() :]
    if len(text) > UNSIGNED_LENGTH_MAX or "<!" in text:
        _malformed()
    try:
        root = ElementTree.fromstring(text, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError):
        _malformed()
    if root.tag != "PrintLetterBarcodeData" or len(root):
        _malformed()
    raise Invalid(
        "QR_UNSIGNED",
        "This old QR is not signed: what it holds may be filled in, and proves nothing.",
        field="content",
        **unsigned_fields(root.attrib),
    )


def unsigned_fields(attributes: Mapping[str, str]) -> dict[str, str]:
    """What may be prefilled: the last four digits of the number, and nothing that might hold it whole."""
    prefill = {said: attributes[name] for name, said in UNSIGNED_FIELDS.items() if name in attributes and not _NUMBER.search(attributes[name])}
    last4 = attributes.get("uid", "")[-4:]
    return prefill | ({"aadhaar_last4": last4} if re.fullmatch("[0-9]{4}", last4) else {})
