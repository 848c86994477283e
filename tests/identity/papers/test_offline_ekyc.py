"""A file of Offline e-KYC is believed by its signature, over the one shape of a document that it may have; attacks on either are refused in words."""

import base64
import json
import os
import re
import struct
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pytest
import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from services.identity.adapters import papers
from services.identity.adapters.papers import offline_ekyc
from services.identity.rules.verified import Mode
from services.kernel.errors import Invalid, Refused
from services.kernel.month import IST
from tests.identity.papers import made
from tests.identity.papers import made_offline as offline
from tests.identity.papers.made_offline import C14N, DS, ENVELOPED, SHARE_CODE

ROOT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("LOKOS_VECTORS_DIR") or ROOT.parent / "shared/vectors") / "offline_ekyc.json"
SECONDS_MAX = 2
UNSIGNED, MALFORMED, TOO_LARGE = "EKYC_FILE_SIGNATURE_INVALID", "EKYC_FILE_MALFORMED", "EKYC_FILE_TOO_LARGE"
NAME = made.WOMAN["name"]


@pytest.fixture(scope="module")
def vectors():
    if not VECTORS.is_file():
        pytest.skip(f"There is no {VECTORS}; LOKOS_VECTORS_DIR names another folder")
    return json.loads(VECTORS.read_text(encoding="utf-8"))


def read(content, share_code=SHARE_CODE, trusted=None):
    return offline_ekyc.read_signed(content, share_code, made.trusted() if trusted is None else trusted)


def refusal(content, share_code=SHARE_CODE, trusted=None):
    content = content.encode() if isinstance(content, str) else content
    begun = time.monotonic()
    with pytest.raises(Refused) as refused:
        read(content, share_code, trusted)
    assert time.monotonic() - begun < SECONDS_MAX
    assert share_code == "" or share_code not in str(refused.value)
    return refused.value.code


# --- The vectors that others hold us to.


def test_the_vectors_are_taken_and_refused_as_they_say(vectors):
    trusted = [papers.trusted_certificate(vectors["pinned_cert_pem"].encode())]
    expected = {name: said for name, said in vectors["expected"].items() if not name.endswith(("_matches_m", "_matches_e"))}
    zips = [(base64.b64decode(one), vectors["share_code"]) for one in vectors["zips_b64"].values()]
    bare = {name: base64.b64decode(one["xml_b64"]) for name, one in vectors["xml"].items()}
    taken = {name for name, one in vectors["xml"].items() if one["must"] == "accept"}
    assert zips
    assert taken
    assert set(bare) - taken
    for content, code in [*zips, *((bare[name], "") for name in taken)]:
        fields, photo, _ = read(content, code, trusted)
        assert expected.items() <= fields.items()
        assert photo
    for name in set(bare) - taken:
        assert refusal(bare[name], "", trusted) in {UNSIGNED, MALFORMED, "EKYC_FILE_VERSION_UNKNOWN"}, name
    for content, code in zips:
        assert refusal(content, f"{code}x", trusted) == "EKYC_FILE_SHARE_CODE_WRONG"
        assert refusal(content, code, made.trusted()) == UNSIGNED
    said = papers.read_offline_ekyc(
        *zips[0], trusted, mobile=vectors["expected"]["mobile_that_matches_m"], email=vectors["expected"]["email_that_matches_e"]
    )
    assert (said.mobile_matches, said.email_matches) == (True, True)


# --- What is taken.


def test_a_woman_is_who_the_file_says():
    said = papers.read_offline_ekyc(offline.zipped(offline.xml()), SHARE_CODE, made.trusted(), mobile=made.MOBILE, email="other@example.in")
    assert (said.mode, said.name, said.born_on, said.birth_year, said.gender) == (Mode.OFFLINE_EKYC, NAME, date(1985, 2, 1), 1985, "F")
    assert (said.last4, said.referenced_at) == ("1234", datetime(2024, 2, 15, 10, 30, 15, 123000, IST))
    assert (said.mobile_matches, said.email_matches) == (True, False)
    assert said.care_of == "W/O: Ramesh Testkumar"
    assert {part: said.address[part] for part in ("district", "postoffice", "pincode", "location")} == {
        "district": "Testpur",
        "postoffice": "Testpur SO",
        "pincode": "800001",
        "location": "Ward 3",
    }
    assert said.photo.startswith(b"\x89PNG")
    assert said.signed_by == made.trusted()[0].fingerprint


