"""Files of Paperless Offline e-KYC of invented women, signed as UIDAI signs, with keys that are made here and thrown away."""

import base64
import hashlib
import io
import struct
import zlib

import pyzipper
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from lxml import etree
from PIL import Image

from services.identity.rules.verified import contact_hash
from tests.identity.papers import made

SHARE_CODE = "Ab1d"
REFERENCE = made.WOMAN["reference_id"]
DS = "http://www.w3.org/2000/09/xmldsig#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1 = f"{DS}rsa-sha1"
SHA256_URI = "http://www.w3.org/2001/04/xmlenc#sha256"
DECLARATION = "<?xml version='1.0' encoding='UTF-8' standalone='no'?>\n"
TRANSFORMS = (ENVELOPED, C14N)
POA = {
    "careof": "W/O: Ramesh Testkumar",
    "country": "India",
    "dist": "Testpur",
    "house": "12-A",
    "landmark": "Near Panchayat Bhawan",
    "loc": "Ward 3",
    "pc": "800001",
    "po": "Testpur SO",
    "state": "Bihar",
    "street": "Main Road",
    "subdist": "Test Block",
    "vtc": "Testgaon",
}


def portrait():
    file = io.BytesIO()
    Image.radial_gradient("L").resize((160, 200)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def element(tag, attributes):
    return etree.tostring(etree.Element(tag, attributes), encoding="unicode")


def document(share_code=SHARE_CODE, reference=REFERENCE, photo=None, **poi):
    """What is signed."""
    contacts = {name: contact_hash(one, reference[:4], share_code) for name, one in (("m", made.MOBILE), ("e", made.EMAIL))}
    who = {"dob": "01-02-1985", **contacts, "gender": "F", "name": made.WOMAN["name"]} | poi
    picture = base64.b64encode(portrait() if photo is None else photo).decode()
    data = f"<UidData>{element('Poi', who)}{element('Poa', POA)}<Pht>{picture}</Pht></UidData>"
    return f'<OfflinePaperlessKyc referenceId="{reference}">{data}</OfflinePaperlessKyc>'


def canonical(text):
    return etree.tostring(etree.fromstring(text.encode()), method="c14n")


def signature(digested, name="UIDAI, in jest", *, method=RSA_SHA256, uri="", transforms=TRANSFORMS, digest=SHA256_URI, key_info="", reference=""):
    """A Signature element over what is digested (bytes), by a key of ours."""
    chain = "".join(f'<Transform Algorithm="{one}"/>' for one in transforms)
    value = base64.b64encode(hashlib.sha256(digested).digest()).decode()
    made_of = f'<Transforms>{chain}</Transforms><DigestMethod Algorithm="{digest}"/><DigestValue>{value}</DigestValue>'
    how = f'<CanonicalizationMethod Algorithm="{C14N}"/><SignatureMethod Algorithm="{method}"/>'
    info = f'{how}<Reference URI="{uri}">{made_of}</Reference>{reference}</SignedInfo>'
    hashed = SHA1() if method == RSA_SHA1 else SHA256()
    value = base64.b64encode(made.key(name).sign(canonical(f'<SignedInfo xmlns="{DS}">{info}'), padding.PKCS1v15(), hashed)).decode()
    return f'<Signature xmlns="{DS}"><SignedInfo>{info}<SignatureValue>{value}</SignatureValue>{key_info}</Signature>'


def sealed(text, signed):
    """The document with a signature as its root's last child."""
    end = text.rindex("</")
    return text[:end] + signed + text[end:]


def signed(text=None, name="UIDAI, in jest", **how):
    text = document() if text is None else text
    return sealed(text, signature(canonical(text), name, **how))


def xml(text=None, name="UIDAI, in jest", **how):
    return (DECLARATION + signed(text, name, **how)).encode()


def key_info(name):
    """A KeyInfo that brings its own certificate."""
    body = "".join(made.pem(name).decode().splitlines()[1:-1])
    return f"<KeyInfo><X509Data><X509Certificate>{body}</X509Certificate></X509Data></KeyInfo>"


def zipped(content, share_code=SHARE_CODE, *, bits=256, names=("offlineaadhaar.xml",), packed=pyzipper.ZIP_DEFLATED):
    """A zip under a share code by AES; of 0 bits it is open."""
    file = io.BytesIO()
    with pyzipper.AESZipFile(file, "w", compression=packed) as into:
        if bits:
            into.setpassword(share_code.encode())
            into.setencryption(pyzipper.WZ_AES, nbits=bits)
        for name in names:
            into.writestr(name, content)
    return file.getvalue()


def old_zip(content, share_code=SHARE_CODE, name=b"offlineaadhaar.xml"):
    """A zip by the old encryption (PKWARE), which the library reads and does not write."""

    def table(value):
        for _ in range(8):
            value = (value >> 1) ^ 0xEDB88320 if value & 1 else value >> 1
        return value

    crcs = [table(number) for number in range(256)]
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte):
        keys[0] = (keys[0] >> 8) ^ crcs[(keys[0] ^ byte) & 255]
        keys[1] = ((keys[1] + (keys[0] & 255)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = (keys[2] >> 8) ^ crcs[(keys[2] ^ (keys[1] >> 24)) & 255]

    for byte in share_code.encode():
        update(byte)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body, crc = deflate.compress(content) + deflate.flush(), zlib.crc32(content)
    hidden = bytearray()
    for byte in bytes(11) + bytes([crc >> 24]) + body:
        mask = keys[2] | 2
        hidden.append(byte ^ (((mask * (mask ^ 1)) >> 8) & 255))
        update(byte)
    sizes = struct.pack("<LLL", crc, len(hidden), len(content))
    head = struct.pack("<HHHHH", 20, 1, 8, 0, 33) + sizes + struct.pack("<HH", len(name), 0)
    local = b"PK\x03\x04" + head + name + bytes(hidden)
    central = b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local), 0)
