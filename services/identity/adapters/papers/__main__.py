"""The child that reads a paper: it is given one request in JSON, and says the fields or the refusal (services/chassis/child.py)."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.chassis import child
from services.identity.adapters.papers import certificate, image, offline_ekyc, secure_qr, uidai
from services.identity.rules.verified import TrustedCertificate

Reader = Callable[[bytes, Sequence[TrustedCertificate], Mapping[str, str]], dict[str, Any]]


def _qr_text(content: bytes, _trusted: Sequence[TrustedCertificate], _more: Mapping[str, str]) -> dict[str, Any]:
    return {"text": image.qr_text(content) if image.is_picture(content) else content.decode(errors="replace")}


def _secure_qr(content: bytes, trusted: Sequence[TrustedCertificate], _more: Mapping[str, str]) -> dict[str, Any]:
    fields, photo, signed_by = secure_qr.read_signed(content.decode(errors="replace"), trusted)
    return {"fields": fields, "portrait": base64.b64encode(image.portrait(photo)).decode(), "signed_by": signed_by}


def _offline_ekyc(content: bytes, trusted: Sequence[TrustedCertificate], more: Mapping[str, str]) -> dict[str, Any]:
    fields, photo, signed_by = offline_ekyc.read_signed(content, more["share_code"], trusted)
    return {"fields": fields, "portrait": base64.b64encode(image.portrait(photo)).decode(), "signed_by": signed_by}


def _online_kyc(content: bytes, trusted: Sequence[TrustedCertificate], _more: Mapping[str, str]) -> dict[str, Any]:
    said, photo = uidai.read_kyc(content, trusted)
    return said | {"portrait": base64.b64encode(image.portrait(photo)).decode()}


READERS: dict[str, Reader] = {
    "qr_text": _qr_text,
    "secure_qr": _secure_qr,
    "offline_ekyc": _offline_ekyc,
    "online_answer": lambda content, _trusted, more: uidai.read_answer(content, more["expected"]),
    "online_kyc": _online_kyc,
    "certificate": lambda content, _trusted, _more: certificate.read(content),
}


def _read(request: bytes) -> dict[str, Any]:
    asked = json.loads(request)
    trusted = [TrustedCertificate(pem, datetime.fromisoformat(begins), datetime.fromisoformat(ends)) for pem, begins, ends in asked["trusted"]]
    return READERS[asked["kind"]](base64.b64decode(asked["content"]), trusted, asked)


if __name__ == "__main__":
    child.answer(_read, "Cryptodome.Cipher._mode_ctr")  # Which the zip's decryption would import when it first decrypts.
