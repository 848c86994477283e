"""What an Aadhaar QR says is believed by its signature alone; whatever else a stranger writes into one is refused in words."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
import zlib
from datetime import date, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from services.identity.adapters import papers
from services.identity.adapters.papers import secure_qr
from services.identity.rules import verified
from services.identity.rules.verified import Mode, contact_hash, contact_matches, mobile_ends_alike, read_birth, read_reference
from services.kernel.errors import Invalid, Refused
from services.kernel.month import IST
from tests.identity.papers import made

ROOT = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("LOKOS_VECTORS_DIR") or ROOT.parent / "shared/vectors") / "secure_qr.json"
SECONDS_MAX = 1  # For whatever text of a QR there is, and then some.


@pytest.fixture(scope="module")
def vectors():
    if not VECTORS.is_file():
        pytest.skip(f"There is no {VECTORS}; LOKOS_VECTORS_DIR names another folder")
    return json.loads(VECTORS.read_text(encoding="utf-8"))


def refusal(text, trusted=None):
    with pytest.raises(Refused) as refused:
        secure_qr.read(text, made.trusted() if trusted is None else trusted)
    assert str(refused.value)
    return refused.value.code


# --- The vectors that others hold us to.


def test_the_vectors_are_read_as_they_say(vectors):
    trusted = [papers.trusted_certificate(vectors["test_cert_pem"].encode())]
    assert {vector["expected"]["version"] for vector in vectors["vectors"]} >= {"V1", "V2", "V5"}
    for vector in vectors["vectors"]:
        fields, photo = secure_qr.read(vector["qr_text"], trusted)
        expected = {name: value for name, value in vector["expected"].items() if name not in {"raw_len", "signature_valid_with"}}
        assert fields == expected, vector["id"]
        assert len(photo) == expected["photo_len"]
        assert refusal(vector["qr_text"], made.trusted()) == "QR_SIGNATURE_INVALID"


def test_the_vectors_that_must_be_refused_are(vectors):
    trusted = [papers.trusted_certificate(vectors["test_cert_pem"].encode())]
    assert {one["id"]: refusal(one["qr_text"], trusted) for one in vectors["negatives"]} == {
        "tampered_name": "QR_SIGNATURE_INVALID",
        "truncated_gzip": "QR_MALFORMED",
        "too_few_fields": "QR_MALFORMED",
        "uid_number_only": "QR_NUMBER_ONLY",
    }
    for old in vectors["legacy_xml"]:
        with pytest.raises(Invalid) as refused:
            secure_qr.read(old["qr_text"], trusted)
        assert old["expected"].items() <= refused.value.params.items()
        assert "999999990019" not in str(refused.value.params)


def test_contacts_are_hashed_as_the_vectors_say(vectors):
    for one in vectors["hash_kat"]["secure_qr"]:
        assert contact_hash(one["value"], f"000{one['last_digit']}") == one["sha256_hex"]
    example = vectors["hash_kat"]["offline_xml"]["uidai_published_example"]
    assert contact_hash(example["mobile"], example["aadhaar_last4"], example["share_code"]) == example["sha256_hex"]


# --- Our own.


@pytest.mark.parametrize(("version", "flag"), list(product(["V1", "V2", "V3", "V4", "V5", "V9", "V12"], "0123")))
def test_every_version_and_flag_is_read(version, flag):
    fields, photo = secure_qr.read(made.secure_qr(version, email_mobile_flag=flag), made.trusted())
    assert (fields["version"], fields["email_mobile_flag"], fields["vtc"], photo) == (version, int(flag), "Testgaon", made.photo())
    assert (fields["mobile_last4"] is None) == (version == "V1")
    assert ((fields["email_hash"] is not None), (fields["mobile_hash"] is not None)) == (
        version == "V1" and flag in "13",
        version == "V1" and flag in "23",
    )


@pytest.mark.parametrize(("flag", "count"), [("1", 1), ("2", 1), ("3", 1), ("3", 2)])
def test_a_later_version_may_have_hashes_too(flag, count):
    hashes = [b"\xff" * 30 + b"\xff\xd9", b"\xd9" * 32][:count]  # Such as look like the end of a photo.
    fields, photo = secure_qr.read(made.secure_qr("V4", email_mobile_flag=flag, hashes=hashes), made.trusted())
    assert photo == made.photo()
    said = [fields["email_hash"], fields["mobile_hash"]]
    assert [one for one in said if one] == [one.hex() for one in hashes]


def test_a_woman_is_who_the_qr_says():
    one = papers.read_qr(made.secure_qr(reference_id="123720240215103015123"), made.trusted(), mobile=made.MOBILE, email=made.EMAIL)
    assert (one.mode, one.name, one.born_on, one.birth_year, one.gender, one.last4) == (
        Mode.SECURE_QR, "Sita Testdevi", date(1985, 2, 1), 1985, "F", "1237",
    )  # fmt: skip
    assert one.referenced_at == datetime(2024, 2, 15, 10, 30, 15, 123000, tzinfo=IST)
    assert (one.care_of, one.address["district"], one.address["pincode"]) == ("W/O: Ramesh Testkumar", "Testpur", "800001")
    assert (one.mobile_matches, one.email_matches) == (True, True)
    assert one.photo.startswith(b"\x89PNG")
    assert "Sita" not in repr(one)


@pytest.mark.parametrize(
    ("version", "said", "mobile", "email", "matches"),
    [
        ("V1", "", "9000000001", "sita.test@example.in", (True, False)),  # Hashed as it was written: with capitals.
        ("V1", "", "9000000002", "SITA.TEST@EXAMPLE.IN", (False, False)),
        ("V1", "", "", "", (None, None)),
        ("V2", "0001", "9000000001", made.EMAIL, (True, None)),
        ("V5", "XXXXXX0001", "9000000001", "", (True, None)),
        ("V5", "XXXXXX0001", "9000000011", "", (False, None)),
        ("V5", "", "9000000001", "", (None, None)),
        ("V5", "XXXXXXXXXX", "9000000001", "", (None, None)),
    ],
)
def test_contacts_match_or_do_not_or_cannot_be_compared(version, said, mobile, email, matches):
    one = papers.read_qr(made.secure_qr(version, mobile_last4=said), made.trusted(), mobile=mobile, email=email)
    assert (one.mobile_matches, one.email_matches) == matches


def test_an_address_matches_in_small_letters_too_and_the_hash_of_nothing_is_nothing_to_compare():
    assert contact_matches(contact_hash("sita@example.in", "1234"), "Sita@Example.in", "1234") is True
    assert contact_matches(contact_hash("", "1234", "Lock"), "9000000001", "1234", "Lock") is None
    assert mobile_ends_alike("0001", "") is None


def test_a_year_may_be_all_that_is_known_of_her_birth():
    one = papers.read_qr(made.secure_qr(dob="1962"), made.trusted())
    assert (one.born_on, one.birth_year) == (None, 1962)


@pytest.mark.parametrize(("text", "said"), [("31/12/1979", date(1979, 12, 31)), ("31-12-1979", date(1979, 12, 31)), ("1979", None)])
def test_dates_of_birth(text, said):
    assert read_birth(text) == (said, 1979)


@pytest.mark.parametrize("text", ["", "31-02-1979", "1979-12-31", "31-12-79", "1799", "०१-०१-१९९०", "31-12-1979\n", "0000"])
def test_no_date_of_birth(text):
    with pytest.raises(Invalid):
        read_birth(text)
    if text.isascii():
        assert refusal(made.secure_qr(dob=text)) == "EVIDENCE_BIRTH_INVALID"


@pytest.mark.parametrize("text", ["", "1234", "123420240230103015123", "123420240215243015123", "12342024021510301512", "1234202402151030151234"])
def test_no_reference(text):
    with pytest.raises(Invalid):
        read_reference(text)
    assert refusal(made.secure_qr(reference_id=text, hashes=[b"h" * 32] * 2)) == "EVIDENCE_REFERENCE_INVALID"


def test_names_may_have_any_letter_of_latin_1_but_one():
    assert secure_qr.read(made.secure_qr(name="Séeta Ñandú ½"), made.trusted())[0]["name"] == "Séeta Ñandú ½"
    for version, field in product(["V1", "V2"], ["name", "vtc", "careof"]):
        assert refusal(made.secure_qr(version, **{field: "Testÿgaon"})) == "QR_MALFORMED"  # It is the byte that ends a field.


@pytest.mark.parametrize("text", ["", "X", "f", "FEMALE"])
def test_no_gender(text):
    assert refusal(made.secure_qr(gender=text)) == "EVIDENCE_GENDER_INVALID"


# --- Who signed, and when.


def test_another_signer_or_none_is_refused():
    text = made.digits(made.packed(made.sealed(made.signed_part(), "somebody else")))
    assert refusal(text) == "QR_SIGNATURE_INVALID"
    assert refusal(made.secure_qr(), []) == "CERTIFICATES_MISSING"
    assert secure_qr.read(text, [*made.trusted(), *made.trusted("somebody else")])[0]["name"] == "Sita Testdevi"
    assert refusal(made.digits(made.packed(made.signed_part("V7") + b"\0" * 256))) == "QR_SIGNATURE_INVALID"


def test_every_byte_is_signed():
    inflated = made.sealed(made.signed_part())
    for at in range(0, len(inflated), 7):
        changed = inflated[:at] + bytes([inflated[at] ^ 1]) + inflated[at + 1 :]
        assert refusal(made.digits(made.packed(changed))) in {"QR_SIGNATURE_INVALID", "QR_MALFORMED"}


def test_a_certificate_is_trusted_for_its_window_both_ends_included():
    text, day = made.secure_qr(), date(2024, 2, 15)
    for window in ({}, {"trusted_from": day}, {"trusted_until": day}, {"trusted_from": day, "trusted_until": day}):
        assert secure_qr.read(text, made.trusted(**window))
    before, after = {"trusted_from": day + timedelta(1)}, {"trusted_until": day - timedelta(1)}
    assert refusal(text, made.trusted(**before)) == refusal(text, made.trusted(**after)) == "QR_CERTIFICATE_OUT_OF_TIME"
    assert secure_qr.read(text, [*made.trusted(**before), *made.trusted(trusted_from=day)])  # One certificate may have two windows.


def test_without_a_window_a_certificate_is_trusted_up_to_its_end_and_from_any_time_on():
    assert secure_qr.read(made.secure_qr(reference_id="123419990215103015123"), made.trusted())
    assert refusal(made.secure_qr(reference_id="123420350201000000000")) == "QR_CERTIFICATE_OUT_OF_TIME"


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not_trusted(content):
    with pytest.raises(Invalid) as refused:
        papers.trusted_certificate(content)
    assert refused.value.code == "CERTIFICATE_UNREADABLE"


# --- What strangers write into a QR.


def bomb():
    """Ten thousand digits' worth of nothing fit into one QR."""
    text = made.digits(made.packed(bytes(2 * 1024 * 1024)))
    assert len(text) < secure_qr.DIGITS_MAX
    return text


