"""A certificate from a stranger: one X.509, in PEM or DER, with an RSA key that is long enough, and what it says of itself."""

import hashlib
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.errors import Invalid

KEY_BITS_MIN = 2048
DER = b"\x30\x82"  # How every DER of such a length begins, and no text.
SUBJECT_LENGTH_MAX = 200


def load(content: bytes, field: str) -> x509.Certificate:
    """The one certificate that is there."""
    try:
        [certificate] = [x509.load_der_x509_certificate(content)] if content.startswith(DER) else x509.load_pem_x509_certificates(content)
        key = certificate.public_key()
        certificate.subject.rfc4514_string()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < KEY_BITS_MIN:
        raise Invalid(
            "CERTIFICATE_UNREADABLE", "This is no certificate in PEM or DER with an RSA key of {least} bits.", field=field, least=KEY_BITS_MIN
        )
    return certificate


def read(content: bytes) -> dict[str, Any]:
    certificate = load(content, "certificate")
    return {
        "fingerprint": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        "pem": certificate.public_bytes(Encoding.PEM).decode(),  # Itself alone, and nothing that stood around it.
        "subject": certificate.subject.rfc4514_string()[:SUBJECT_LENGTH_MAX],
        "valid_from": certificate.not_valid_before_utc.isoformat(),
        "valid_until": certificate.not_valid_after_utc.isoformat(),
    }
