"""Answers of UIDAI's online services: what an answer says of itself, and the e-KYC in it that UIDAI has signed."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lxml import etree

from services.identity.adapters.papers import signed_xml
from services.identity.rules import uidai
from services.identity.rules.verified import TrustedCertificate
from services.kernel.errors import Invalid

SAID = ("ret", "code", "txn", "ts", "err")
VALUE_LENGTH_MAX = 400
POI = ("name", "dob", "gender")
POA = {
    "co": "careof",
    "house": "house",
    "street": "street",
    "lm": "landmark",
    "loc": "location",
    "vtc": "vtc",
    "po": "postoffice",
    "subdist": "subdistrict",
    "dist": "district",
    "state": "state",
    "pc": "pincode",
}


def read_answer(content: bytes, expected: str) -> dict[str, Any]:
    """An OtpRes, or the Resp around an e-KYC, which is sealed in it: nobody has signed either."""
    root = _root(content, expected)
    sealed = [child for child in root if _name(child) == "kycRes"]
    return _attributes(root, SAID) | {"sealed": (sealed[0].text or "").strip() if sealed else ""}


def read_kyc(content: bytes, trusted: Sequence[TrustedCertificate]) -> tuple[dict[str, Any], bytes]:
    """What UIDAI has signed of an e-KYC, or of why there is none, and her photo (a JPEG)."""
    root = _root(content, "KycRes")
    signatures = list(root.iter(f"{signed_xml.DS}Signature"))
    if len(signatures) != 1 or signatures[0].getparent() is not root or not signed_xml.is_plain(signatures[0]):
        raise _unsigned()
    signed = {one: said for one in trusted if (said := signed_xml.signed_by(one, root)) is not None}
    if not signed:
        raise _unsigned()
    said = next(iter(signed.values()))  # By whomever it is signed, it is the same that is.
    if _name(said) != "KycRes":
        raise _unsigned()
    answer = _attributes(said, SAID)
    answer["signed_by"] = _signed_by(signed, answer["ts"])
    answer["authentication"] = _authentication(_only(said, "Rar"))
    data = _only(said, "UidData")
    if data is None:
        return answer, b""
    poi, poa = _only(data, "Poi"), _only(data, "Poa")
    if poi is None or poa is None:
        raise _malformed()
    answer |= _attributes(data, ("uid", "tkn")) | {"fields": _attributes(poi, POI)}
    answer["fields"] |= {ours: poa.get(theirs, "")[:VALUE_LENGTH_MAX] for theirs, ours in POA.items()}
    return answer, _decoded(_only(data, "Pht"))


def _root(content: bytes, expected: str) -> etree._Element:
    root = signed_xml.root_of(content)
    if root is None or _name(root) != expected:
        raise _malformed()
    return root


def _signed_by(signed: dict[TrustedCertificate, etree._Element], ts: str) -> str:
    try:
        at = uidai.moment(datetime.fromisoformat(ts))
    except ValueError:
        raise _malformed() from None
    for one in signed:
        if one.covers(at):
            return one.fingerprint
    raise Invalid("EKYC_ANSWER_OUT_OF_TIME", "The certificate that signed this answer is not trusted for its time.", field="content")


def _authentication(within: etree._Element | None) -> str:
    """The error code of the authentication that the e-KYC began with."""
    content = _decoded(within)
    return _attributes(_root(content, "AuthRes"), ("err",))["err"] if content else ""


def _decoded(element: etree._Element | None) -> bytes:
    try:
        return base64.b64decode("" if element is None else element.text or "")
    except ValueError:
        raise _malformed() from None


def _only(parent: etree._Element, name: str) -> etree._Element | None:
    """The one child of that name; two of a name are refused."""
    found = [child for child in parent if _name(child) == name]
    if len(found) > 1:
        raise _malformed()
    return found[0] if found else None


def _attributes(element: etree._Element, names: Sequence[str]) -> dict[str, Any]:
    return {name: element.get(name, "")[:VALUE_LENGTH_MAX] for name in names}


def _name(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _malformed() -> Invalid:
    return Invalid("EKYC_ANSWER_MALFORMED", "This is no answer of UIDAI's online services that can be read.", field="content")


def _unsigned() -> Invalid:
    return Invalid("EKYC_ANSWER_UNSIGNED", "This answer is not signed by UIDAI, or was changed.", field="content")