INFLATED = made.sealed(made.signed_part())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-5",
        "1e9",
        "12345",
        "१२३४५६७",
        "9" * 10_000_000,
        "1" * secure_qr.DIGITS_MAX,
        "0" + made.digits(made.packed(INFLATED)),
        made.digits(made.packed(INFLATED)) + "0",
        made.digits(made.packed(INFLATED))[:-1],
        "x" + made.digits(made.packed(INFLATED)),
        made.digits(made.packed(INFLATED) + b"\0"),
        made.digits(made.packed(INFLATED) + made.packed(b"more")),
        made.digits(made.packed(INFLATED[:700]) + made.packed(INFLATED[700:])),
        made.digits(made.packed(INFLATED)[:-8]),
        made.digits(zlib.compress(INFLATED)),
        made.digits(zlib.compress(INFLATED, wbits=-15)),
        made.digits(INFLATED),
        made.digits(made.packed(b"")),
        made.digits(made.packed(b"\xff" * 300)),
        made.digits(made.packed(b"V2" + b"\xff" * 300)),
        made.digits(made.packed(made.sealed(made.signed_part("V")))),
        made.digits(made.packed(made.sealed(made.signed_part("v2")))),
        made.digits(made.packed(made.sealed(made.signed_part("V1000")))),
        made.secure_qr(email_mobile_flag="4"),
        made.secure_qr("V2", email_mobile_flag=""),
        made.secure_qr(hashes=[]),
        made.secure_qr("V1", email_mobile_flag="0", hashes=[b"h" * 32]),
        made.secure_qr("V2", email_mobile_flag="1", hashes=[b"h" * 32] * 2),
        made.secure_qr("V2", hashes=[b"h" * 31]),
        made.secure_qr(picture=b""),
        made.secure_qr(picture=b"\xff\xd8\xff\xe0 a JPEG \xff\xd9"),
        bomb(),
    ],
    ids=lambda text: f"{len(text)} {text[:12]!a}",
)
def test_what_is_no_qr_of_aadhaar_is_refused_soon(text):
    begun = time.process_time()
    assert refusal(text) == "QR_MALFORMED"
    assert time.process_time() - begun < SECONDS_MAX


