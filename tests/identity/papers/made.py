"""Aadhaar QRs of invented women, signed with keys that are made here and thrown away. Their numbers, were they whole, begin with 0 or 1."""

import gzip
import io
import random
from datetime import UTC, datetime
from functools import cache

import zxingcpp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from PIL import Image

from services.identity.adapters.papers import trusted_certificate
from services.identity.adapters.papers.secure_qr import FIELDS, FIELDS_SINCE_2
from services.identity.rules.verified import contact_hash

MOBILE, EMAIL = "9000000001", "Sita.Test@example.in"
WOMAN = {
    "email_mobile_flag": "3",
    "reference_id": "123420240215103015123",
    "name": "Sita Testdevi",
    "dob": "01-02-1985",
    "gender": "F",
    "careof": "W/O: Ramesh Testkumar",
    "district": "Testpur",
    "landmark": "Near Panchayat Bhawan",
    "house": "12-A",
    "location": "Ward 3",
    "pincode": "800001",
    "postoffice": "Testpur SO",
    "state": "Bihar",
    "street": "Main Road",
    "subdistrict": "Test Block",
    "vtc": "Testgaon",
    "mobile_last4": "0001",
}
BEGINS, ENDS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)


@cache
def key(name="UIDAI, in jest"):
    return rsa.generate_private_key(65537, 2048)


@cache
def pem(name="UIDAI, in jest", begins=BEGINS, ends=ENDS):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(subject, subject, key(name).public_key(), x509.random_serial_number(), begins, ends)
    return made.sign(key(name), SHA256()).public_bytes(Encoding.PEM)


def trusted(name="UIDAI, in jest", **window):
    return [trusted_certificate(pem(name), **window)]


@cache
def photo(side=60):
    """A JPEG2000 codestream, as the QR holds one."""
    picture = Image.radial_gradient("L").resize((side, side)).convert("RGB")
    file = io.BytesIO()
    picture.save(file, "JPEG2000", no_jp2=True, quality_mode="rates", quality_layers=[14])
    return file.getvalue()


def signed_part(version="V1", *, picture=None, hashes=None, **changes):
    """What is signed. V1 has the hashes that its flag says, later versions none, unless they are given."""
    woman = WOMAN | {"version": version} | changes
    texts = [woman[name].encode("latin-1") for name in (FIELDS if version == "V1" else FIELDS_SINCE_2)]
    if hashes is None:
        of = {"1": [EMAIL], "2": [MOBILE], "3": [EMAIL, MOBILE]}.get(woman["email_mobile_flag"], []) if version == "V1" else []
        hashes = [bytes.fromhex(contact_hash(contact, woman["reference_id"][:4])) for contact in of]
    return b"\xff".join([*texts, (photo() if picture is None else picture) + b"".join(hashes)])


def sealed(signed, name="UIDAI, in jest"):
    """With the signature behind it."""
    return signed + key(name).sign(signed, padding.PKCS1v15(), SHA256())


def digits(packed):
    """A QR's text of what was packed; `str` refuses numbers as long."""
    number, text = int.from_bytes(packed), []
    while number:
        number, rest = divmod(number, 10**4000)
        text.append(f"{rest:04000}" if number else str(rest))
    return "".join(reversed(text))


def packed(inflated):
    return gzip.compress(inflated, mtime=0)


def secure_qr(version="V1", **changes):
    return digits(packed(sealed(signed_part(version, **changes))))


def legacy_xml(prolog='<?xml version="1.0" encoding="UTF-8"?>', **changes):
    attributes = {"uid": "100000000001", "name": "Sita Testdevi", "gender": "F", "yob": "1985", "lm": "Old well", "pc": "800001"} | changes
    said = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"{prolog} <PrintLetterBarcodeData {said}/>"


def picture(text, scale=3, level="L"):
    """A QR with its quiet zone, grey."""
    made = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=level).to_image(scale=scale)
    return Image.frombytes("L", made.shape[::-1], bytes(memoryview(made)))


def file(image, kind="PNG", **more):
    written = io.BytesIO()
    image.save(written, kind, **more)
    return written.getvalue()


def mutated(content, seed):
    """Bytes with a few of them changed, cut or doubled, the same for a seed."""
    dice, made = random.Random(seed), bytearray(content)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(made)) if made else 0
        match dice.randrange(4):
            case 0:
                made[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del made[at : at + dice.randint(1, 64)]
            case 2:
                made[at:at] = made[at : at + dice.randint(1, 64)]
            case _:
                made[at:at] = dice.randbytes(dice.randint(1, 16))
    return bytes(made)