@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("packed", [pyzipper.ZIP_STORED, pyzipper.ZIP_DEFLATED])
def test_every_strength_is_read(bits, packed):
    content = offline.zipped(offline.xml(), bits=bits, packed=packed)
    assert read(content)[0]["name"] == NAME
    assert refusal(content, "AB1D") == "EKYC_FILE_SHARE_CODE_WRONG"


def test_the_old_encryption_is_read_and_no_wrong_code_opens_it():
    content = offline.old_zip(offline.xml())
    assert read(content)[0]["name"] == NAME
    # One in 256 passes the zip's own check, and shows when it is unpacked.
    assert {refusal(content, f"{number:04}") for number in range(1000)} == {"EKYC_FILE_SHARE_CODE_WRONG"}


def test_the_old_encryption_is_read_by_the_child_too():
    assert papers.read_offline_ekyc(offline.old_zip(offline.xml()), SHARE_CODE, made.trusted()).name == NAME


@pytest.mark.parametrize("code", ["", "x" * 65, "ab1d", " Ab1d", "क" * 30])
def test_a_share_code_is_right_or_wrong(code):
    assert refusal(offline.zipped(offline.xml()), code) == "EKYC_FILE_SHARE_CODE_WRONG"


def test_the_document_alone_or_in_an_open_zip_needs_no_share_code():
    assert read(offline.xml(), "")[0] == read(offline.zipped(offline.xml(), bits=0))[0] == read(offline.signed().encode())[0]


def test_contacts_that_are_not_there_are_nothing_to_compare():
    said = papers.read_offline_ekyc(offline.xml(offline.document(m="", e="")), SHARE_CODE, made.trusted(), mobile=made.MOBILE, email=made.EMAIL)
    assert (said.mobile_matches, said.email_matches) == (None, None)


def test_a_name_in_her_own_script_and_what_must_be_escaped():
    name = "सीता & 'Devi' <\"x\">\N{ZERO WIDTH JOINER}"
    assert read(offline.xml(offline.document(name=name)))[0]["name"] == name


def test_a_photo_that_does_not_decode_is_left_out():
    for photo in (b"", b"no photo", b"\xff\xd8\xff" + bytes(100)):
        assert papers.read_offline_ekyc(offline.xml(offline.document(photo=photo)), SHARE_CODE, made.trusted()).photo == b""


# --- Who has signed, and when.


def test_another_signer_or_none_is_refused():
    assert refusal(offline.xml(name="somebody else")) == UNSIGNED
    assert refusal(offline.xml(name="somebody else", key_info=offline.key_info("somebody else"))) == UNSIGNED
    assert refusal(offline.xml(), trusted=[]) == "CERTIFICATES_MISSING"
    assert refusal(offline.document()) == UNSIGNED
    # What keys a good file brings along counts for nothing either way.
    assert read(offline.xml(key_info=offline.key_info("somebody else")))[0]["name"] == NAME


def test_a_certificate_is_trusted_for_its_window_both_ends_included():
    window = {"trusted_from": date(2024, 2, 15), "trusted_until": date(2024, 2, 15)}
    assert read(offline.xml(), trusted=made.trusted(**window))
    for day in (date(2024, 2, 14), date(2024, 2, 16)):
        assert refusal(offline.xml(), trusted=made.trusted(trusted_from=day, trusted_until=day)) == "EKYC_FILE_CERTIFICATE_OUT_OF_TIME"
    both = [*made.trusted(trusted_until=date(2020, 1, 1)), *made.trusted("somebody else")]
    assert refusal(offline.xml(), trusted=both) == "EKYC_FILE_CERTIFICATE_OUT_OF_TIME"
    assert read(offline.xml(name="somebody else"), trusted=both)[2] == both[1].fingerprint