@pytest.mark.parametrize("text", ["100000000001", " 1000 0000 0001\n", "1000-0000-0001", "1000000000000001"])
def test_a_number_alone_is_refused_and_not_said_again(text):
    with pytest.raises(Invalid) as refused:
        secure_qr.read(text, made.trusted())
    assert refused.value.code == "QR_NUMBER_ONLY"
    assert "0001" not in f"{refused.value} {refused.value.params} {refused.value.args}"


def test_a_photo_that_does_not_decode_is_left_out():
    broken = secure_qr.CODESTREAM_BEGINS + b"nothing of a picture" + secure_qr.CODESTREAM_ENDS
    assert papers.read_qr(made.secure_qr(picture=broken), made.trusted()).photo == b""
    assert papers.read_qr(made.secure_qr(picture=made.photo(700)[:800] + secure_qr.CODESTREAM_ENDS), made.trusted()).photo == b""


# --- The old QR.

PROLOGS = ['<?xml version="1.0" encoding="UTF-8"?>', '</?xml version="1.0" encoding="UTF-8"?>', '<?xml version="1.0" encoding="UTF-8"?">', ""]


@pytest.mark.parametrize("prolog", PROLOGS)
def test_the_old_qr_may_be_filled_in_and_proves_nothing(prolog):
    with pytest.raises(Invalid) as refused:
        secure_qr.read(made.legacy_xml(prolog), made.trusted())
    assert refused.value.code == "QR_UNSIGNED"
    assert refused.value.params == {
        "name": "Sita Testdevi",
        "gender": "F",
        "yob": "1985",
        "landmark": "Old well",
        "pincode": "800001",
        "aadhaar_last4": "0001",
    }


