"""Texts that nobody would write, made by what they make the parsers do: python -m tests.fuzz.papers TARGET --seconds 30

Anything but a refusal, a second for one of them, or half a gigabyte ends it, and the text is left in run/fuzz.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris
from lxml import etree

with atheris.instrument_imports(include=["services.identity", "services.kernel", "xml", "defusedxml", "signxml", "pyzipper"]):
    from services.identity.adapters.papers import offline_ekyc, secure_qr
    from services.identity.adapters.papers import uidai as online_ekyc
    from services.identity.adapters.uidai import KeyFiles, opened
    from services.identity.rules import verified
    from services.kernel.errors import Refused
    from tests.identity.papers import made
    from tests.identity.papers import made_offline as offline

TRUSTED = made.trusted()
LEFT = Path(__file__).parents[2] / "run/fuzz"


def refuse(text):
    try:
        secure_qr.read(text, TRUSTED)
    except Refused:
        return
    raise AssertionError("taken")


def try_qr(data):
    """Into each layer of a QR: the digits, what is packed, what that holds, and what UIDAI might have signed."""
    layer, content = data[:1], data[1:]
    if layer == b"d":
        refuse(content.decode("latin-1"))
    elif layer == b"g":
        refuse(made.digits(content))
    elif layer == b"i":
        refuse(made.digits(made.packed(content)))
    else:
        try:
            fields, _ = secure_qr.read(made.digits(made.packed(made.sealed(content))), TRUSTED)
        except Refused:
            return
        verified.mobile_ends_alike(fields["mobile_last4"] or "", made.MOBILE)
        verified.contact_matches(fields["email_hash"] or "", made.EMAIL, fields["aadhaar_last4"])


def try_xml(data):
    refuse("<" + data.decode(errors="surrogateescape"))


def try_offline(data):
    """A zip, the document in one under the right code, or the document with a signature of UIDAI's over it."""
    layer, content = data[:1], data[1:]
    if layer == b"z":
        content = b"PK" + content
    elif layer == b"p":
        content = offline.zipped(content, bits=0)
    elif layer == b"s":
        try:
            content = offline.xml(content.decode())
        except (ValueError, etree.XMLSyntaxError):
            return
    try:
        fields, _photo, _ = offline_ekyc.read_signed(content, offline.SHARE_CODE, TRUSTED)
    except Refused:
        return
    if layer != b"s" and fields != KNOWN:
        raise AssertionError("taken")
    verified.contact_matches(fields["m"], made.MOBILE, fields["aadhaar_last4"], offline.SHARE_CODE)


def try_online(data):
    """What UIDAI answers: around its envelope, the envelope, what is in it, and that with a signature of UIDAI's over it."""
    layer, content = data[:1], data[1:]
    if layer == b"e":
        try:
            opened(content, OURS)
        except ValueError:
            return
        raise AssertionError("taken")
    if layer == b"s":
        try:
            content = offline.xml(content.decode())
        except (ValueError, etree.LxmlError):  # The canonical form takes less than a parser does.
            return
    try:
        if layer == b"a":
            online_ekyc.read_answer(content, "Resp")
            return
        answer, _photo = online_ekyc.read_kyc(content, TRUSTED)
    except Refused:
        return
    if layer != b"s" and answer != ANSWER:
        raise AssertionError("taken")


OURS = KeyFiles("", made.key("an AUA, in jest"), made.key("an AUA, in jest"))
KYC = (
    '<KycRes xmlns="http://www.uidai.gov.in/kyc/uid-kyc-response/1.0" ret="y" code="1" txn="UKC:1" ts="2026-07-01T17:30:00.000+05:30">'
    '<Rar>PEF1dGhSZXMgcmV0PSJ5Ii8+</Rar><UidData tkn="01" uid="XXXXXXXX0019"><Poi dob="01-02-1985" gender="F" name="Sita Testdevi"/>'
    '<Poa co="" dist="Testpur"/><LData/><Pht></Pht></UidData></KycRes>'
)
ANSWER, _ = online_ekyc.read_kyc(offline.xml(KYC), TRUSTED)
SMALL = offline.document(photo=b"")
KNOWN, _PHOTO, _ = offline_ekyc.read_signed(offline.xml(SMALL), offline.SHARE_CODE, TRUSTED)
SIGNED = [made.signed_part(version) for version in ("V1", "V2", "V5")]
TARGETS = {
    "secure_qr": (
        try_qr,
        [
            *(b"s" + one for one in SIGNED),
            *(b"i" + made.sealed(one, "somebody else") for one in SIGNED),
            *(b"g" + made.packed(made.sealed(one, "somebody else")) for one in SIGNED),
            b"d" + made.digits(made.packed(made.sealed(SIGNED[0], "somebody else"))).encode(),
            b"d1000 0000 0001",
        ],
    ),
    "offline_ekyc": (
        try_offline,
        [
            b"x" + offline.xml(SMALL),
            b"p" + offline.xml(SMALL),
            b"s" + SMALL.encode(),
            b"z" + offline.zipped(offline.xml(SMALL))[2:],
            b"z" + offline.old_zip(offline.xml(SMALL))[2:],
        ],
    ),
    "online_ekyc": (
        try_online,
        [
            b"k" + offline.xml(KYC),
            b"s" + KYC.encode(),
            b'a<Resp ret="n" err="K-100" txn="UKC:1"><kycRes>AAAA</kycRes></Resp>',
            b"eVERSION_1.0" + OURS.opens + bytes(400),
        ],
    ),
    "legacy_xml": (
        try_xml,
        [made.legacy_xml(prolog)[1:].encode() for prolog in ("", '<?xml version="1.0"?>', '</?xml version="1.0"?">', "<!DOCTYPE x>")],
    ),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.papers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=30)
    chosen = parser.parse_args()
    attempt, seeds = TARGETS[chosen.target]
    LEFT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={chosen.seconds}", "-timeout=1", "-rss_limit_mb=512", "-max_len=4096", f"-artifact_prefix={LEFT}/"]
        atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", corpus], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