def test_algorithms_that_are_not_uidais_are_refused():
    assert refusal(offline.xml(method=offline.RSA_SHA1)) == UNSIGNED
    for method in (f"{DS}hmac-sha1", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", f"{DS}dsa-sha1", "urn:none", ""):
        assert refusal(offline.xml(method=method)) == UNSIGNED
    for digest in (f"{DS}sha1", "http://www.w3.org/2001/04/xmlenc#sha512", "urn:none", ""):
        assert refusal(offline.xml(digest=digest)) == UNSIGNED


@pytest.mark.parametrize(
    "transforms",
    [
        (),
        (C14N,),
        (ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        (ENVELOPED, "http://www.w3.org/TR/1999/REC-xpath-19991116"),
        (ENVELOPED, "http://www.w3.org/2002/06/xmldsig-filter2"),
        (ENVELOPED, f"{DS}base64"),
        (ENVELOPED, C14N, f"{DS}base64"),
        (ENVELOPED, f"{C14N}#WithComments"),
        (ENVELOPED, *[C14N] * 50),
    ],
)
def test_nothing_is_done_to_the_document_before_it_is_digested_but_what_uidai_does(transforms):
    assert refusal(offline.xml(transforms=transforms)) == UNSIGNED


def test_every_field_is_signed():
    good = offline.xml().decode()
    for before in ("Sita", "1985", 'gender="F"', "Testpur SO", "1234", "<Pht>/9j"):
        assert before in good
        changed = good.replace(before, before.translate(str.maketrans("S1Fj", "T2Mk")), 1)
        assert changed != good
        assert refusal(changed) == UNSIGNED


# --- The signature and what it signs taken apart.

FORGED = offline.document(name="Another Woman")
GOOD = offline.signed()
SIGNATURE = offline.signature(offline.canonical(offline.document()))
BODY = offline.document()


def in_root(inside, **attributes):
    said = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<OfflinePaperlessKyc referenceId="{offline.REFERENCE}"{said}>{inside}</OfflinePaperlessKyc>'


def data_of(document):
    return re.search("<UidData>.*</UidData>", document)[0]


WRAPPED = {
    "the signature over another document": offline.sealed(FORGED, SIGNATURE),
    "the good document within a forged one": in_root(data_of(FORGED) + GOOD),
    "the good document within the forged data": in_root(data_of(FORGED).replace("</UidData>", f"{GOOD}</UidData>")),
    "the good document in the signature's object": offline.sealed(
        FORGED, SIGNATURE.replace("</Signature>", f'<Object xmlns="{DS}">{BODY}</Object></Signature>')
    ),
    "the signature within the data": in_root(data_of(FORGED).replace("</UidData>", f"{SIGNATURE}</UidData>")),
    "the signature first": in_root(SIGNATURE + data_of(BODY)),
    "the signature within a wrapper": in_root(f"{data_of(BODY)}<Extensions>{SIGNATURE}</Extensions>"),
    "two signatures": offline.sealed(GOOD, SIGNATURE),
    "two signatures, the first another's": offline.sealed(offline.sealed(BODY, offline.signature(b"", "somebody else")), SIGNATURE),
    "a signature in the signature": offline.sealed(FORGED, SIGNATURE.replace("<SignedInfo>", f"{SIGNATURE}<SignedInfo>", 1)),
    "two lots of data": in_root(data_of(FORGED) + data_of(BODY) + SIGNATURE),
    "two lots of data, the forged one last": in_root(data_of(BODY) + data_of(FORGED) + SIGNATURE),
    "another root": f"<Wrapper>{GOOD}</Wrapper>",
    "the signature as root": SIGNATURE,
    "two roots": GOOD + GOOD,
    "a root in a namespace": GOOD.replace("<OfflinePaperlessKyc ", '<OfflinePaperlessKyc xmlns="urn:x" ', 1),
    "data in a namespace": GOOD.replace("<UidData>", '<UidData xmlns="urn:x">', 1),
    "an empty namespace": GOOD.replace("<UidData>", '<UidData xmlns="">', 1),
    "another reference id": GOOD.replace("1234", "1235", 1),
    "text between": GOOD.replace("<UidData>", "some text<UidData>", 1),
    "a comment in the name": GOOD.replace("Sita", "Si<!-- -->ta", 1),
    "a comment between": GOOD.replace("<UidData>", "<!-- --><UidData>", 1),
    "an instruction between": GOOD.replace("<UidData>", "<?x y?><UidData>", 1),
    "a CDATA section in the photo": GOOD.replace("<Pht>", "<Pht><![CDATA[", 1).replace("</Pht>", "]]></Pht>", 1),
    "an attribute twice": GOOD.replace("<Poi ", '<Poi name="Another Woman" ', 1),
    "an attribute of a namespace": GOOD.replace("<Poi ", '<Poi xmlns:a="urn:a" a:name="Another Woman" ', 1),
    "a second person": GOOD.replace("<Poa ", '<Poi name="Another Woman"/><Poa ', 1),
    "an inclusion": GOOD.replace("<UidData>", '<UidData><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname"/>', 1),
    "no signed info": offline.sealed(BODY, f'<Signature xmlns="{DS}"/>'),
    "no value of the signature": offline.sealed(BODY, re.sub("<SignatureValue>.*</SignatureValue>", "<SignatureValue/>", SIGNATURE)),
    "no digest": offline.sealed(BODY, re.sub("<DigestValue>.*</DigestValue>", "<DigestValue/>", SIGNATURE)),
    "no reference": offline.sealed(BODY, re.sub("<Reference.*</Reference>", "", SIGNATURE)),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_no_signature_counts_for_what_it_does_not_sign(how):
    assert refusal(WRAPPED[how]) in {UNSIGNED, MALFORMED}


@pytest.mark.parametrize("uri", ["#x", "#xpointer(/)", "#xpointer(id('x'))", "", "file:///etc/hostname", "http://127.0.0.1/", "#"])
def test_no_reference_but_to_the_whole_document_counts(uri):
    """UIDAI's own key, over a part that names itself; the forged data stands where data is read."""
    part = f'<UidData Id="x">{data_of(BODY)[9:]}'
    digested = offline.canonical(part if uri else BODY)
    made_up = offline.signature(digested, uri=uri, transforms=(C14N, ENVELOPED) if uri else (C14N,))
    assert refusal(in_root(f"{data_of(FORGED)}{made_up.replace('</Signature>', f'<Object>{part}</Object></Signature>')}")) == UNSIGNED
    assert refusal(in_root(part + made_up)) == UNSIGNED
    assert refusal(in_root(data_of(FORGED) + made_up)) == UNSIGNED


def test_two_references_are_one_too_many():
    other = offline.signature(offline.canonical(BODY))
    again = re.search("<Reference.*</Reference>", other)[0]
    assert refusal(offline.signed(reference=again)) == UNSIGNED


def test_what_is_read_is_what_was_digested():
    """Even where UIDAI's key has signed something that is no such document."""
    for text in (in_root("<Other/>"), in_root(data_of(BODY) * 2), BODY.replace("<Pht>", "<Pht><b/>", 1), BODY.replace("<Poa ", "<Poz ", 1)):
        assert refusal(offline.xml(text)) in {UNSIGNED, MALFORMED}
    assert refusal(offline.xml(in_root(data_of(BODY)).replace("referenceId", "referenceid"))) == "EVIDENCE_REFERENCE_INVALID"
    assert refusal(offline.xml(offline.document(dob="31-02-1985"))) == "EVIDENCE_BIRTH_INVALID"
    assert refusal(offline.xml(offline.document(gender="X"))) == "EVIDENCE_GENDER_INVALID"


# --- What XML can do to whoever reads it.

LAUGHS = '<!ENTITY l0 "ha">' + "".join(f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">' for n in range(1, 10))
HOSTILE = {
    "a billion laughs": f"<!DOCTYPE x [{LAUGHS}]>" + GOOD.replace("<Pht>", "<Pht>&l9;", 1),
    "a billion laughs in an attribute": f"<!DOCTYPE x [{LAUGHS}]>" + GOOD.replace(NAME, "&l9;", 1),
    "one long entity many times": f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>' + GOOD.replace("<Pht>", "<Pht>" + "&a;" * 20_000, 1),
    "a file": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + GOOD.replace("<Pht>", "<Pht>&e;", 1),
    "an address": '<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:1/">]>' + GOOD.replace("<Pht>", "<Pht>&e;", 1),
    "a DTD from elsewhere": '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">' + GOOD,
    "a parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>' + GOOD,
    "an attribute by default": f'<!DOCTYPE OfflinePaperlessKyc [<!ATTLIST Poi name CDATA "x">]>{GOOD}',
    "a stylesheet": '<?xml-stylesheet href="http://127.0.0.1:1/"?>' + GOOD,
    "an unknown entity": GOOD.replace(NAME, "&sita;", 1),
    "depth": "<a>" * 100_000,
    "width": in_root("<a/>" * 100_000),
    "attributes": "<OfflinePaperlessKyc " + " ".join(f'a{n}="{n}"' for n in range(100_000)) + "/>",
    "a long name": f"<{'a' * 1_000_000}/>",
    "namespaces": "<OfflinePaperlessKyc " + " ".join(f'xmlns:a{n}="urn:{n}"' for n in range(50_000)) + "/>",
    "version 1.1": '<?xml version="2.0"?>' + GOOD,
    "no character": GOOD.replace("Sita", "Si\x00ta", 1),
    "a character that XML has not": GOOD.replace("Sita", "Si&#0;ta", 1),
    "half of a pair": GOOD.replace("Sita", "Si&#xD800;ta", 1),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_xml_is_refused_soon(how):
    assert refusal(HOSTILE[how]) in {MALFORMED, UNSIGNED, TOO_LARGE}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037", "latin-1"])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_not_utf_8_is_refused(encoding, named):
    text = (f'<?xml version="1.0" encoding="{encoding}"?>' if named else "") + offline.signed(offline.document(name="Sitä"))
    assert refusal(text.encode(encoding)) in {MALFORMED, UNSIGNED}


def test_a_declared_encoding_hides_no_doctype():
    hidden = '<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x [+ADwAIQ-ENTITY e SYSTEM "file:///etc/hostname"+AD4]+AD4' + GOOD
    assert refusal(hidden) == MALFORMED


@pytest.mark.parametrize("content", [b" ", b"<", b"PK", b"PK\x03\x04", b"%PDF-1.7", b"\xff\xfe", b"{}", bytes(1000), b"\x1f\x8b" + bytes(20)])
def test_what_is_no_file_of_offline_ekyc_is_refused(content):
    assert refusal(content) == MALFORMED


def test_the_kind_of_2018_is_named():
    assert refusal('<OKY v="1.0" n="Sita Testdevi" r="1234" i="" d="" e="" m="" g="F" a="" s=""/>') == "EKYC_FILE_VERSION_UNKNOWN"


# --- What a zip can do.


def lying(content, *, size=None, at_central=22, at_local=22):
    """A zip whose headers say another size of what is in it."""
    made_up = bytearray(content)
    for begins, at in ((content.index(b"PK\x03\x04"), at_local), (content.index(b"PK\x01\x02"), at_central + 2)):
        struct.pack_into("<L", made_up, begins + at, size)
    return bytes(made_up)


BOMB = offline.zipped(b"<" + b" " * (offline_ekyc.XML_BYTES_MAX - 2))
ZIPS = {
    "a bomb": (offline.zipped(bytes(50_000_000)), TOO_LARGE),
    "a bomb of just the size": (BOMB, TOO_LARGE),
    "a bomb that says it is small": (lying(offline.zipped(bytes(50_000_000)), size=1000), MALFORMED),
    "a file that says it is small": (lying(offline.zipped(offline.xml()), size=100), MALFORMED),
    "a file that says it is large": (lying(offline.zipped(offline.xml()), size=2**31), TOO_LARGE),
    "a zip in a zip": (offline.zipped(offline.zipped(bytes(1_000_000))), MALFORMED),
    "two files": (offline.zipped(offline.xml(), names=("a.xml", "b.xml")), MALFORMED),
    "a thousand files": (offline.zipped(b"x", names=[f"{n}.xml" for n in range(1000)]), MALFORMED),
    "no file": (offline.zipped(b"", names=()), MALFORMED),
    "a path upwards": (offline.zipped(offline.xml(), names=("../../etc/cron.d/x.xml",)), MALFORMED),
    "a path of Windows": (offline.zipped(offline.xml(), names=("..\\x.xml",)), MALFORMED),
    "a program": (offline.zipped(offline.xml(), names=("x.exe",)), MALFORMED),
    "bzip2": (offline.zipped(offline.xml(), packed=pyzipper.ZIP_BZIP2), MALFORMED),
    "LZMA": (offline.zipped(offline.xml(), packed=pyzipper.ZIP_LZMA), MALFORMED),
    "the end cut off": (offline.zipped(offline.xml())[:-30], MALFORMED),
    "the beginning cut off": (b"PK" + offline.zipped(offline.xml())[100:], MALFORMED),
    "something before it": (b"MZ" + offline.zipped(offline.xml()), MALFORMED),
    "empty": (b"PK\x05\x06" + bytes(18), MALFORMED),
    "nothing in it": (offline.zipped(b""), MALFORMED),
}


@pytest.mark.parametrize("how", ZIPS)
def test_hostile_zips_are_refused_soon(how):
    content, code = ZIPS[how]
    assert refusal(content) == code


def test_a_byte_that_was_changed_within_a_zip_is_seen():
    good = bytearray(offline.zipped(offline.xml()))
    good[len(good) // 2] ^= 1
    assert refusal(bytes(good)) == MALFORMED


def test_a_large_file_ends_no_process_but_the_childs():
    for content in (offline.zipped(bytes(50_000_000)), HOSTILE["depth"].encode(), HOSTILE["attributes"].encode()):
        with pytest.raises(Invalid) as refused:
            papers.read_offline_ekyc(content, SHARE_CODE, made.trusted())
        assert refused.value.code in {TOO_LARGE, MALFORMED, "EVIDENCE_UNREADABLE"}
    with pytest.raises(Invalid) as refused:
        papers.read_offline_ekyc(bytes(papers.CONTENT_BYTES_MAX + 1), SHARE_CODE, made.trusted())
    assert refused.value.code == "EVIDENCE_TOO_LARGE"


# --- Whatever comes.


@given(seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_no_change_of_the_document_is_taken_for_another(seed):
    content = made.mutated(offline.xml(), seed)
    try:
        fields, _photo, _ = read(content)
    except Refused:
        return
    assert fields == read(offline.xml())[0]  # Only what is not signed was changed: spaces, the keys that it brings.


@given(seed=st.integers(0, 2**32), is_old=st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_change_of_the_zip_is_taken_for_another(seed, is_old):
    good = offline.old_zip(offline.xml()) if is_old else offline.zipped(offline.xml())
    try:
        fields, _photo, _ = read(made.mutated(good, seed))
    except Refused:
        return
    assert fields == read(offline.xml())[0]


@given(
    content=st.binary(max_size=2000) | st.text(max_size=500).map(lambda text: text.encode(errors="surrogatepass")),
    head=st.sampled_from([b"", b"PK", b"<"]),
)
@settings(max_examples=300, deadline=None)
def test_nothing_else_is_taken(content, head):
    with pytest.raises(Refused):
        read(head + content)


# --- At the command line.


def check(*arguments, stdin=b""):
    command = [sys.executable, "-m", "services.identity", "check", "offline-ekyc", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=ROOT, env={"PATH": os.environ["PATH"]}, check=False, timeout=60)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_anybody_checks_a_file_at_the_command_line(tmp_path):
    file, trust = tmp_path / "file.zip", tmp_path / "trust.pem"
    file.write_bytes(offline.zipped(offline.xml()))
    trust.write_bytes(made.pem())
    status, said = check(file, "--share-code", SHARE_CODE, "--trust", trust)
    assert (status, said["name"], said["referenceId"], said["aadhaar_last4"]) == (0, NAME, offline.REFERENCE, "1234")
    assert said["generated_at"] == "2024-02-15T10:30:15.123+05:30"
    assert check("-", "--trust", trust, stdin=offline.xml()) == (0, said)
    refused = {
        "EKYC_FILE_SHARE_CODE_WRONG": (file, "--share-code", "wrong", "--trust", trust),
        "CERTIFICATES_MISSING": (file, "--share-code", SHARE_CODE),
        "EKYC_FILE_CERTIFICATE_OUT_OF_TIME": (file, "--share-code", SHARE_CODE, "--trust", trust, "--trusted-until", "2024-02-14"),
        "FILE_UNREADABLE": (tmp_path / "none.zip", "--trust", trust),
    }
    assert {check(*arguments)[1]["refused"] for arguments in refused.values()} == set(refused)
    assert {check(*arguments)[0] for arguments in refused.values()} == {1}