@pytest.mark.parametrize("hidden", ["100000000001", "at 1000 0000 0001", "1000-0000-0001"])
def test_the_number_is_nowhere_in_what_may_be_filled_in(hidden):
    with pytest.raises(Invalid) as refused:
        secure_qr.read(made.legacy_xml(house=hidden, co="W/O: Ramesh"), made.trusted())
    assert refused.value.params["careof"] == "W/O: Ramesh"
    assert not re.search("1000.?0000", f"{refused.value} {refused.value.params} {refused.value.args}")


ENTITY = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = "".join(f'<!ENTITY {one} "{10 * ("&" + before + ";")}">' for before, one in pairwise("abcdefghi"))
LAUGHS = f'<!DOCTYPE x [<!ENTITY a "ha">{LAUGHS}]>'


@pytest.mark.parametrize(
    "text",
    [
        made.legacy_xml(ENTITY, name="&e;"),
        made.legacy_xml(LAUGHS, name="&i;"),
        made.legacy_xml(PROLOGS[0] + "<!DOCTYPE x>"),
        made.legacy_xml(PROLOGS[0] + ENTITY.lower()),
        made.legacy_xml(name="&e;"),
        made.legacy_xml()[:-2],
        made.legacy_xml() + "<x/>",
        made.legacy_xml() + "\0",
        made.legacy_xml(name="\ud800"),
        made.legacy_xml(name="x" * 5000),
        made.legacy_xml(PROLOGS[0] * 3),
        made.legacy_xml().replace("/>", "><x/></PrintLetterBarcodeData>"),
        made.legacy_xml().replace("PrintLetterBarcodeData", "QDA"),
        "<" * 4000,
        "<a>" * 1300,
        "<?xml" + " " * 100_000,
        "</?xml" * 600,
    ],
    ids=lambda text: f"{len(text)} {text[:12]!a}",
)
def test_what_is_no_old_qr_is_refused_soon(text):
    begun = time.process_time()
    assert refusal(text) == "QR_MALFORMED"
    assert time.process_time() - begun < SECONDS_MAX


