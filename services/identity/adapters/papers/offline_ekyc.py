"""A file of Aadhaar Paperless Offline e-KYC: a zip under her share code, or the XML in it, that UIDAI has signed.

The document may have one shape only, and what is read is what UIDAI has signed of it (signed_xml).
"""

import base64
import codecs
import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NoReturn

import pyzipper
from lxml import etree

from services.identity.adapters.papers import signed_xml
from services.identity.rules import verified
from services.identity.rules.verified import TrustedCertificate
from services.kernel.errors import Invalid

XML_BYTES_MAX = 2 * 1024 * 1024
RATIO_MAX = 100  # Deflate packs a thousandfold; base64 of a photo not even twice.
SHARE_CODE_LENGTH_MAX = 64
ZIP_BEGINS = b"PK"

# What a document holds: the attributes of each element, by the names that the fields have here.
POI = {"name": "name", "dob": "dob", "gender": "gender", "m": "m", "e": "e"}
POA = {
    "careof": "careof",
    "house": "house",
    "street": "street",
    "landmark": "landmark",
    "loc": "location",
    "vtc": "vtc",
    "po": "postoffice",
    "subdist": "subdistrict",
    "dist": "district",
    "state": "state",
    "country": "country",
    "pc": "pincode",
}

codecs.lookup("cp437")  # In which a zip names its files: read from a file, while there are any (services.chassis.child).


def read_signed(content: bytes, share_code: str, trusted: Sequence[TrustedCertificate]) -> tuple[dict[str, Any], bytes, str]:
    """The fields of a file that UIDAI has signed, its photo (a JPEG), and the fingerprint of the certificate that it is signed by."""
    root = _root(_unpacked(content, share_code) if content.startswith(ZIP_BEGINS) else content)
    if not trusted:
        raise Invalid("CERTIFICATES_MISSING", "No certificate of UIDAI is trusted here yet; enter her details by hand.", field="content")
    signed = {one: said for one in trusted if (said := signed_xml.signed_by(one, root)) is not None}
    if not signed:
        raise _unsigned()
    fields, photo = _fields(next(iter(signed.values())))  # By whomever it is signed, it is the same that is.
    last4, referenced_at = verified.read_reference(fields["referenceId"])
    signed_by = next((one.fingerprint for one in signed if one.covers(referenced_at)), None)
    if signed_by is None:
        raise Invalid(
            "EKYC_FILE_CERTIFICATE_OUT_OF_TIME",
            "The certificate that signed this file is not trusted for its time; enter her details by hand.",
            field="content",
        )
    verified.read_birth(fields["dob"])
    verified.read_gender(fields["gender"])
    return fields | {"aadhaar_last4": last4, "generated_at": referenced_at.isoformat(timespec="milliseconds")}, photo, signed_by


def _malformed() -> NoReturn:
    raise Invalid(
        "EKYC_FILE_MALFORMED",
        "This is no file of Aadhaar Offline e-KYC that can be read; have it made anew, or enter her details by hand.",
        field="content",
    ) from None


def _too_large() -> NoReturn:
    raise Invalid("EKYC_FILE_TOO_LARGE", "What is in this file is larger than {most} MiB.", field="content", most=XML_BYTES_MAX >> 20)


def _unsigned() -> Invalid:
    return Invalid("EKYC_FILE_SIGNATURE_INVALID", "This file is not signed by UIDAI, or was changed; enter her details by hand.", field="content")


def _wrong_code() -> NoReturn:
    raise Invalid("EKYC_FILE_SHARE_CODE_WRONG", "This share code does not open the file; ask her for it again.", field="share_code") from None


# --- The zip.


def _unpacked(content: bytes, share_code: str) -> bytes:
    """The one file in it, by either encryption. By the old one a wrong code may show only when what comes out cannot be unpacked."""
    code, by_old_encryption = share_code.encode(), False
    if not 0 < len(code) <= SHARE_CODE_LENGTH_MAX:
        _wrong_code()
    try:
        with pyzipper.AESZipFile(io.BytesIO(content)) as file:
            [entry] = file.infolist()
            name, kind = entry.filename.lower(), entry.compress_type
            if kind not in {pyzipper.ZIP_STORED, pyzipper.ZIP_DEFLATED} or not name.endswith(".xml") or set(name) & set("/\\"):
                _malformed()
            if entry.file_size > min(XML_BYTES_MAX, RATIO_MAX * max(entry.compress_size, 1)):
                _too_large()
            by_old_encryption = bool(entry.is_encrypted) and entry.wz_aes_version is None
            with file.open(entry, pwd=code) as packed:
                return bytes(packed.read(XML_BYTES_MAX + 1))
    except NotImplementedError:
        _malformed()
    except RuntimeError:
        _wrong_code()
    except (pyzipper.BadZipFile, zlib.error, ValueError, EOFError, LookupError, OverflowError, struct.error):
        if by_old_encryption:
            _wrong_code()
        _malformed()


# --- The document, before anybody has looked at its signature.


def _root(content: bytes) -> etree._Element:
    """The document, of the one shape that it may have."""
    if len(content) > XML_BYTES_MAX:
        _too_large()
    root = signed_xml.root_of(content)
    if root is None:
        _malformed()
    if root.tag == "OKY":
        raise Invalid(
            "EKYC_FILE_VERSION_UNKNOWN", "This is a file of an old kind; have a new one made, or enter her details by hand.", field="content"
        )
    if root.tag != "OfflinePaperlessKyc" or [child.tag for child in root] not in (["UidData", f"{signed_xml.DS}Signature"], ["UidData"]):
        _malformed()
    if len(root) == 1 or not signed_xml.is_plain(root[1]):
        raise _unsigned()
    return root


# --- What is signed.


def _fields(signed: etree._Element) -> tuple[dict[str, Any], bytes]:
    if signed.tag != "OfflinePaperlessKyc" or [child.tag for child in signed] != ["UidData"]:
        raise _unsigned()
    held = {child.tag: child for child in signed[0]}
    if len(signed[0]) != len(held) or set(held) != {"Poi", "Poa", "Pht"} or any(map(len, held.values())):
        _malformed()
    fields = {"referenceId": signed.get("referenceId", "")}
    for element, names in (("Poi", POI), ("Poa", POA)):
        fields |= {said: held[element].get(name, "") for name, said in names.items()}
    try:
        photo = base64.b64decode(held["Pht"].text or "")
    except ValueError:
        photo = b""  # She is verified without it.
    return fields | {"photo_sha256": hashlib.sha256(photo).hexdigest(), "photo_len": len(photo)}, photo