# --- Whatever else: refused, and nothing worse.


def refuses(text):
    begun = time.process_time()
    assert refusal(text)
    assert time.process_time() - begun < SECONDS_MAX


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32), st.sampled_from(["V1", "V2", "V5"]))
def test_no_change_of_what_is_packed_is_taken(seed, version):
    inflated = made.sealed(made.signed_part(version))
    changed = made.mutated(inflated, seed)
    if changed != inflated:
        refuses(made.digits(gzip.compress(changed, 1)))


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32))
def test_no_change_of_the_packed_is_taken(seed):
    content = made.packed(INFLATED)
    changed = made.mutated(content, seed)
    # What gzip's header says of a file's name or age is no part of it, and so of nothing that is read.
    if changed[10:] != content[10:]:
        refuses(made.digits(changed))


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text("0123456789") | st.text("<>/?! xml=\"&;#'PrintLetterBarcodeData"))
def test_no_text_is_taken(text):
    refuses(text)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32))
def test_no_change_of_the_old_qr_is_taken(seed):
    refuses(made.mutated(made.legacy_xml().encode(), seed).decode(errors="surrogateescape"))


# --- The command line.


def check(*arguments, given=b""):
    done = subprocess.run(
        [sys.executable, "-m", "services.identity", "check", "qr", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},  # No setting at all.
        input=given,
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(params=[Encoding.PEM, Encoding.DER], ids=["PEM", "DER"])
def certificate(tmp_path, request):
    file = tmp_path / "uidai.cer"
    file.write_bytes(x509.load_pem_x509_certificate(made.pem()).public_bytes(request.param))
    return file


def test_anybody_checks_a_qr_at_the_command_line(tmp_path, certificate):
    text, image = tmp_path / "qr.txt", tmp_path / "qr.png"
    text.write_text(made.secure_qr() + "\n")
    image.write_bytes(made.file(made.picture(made.secure_qr())))
    for file in (text, image):
        code, said = check(file, "--trust", certificate)
        assert (code, said["name"], said["aadhaar_last4"], said["photo_len"]) == (0, "Sita Testdevi", "1234", len(made.photo()))
    assert check("-", "--trust", certificate, given=made.secure_qr("V2").encode())[1]["version"] == "V2"
    code, said = check(text, "--trust", certificate, "--trusted-from", "2024-02-16")
    assert (code, said["refused"], said["field"]) == (1, "QR_CERTIFICATE_OUT_OF_TIME", "content")
    assert said["sentence"]


def test_what_the_command_line_refuses(tmp_path, certificate):
    assert check("-", given=made.secure_qr().encode()) == (
        1,
        {
            "refused": "CERTIFICATES_MISSING",
            "sentence": "No certificate of UIDAI is trusted here yet; enter her details by hand.",
            "field": "content",
        },
    )
    assert check("-", "--trust", tmp_path / "none")[1]["refused"] == "FILE_UNREADABLE"
    assert check("-", "--trust", "-", given=b"no certificate")[1]["refused"] == "CERTIFICATE_UNREADABLE"
    assert check("-", "--trust", certificate)[1]["refused"] == "EVIDENCE_MISSING"
    code, said = check("-", "--trust", certificate, given=made.legacy_xml().encode())
    assert (code, said["refused"], said["prefill"]["aadhaar_last4"]) == (1, "QR_UNSIGNED", "0001")
    assert "100000000001" not in json.dumps(said)


def test_an_identity_has_no_place_for_the_number():
    assert not [name for name in verified.VerifiedIdentity.__dataclass_fields__ if "number" in name or "aadhaar" in name]
