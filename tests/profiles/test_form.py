"""What a member and an institution must be: the forms, field by field; nothing running."""

import re
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import profiles_pb2
from services.kernel.canonical import content_hash
from services.kernel.codes import check_digit
from services.kernel.errors import Conflict, Refused
from services.kernel.ids import derived, uuid7
from services.profiles.rules import institution, member, seats
from services.profiles.rules.form import Facts, Needed, Rows, Section
from services.profiles.rules.institution import FORM_OF, Kind
from services.profiles.rules.lists import DEFAULTS, Lists, Value
from services.profiles.rules.member import InstitutionFacts

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 4, 1)
FORMED = date(2022, 6, 3)
FACTS = Facts(TODAY, DEFAULTS)
SHG = InstitutionFacts(uuid7(), FORMED, "REGULAR")
SPECIAL = InstitutionFacts(uuid7(), FORMED, "SPECIAL")
WOMEN = [str(uuid7()) for _ in range(6)]
SHGS = [str(uuid7()) for _ in range(6)]
GP, VILLAGE, BLOCK = "9.178.1504.11", "9.178.1504.11.111", "9.178.1504"
IMAGE = {"image_id": str(derived("image")), "media_type": "image/jpeg", "size_bytes": 70_000, "sha256": "ab" * 32}


def row(name, **fields):
    """A row whose id stays the same for the same name."""
    return {"row_id": str(derived("row", name)), **fields}


def ended(one, on="2026-03-31"):
    return one | {"ended_on": on}


PHONE = row("phone", number="6000917401", owner="SELF", is_default="YES")
ACCOUNT = row(
    "account", holder_name="Sunita Devi", ifsc="ZZZZ0KLD001", account_number="1000200917401", holding="SINGLE", passbook=IMAGE, is_default="YES"
)
VOTER = row("voter", kind="VOTER_ID", number="ZZZ1234567", valid_from="2015-01-01", front=IMAGE)
ADDRESS = row("address", kind="PRESENT", area="RURAL", line_1="Near the pond", pincode="272175")
INSURANCE = row("insurance", kind="PMSBY", valid_to="2027-05-31")
CADRE = row("cadre", role="BANK_SAKHI", joined_on="2024-01-01")
OLD_MIS = row("mis", system="NRLM_MIS", value="120800503200177")


def said_of_member(**changes):
    """All of a member, by the contract's names."""
    plain = {
        "institution_id": str(SHG.id),
        "name": "Sunita Devi",
        "name_local": "सुनीता देवी",
        "gender": "FEMALE",
        "born_on": "1988-05-04",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "relation_name_local": "रमेश कुमार",
        "marital_status": "MARRIED",
        "social_category": "OBC",
        "religion": "HINDU",
        "minority": "NO",
        "bpl": "YES",
        "bpl_number": "BPL/117",
        "pip_category": "POOR",
        "pip_on": "2022-06-01",
        "wellbeing_category": "POOR",
        "head_of_family": "HUSBAND",
        "household_code": "117",
        "education": "PRIMARY",
        "livelihoods": ["GOAT_REARING", "AGRICULTURE"],
        "joined_on": "2022-06-03",
        "photo": IMAGE,
        "addresses": [ADDRESS],
        "phones": [PHONE],
        "accounts": [ACCOUNT],
        "documents": [VOTER],
        "insurances": [INSURANCE],
        "cadre_posts": [CADRE],
        "external_ids": [OLD_MIS],
    }
    return plain | changes


def read_member(shg=SHG, held=None, complete=True, lists=DEFAULTS, **changes):
    return member.read(said_of_member(**changes), shg, Facts(TODAY, lists), held, complete=complete)


def office(**standing):
    """A president, a secretary who signs, and a treasurer who signs."""
    posts = ("PRESIDENT", "SECRETARY", "TREASURER")
    return [
        row(post, body="OFFICE", post=post, member_id=WOMEN[place], is_signatory="YES" if place else "", **{"from": "2024-06-03"})
        | {name: values[place] for name, values in standing.items()}
        for place, post in enumerate(posts)
    ]


AUDIT = row("a", kind="AUDIT", due_on="2026-03-31")


def said_of_shg(**changes):
    plain = {
        "kind": "SHG",
        "name": "Ujala",
        "name_local": "उजाला",
        "region": VILLAGE,
        "formed_on": "2022-06-03",
        "type": "REGULAR",
        "origin": "NEW",
        "promoted_by": "NRLM",
        "bookkeeper": "EXTERNAL",
        "bookkeeper_name": "Geeta Devi",
        "bookkeeper_mobile": "6000917402",
        "livelihoods": ["AGRICULTURE"],
        "election_tenure_months": 24,
        "meeting_frequency": "WEEKLY",
        "meeting_weekday": "MONDAY",
        "savings_frequency": "WEEKLY",
        "compulsory_savings_paise": 10_000,
        "savings_rate_basis_points": 600,
        "interloaning_rate_basis_points": 2400,
        "voluntary_savings": "YES",
        "voluntary_rate_basis_points": 800,
        "resolution": IMAGE,
        "accounts": [ACCOUNT | {"holding": "GROUP"}],
        "phones": [row("phone", number="6000917403", member_id=WOMEN[0], is_default="YES")],
        "seats": office(),
    }
    return plain | changes


def said_of_vo(**changes):
    plain = said_of_shg(kind="VO", name="Pragati", region=GP, financial_intermediation="NO", seats=office(institution_id=SHGS))
    for name in ("type", "savings_frequency", "compulsory_savings_paise"):
        del plain[name]
    return plain | changes


def said_of_clf(**changes):
    return said_of_vo(kind="CLF", name="Ekta", region=BLOCK, registration_number="S/117/2023", registered_on="2023-01-01") | changes


SAID_OF = {Kind.SHG: said_of_shg, Kind.VO: said_of_vo, Kind.CLF: said_of_clf}


def read_shg(kind=Kind.SHG, held=None, complete=True, lists=DEFAULTS, **changes):
    return institution.read(SAID_OF[kind](**changes), Facts(TODAY, lists), held, complete=complete)


def refusal(call, *arguments, **named):
    """The code and the field that it refuses with, in a sentence that has all it names; empty where it does not."""
    try:
        call(*arguments, **named)
    except Refused as refused:
        said = refused
    else:
        return "", ""
    assert str(said)
    return said.code, said.field


# --- The contract


def fields_before_the_servers(message):
    """The names of a message's fields that the maker says: those above the comment that the server's begin."""
    text = re.search(rf"^message {message} {{\n(.*?)^}}", (ROOT / "protos/profiles.proto").read_text(), re.DOTALL | re.MULTILINE)[1]
    said = text.partition("// From here on the server's")[0]
    return set(re.findall(r"^  (?:repeated )?[\w.]+ (\w+) = \d+;", said, re.MULTILINE))


def names_of(forms):
    return {entry.name for form in forms for entry in form.entries}


def test_every_field_that_a_maker_says_is_in_the_form_and_none_else():
    assert names_of([member.FORM]) == fields_before_the_servers("Member") - {"member_id", "revision"}
    assert names_of(FORM_OF.values()) == fields_before_the_servers("Institution") - {"institution_id", "revision"}


def test_every_field_of_a_row_is_in_the_form_and_none_else():
    """A row's fields from 15 on are the server's. One kind of profile may lack a field that another one's rows have."""
    forms = {"Member": [member.FORM], "Institution": list(FORM_OF.values())}
    of_a_row = {}
    for message, forms_of_it in forms.items():
        for entry in (entry for form in forms_of_it for entry in form.entries if isinstance(entry, Rows)):
            of_row = profiles_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name[entry.name].message_type
            of_a_row.setdefault(of_row.name, (of_row, set()))[1].update(field.name for field in entry.fields)
    assert of_a_row.keys() == {"Address", "Phone", "BankAccount", "Document", "Insurance", "CadrePost", "ExternalId", "Seat", "Duty"}
    for of_row, names in of_a_row.values():
        assert names == {field.name for field in of_row.fields if field.number < 15}, of_row.name


def test_every_field_lies_in_a_section_of_the_contract_and_every_section_is_used():
    in_the_contract = set(profiles_pb2.Section.keys()) - {"SECTION_UNSPECIFIED"}
    assert {f"SECTION_{section}" for section in Section} == in_the_contract
    used = {form.section_of(name) for form in (member.FORM, *FORM_OF.values()) for name in names_of([form])}
    assert used == set(Section)


def test_rows_and_their_fields_have_the_section_of_the_rows():
    assert member.FORM.section_of("accounts[1].ifsc") == member.FORM.section_of(f"accounts.{uuid7()}") == Section.BANK


# --- One content


def test_a_members_content_is_the_same_whichever_way_it_came():
    plain = read_member()
    assert read_member(name="  Sunita   Devi ", gender="f", relation="Husband", birth_year="1988", minority="n") == plain
    assert read_member(phones=[PHONE | {"number": "+91 60009 17401", "ended_on": "", "member_id": "ignored"}], defaulter_on="", pvtg="") == plain
    assert (
        read_member(accounts=[ACCOUNT | {"ifsc": "zzzz0kld001\n", "account_number": "1000 2009 17401", "row_id": ACCOUNT["row_id"].upper()}]) == plain
    )
    assert read_member(livelihoods="goat rearing, agriculture", replaces_minor="NO", photo=IMAGE | {"size_bytes": "70000"}) == plain
    assert read_member(social_category="General")["social_category"] == "OTHER"


def test_the_order_of_rows_and_of_a_set_is_no_difference_but_that_of_ranks_is():
    other = row("other", number="7000917401", owner="HUSBAND")
    assert read_member(phones=[PHONE, other]) == read_member(phones=[other, PHONE])
    assert read_member(livelihoods=["AGRICULTURE", "GOAT_REARING"]) != read_member()
    tags = {"type": "SPECIAL", "special_tags": ["PWD", "ELDERLY"]}
    assert read_shg(**tags) == read_shg(**tags | {"special_tags": ["ELDERLY", "PWD"]})


def test_what_is_empty_is_left_out():
    empty = {"photo": {"image_id": ""}, "phones": [], "birth_year": 0, "documents": None, "tribe": " "}
    assert read_member(**empty).keys() == read_member().keys() - {"photo", "phones", "documents"}


def test_the_content_of_a_record_hashes_as_ever():
    """A device computes it too: what changes it must be known to be one."""
    fixed = {"institution_id": "01890a5d-ac96-774b-bcce-b302099a8057", "phones": [PHONE], "accounts": [], "documents": [], "external_ids": []}
    shg = InstitutionFacts(member.institution_id(fixed), FORMED)
    assert content_hash(read_member(shg, **fixed)).hex() == "d705c790348996eff65b995fb5f0cc06448ccba1943b13b363ecaf6b605fa07c"


# --- A member

NEEDED = "name gender relation relation_name marital_status social_category religion minority bpl joined_on".split()


@pytest.mark.parametrize("name", NEEDED)
def test_what_a_member_needs(name):
    assert refusal(read_member, **{name: " "}) == ("VALUE_MISSING", name)
    draft = refusal(read_member, complete=False, **{name: " "})
    assert draft == (("VALUE_MISSING", "name") if name == "name" else ("", ""))


def test_nothing_else_is_needed_of_a_member():
    plain = {name: said_of_member()[name] for name in [*NEEDED, "born_on"]}
    assert set(member.read(plain, SHG, FACTS)) == {*plain, "institution_id"}
    assert set(member.read({"name": "Sunita"}, SHG, FACTS, complete=False)) == {"name", "institution_id"}
    needed = {entry.name for entry in member.FORM.entries if not isinstance(entry, Rows) and entry.needed != Needed.NEVER}
    assert needed == {*NEEDED, "institution_id"}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": "x" * 101}, "NAME_TOO_LONG", "name"),
        ({"name": "=cmd()"}, "NAME_INVALID", "name"),
        ({"name": ["Sunita"]}, "VALUE_INVALID", "name"),
        ({"gender": "WOMEN"}, "VALUE_UNKNOWN", "gender"),
        ({"gender": "MALE"}, "GENDER_NOT_HERE", "gender"),
        ({"gender": "T"}, "GENDER_NOT_HERE", "gender"),
        ({"relation": "SISTER"}, "VALUE_UNKNOWN", "relation"),
        ({"social_category": "EBC"}, "VALUE_UNKNOWN", "social_category"),
        ({"born_on": ""}, "BIRTH_MISSING", "born_on"),
        ({"born_on": "4.5.1988"}, "DATE_INVALID", "born_on"),
        ({"born_on": "1899-12-31"}, "DATE_INVALID", "born_on"),
        ({"born_on": "2026-04-02"}, "BIRTH_IN_FUTURE", "born_on"),
        ({"birth_year": "1987"}, "BIRTH_YEARS_DIFFER", "birth_year"),
        ({"born_on": "", "birth_year": "88"}, "BIRTH_INVALID", "birth_year"),
        ({"born_on": "", "birth_year": "1899"}, "BIRTH_INVALID", "birth_year"),
        ({"born_on": "", "birth_year": 2027}, "BIRTH_IN_FUTURE", "birth_year"),
        ({"born_on": "2004-06-04"}, "BIRTH_TOO_YOUNG", "born_on"),
        ({"born_on": "", "birth_year": "2005"}, "BIRTH_TOO_YOUNG", "birth_year"),
        ({"born_on": "2004-06-03"}, "", ""),
        ({"born_on": "", "birth_year": 2004}, "", ""),
        ({"joined_on": "2026-04-02"}, "DATE_IN_FUTURE", "joined_on"),
        ({"joined_on": "2022-06-02"}, "JOINED_TOO_EARLY", "joined_on"),
        ({"defaulter_on": "2022-06-02"}, "DEFAULTER_TOO_EARLY", "defaulter_on"),
        ({"defaulter_on": "2022-06-03"}, "", ""),
        ({"pvtg": "YES"}, "VALUE_OUT_OF_PLACE", "pvtg"),
        ({"tribe": "Tharu"}, "VALUE_OUT_OF_PLACE", "tribe"),
        ({"social_category": "ST", "pvtg": "NO", "tribe": "Tharu"}, "", ""),
        ({"bpl": "NO"}, "VALUE_OUT_OF_PLACE", "bpl_number"),
        ({"pip_category": ""}, "VALUE_OUT_OF_PLACE", "pip_on"),
        ({"disability_details": "since birth"}, "VALUE_OUT_OF_PLACE", "disability_details"),
        ({"guardian_name": "Ramesh", "guardian_relation": "HUSBAND"}, "VALUE_OUT_OF_PLACE", "guardian_name"),
        ({"disability": "AUTISM", "guardian_name": "Ramesh"}, "VALUE_MISSING", "guardian_relation"),
        ({"disability": "AUTISM", "guardian_relation": "HUSBAND"}, "VALUE_MISSING", "guardian_name"),
        ({"disability": "AUTISM", "guardian_name": "Ramesh", "guardian_relation": "HUSBAND"}, "", ""),
        ({"disability": "AUTISM"}, "", ""),
        ({"household_code": "x" * 31}, "TEXT_TOO_LONG", "household_code"),
        ({"tribe": "a\x01b"}, "TEXT_INVALID", "tribe"),
        ({"livelihoods": ["DAIRY", "FISHING"]}, "VALUE_UNKNOWN", "livelihoods[1]"),
        ({"livelihoods": ["DAIRY", "DAIRY"]}, "VALUE_TWICE", "livelihoods"),
        ({"livelihoods": ["DAIRY", "FISHERY", "NTFP", "POULTRY"]}, "VALUES_TOO_MANY", "livelihoods"),
        ({"livelihoods": 7}, "VALUE_INVALID", "livelihoods"),
        ({"photo": IMAGE | {"image_id": "photo"}}, "ID_INVALID", "photo.image_id"),
        ({"photo": IMAGE | {"media_type": "image/gif"}}, "VALUE_UNKNOWN", "photo.media_type"),
        ({"photo": IMAGE | {"size_bytes": (1 << 20) + 1}}, "NUMBER_OUT_OF_RANGE", "photo.size_bytes"),
        ({"photo": IMAGE | {"size_bytes": 0}}, "VALUE_MISSING", "photo.size_bytes"),
        ({"photo": IMAGE | {"size_bytes": "many"}}, "NUMBER_INVALID", "photo.size_bytes"),
        ({"photo": IMAGE | {"sha256": "ab" * 31}}, "HASH_INVALID", "photo.sha256"),
        ({"photo": "photo.jpg"}, "VALUE_INVALID", "photo"),
    ],
)
def test_a_member_is_what_she_must_be(changes, code, field):
    assert refusal(read_member, **changes) == (code, field)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"phones": "6000917401"}, "VALUE_INVALID", "phones"),
        ({"phones": ["6000917401"]}, "VALUE_INVALID", "phones[0]"),
        ({"phones": [PHONE | {"row_id": "1"}]}, "ID_INVALID", "phones[0].row_id"),
        ({"phones": [PHONE | {"row_id": ""}]}, "VALUE_MISSING", "phones[0].row_id"),
        ({"phones": [PHONE, PHONE]}, "ROW_ID_TWICE", "phones"),
        ({"phones": [PHONE | {"number": "12345"}]}, "MOBILE_INVALID", "phones[0].number"),
        ({"phones": [PHONE | {"owner": "COUSIN"}]}, "VALUE_UNKNOWN", "phones[0].owner"),
        ({"phones": [PHONE | {"is_default": "NO"}]}, "DEFAULT_NOT_ONE", "phones"),
        ({"phones": [PHONE, row("b", number="7000917401", is_default="YES")]}, "DEFAULT_NOT_ONE", "phones"),
        ({"phones": [PHONE, row("b", number="6000917401")]}, "ROW_TWICE", "phones[1].number"),
        ({"phones": [PHONE, *(row(n, number=f"700091740{n}") for n in (1, 2))]}, "ROWS_TOO_MANY", "phones"),
        ({"phones": [PHONE, *(ended(row(n, number=f"700091740{n}")) for n in (1, 2))]}, "", ""),
        ({"phones": [ended(PHONE)]}, "", ""),
        ({"phones": [ended(PHONE, "2026-04-02")]}, "DATE_IN_FUTURE", "phones[0].ended_on"),
        ({"accounts": [ACCOUNT | {"account_number": "12"}]}, "ACCOUNT_INVALID", "accounts[0].account_number"),
        ({"accounts": [ACCOUNT | {"account_number": "12345-6"}]}, "ACCOUNT_INVALID", "accounts[0].account_number"),
        ({"accounts": [ACCOUNT | {"account_number": "१२३४५६"}]}, "ACCOUNT_INVALID", "accounts[0].account_number"),
        ({"accounts": [ACCOUNT | {"account_number": ""}]}, "VALUE_MISSING", "accounts[0].account_number"),
        ({"accounts": [ACCOUNT | {"ifsc": "ZZZZ1KLD001"}]}, "IFSC_INVALID", "accounts[0].ifsc"),
        ({"accounts": [ACCOUNT | {"holding": "MINE"}]}, "VALUE_UNKNOWN", "accounts[0].holding"),
        ({"accounts": [ACCOUNT | {"is_default": ""}]}, "DEFAULT_NOT_ONE", "accounts"),
        ({"accounts": [ACCOUNT, ACCOUNT | row("b", is_default="")]}, "ROW_TWICE", "accounts[1].account_number"),
        ({"accounts": [ACCOUNT, row("b", ifsc="ZZZZ0KLD001", account_number="x", holding="JOINT")]}, "ACCOUNT_INVALID", "accounts[1].account_number"),
        ({"accounts": [ended(ACCOUNT | {"opened_on": "2026-04-01"})]}, "ENDED_TOO_EARLY", "accounts[0].ended_on"),
        ({"documents": [VOTER | {"kind": "TICKET"}]}, "VALUE_UNKNOWN", "documents[0].kind"),
        ({"documents": [VOTER | {"number": "12"}]}, "DOCUMENT_INVALID", "documents[0].number"),
        ({"documents": [VOTER | {"kind": "PAN"}]}, "DOCUMENT_INVALID", "documents[0].number"),
        ({"documents": [VOTER | {"kind": "PAN", "number": "aaapz 1234 c"}]}, "", ""),
        ({"documents": [VOTER, VOTER | row("b", number="zzz 1234567")]}, "ROW_TWICE", "documents[1].number"),
        ({"documents": [VOTER | {"valid_to": "2014-12-31"}]}, "ENDED_TOO_EARLY", "documents[0].valid_to"),
        ({"insurances": [row(n, kind="OTHER") for n in range(4)]}, "ROWS_TOO_MANY", "insurances"),
        ({"insurances": [row("a", valid_to="2027-01-01")]}, "VALUE_MISSING", "insurances[0].kind"),
        ({"external_ids": [OLD_MIS, OLD_MIS | row("b", value="2")]}, "ROW_TWICE", "external_ids[1].system"),
        ({"external_ids": [OLD_MIS, ended(OLD_MIS | row("b", value="2"))]}, "", ""),
        ({"addresses": [ADDRESS | {"pincode": "27217"}]}, "PINCODE_INVALID", "addresses[0].pincode"),
        ({"addresses": [ADDRESS | {"pincode": "072175"}]}, "PINCODE_INVALID", "addresses[0].pincode"),
        ({"addresses": [ADDRESS | {"area": "FOREST"}]}, "VALUE_UNKNOWN", "addresses[0].area"),
        ({"cadre_posts": [ended(CADRE, "2023-12-31")]}, "ENDED_TOO_EARLY", "cadre_posts[0].ended_on"),
        ({"cadre_posts": [CADRE, CADRE | row("b", joined_on="2025-01-01")]}, "ROW_TWICE", "cadre_posts[1].role"),
        ({"cadre_posts": [row("a", role="CRP")]}, "VALUE_MISSING", "cadre_posts[0].joined_on"),
    ],
)
def test_her_rows_are_what_they_must_be_also_in_a_draft(changes, code, field):
    assert refusal(read_member, **changes) == refusal(read_member, complete=False, **changes) == (code, field)


def test_only_a_special_group_is_mixed_and_a_draft_may_come_before_it_is_said():
    unsaid = InstitutionFacts(SHG.id, FORMED)
    assert read_member(SPECIAL, gender="MALE")["gender"] == "MALE"
    assert refusal(read_member, unsaid, gender="MALE") == ("GENDER_NOT_HERE", "gender")
    assert read_member(unsaid, complete=False, gender="MALE")["gender"] == "MALE"


def test_members_belong_to_an_shg_and_join_a_revived_one_anew():
    assert refusal(read_member, InstitutionFacts(SHG.id, FORMED, kind=Kind.VO)) == ("INSTITUTION_KIND", "institution_id")
    revived = InstitutionFacts(SHG.id, FORMED, revived_on=date(2024, 1, 1))
    assert refusal(read_member, revived) == ("JOINED_TOO_EARLY", "joined_on")
    assert read_member(revived, joined_on="2024-01-01")["institution_id"] == str(SHG.id)


DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")


@pytest.mark.parametrize("field", ["documents[0].number", "external_ids[0].value", "bpl_number", "household_code"])
@pytest.mark.parametrize("digits", ["23456789012", "99999999999"])
def test_what_may_be_an_aadhaar_is_kept_nowhere_here(field, digits):
    twelve = digits + check_digit(digits)
    other = digits + str((int(check_digit(digits)) + 1) % 10)

    def said(written):
        return {
            "documents[0].number": {"documents": [row("r", kind="JOB_CARD", number=written)]},
            "external_ids[0].value": {"external_ids": [row("r", system="STATE_MIS", value=written)]},
        }.get(field, {field: written})

    for written in (twelve, f"{twelve[:4]} {twelve[4:8]} {twelve[8:]}", f"{twelve[:4]}-{twelve[4:8]}-{twelve[8:]}", twelve.translate(DEVANAGARI)):
        assert refusal(read_member, **said(written)) == ("NUMBER_LIKE_AADHAAR", field)
    for written in (other, "RC" + twelve, "1" + twelve[1:], twelve[:11], "राशन " + twelve):
        assert refusal(read_member, **said(written)) == ("", "")


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"born_on": "1962-06-03"}, []),
        ({"born_on": "1961-06-03"}, ["AGE_UNUSUAL"]),
        ({"born_on": "", "birth_year": 1950}, ["AGE_UNUSUAL"]),
        ({"disability": "AUTISM"}, ["GUARDIAN_MISSING"]),
        ({"disability": "BLINDNESS"}, []),
        ({"disability": "AUTISM", "guardian_name": "Ramesh", "guardian_relation": "HUSBAND"}, []),
    ],
)
def test_what_a_checker_should_look_at_in_a_member(changes, codes):
    assert [notice.code for notice in member.warnings(read_member(**changes), FACTS)] == codes


def test_what_is_asked_of_a_members_content():
    draft = read_member(complete=False, born_on="", phones=[], accounts=[ended(ACCOUNT)])
    assert (member.birth_year(draft), member.default_phone(draft), member.default_account(draft)) == (0, None, None)
    whole = read_member(accounts=[ended(ACCOUNT | {"is_default": "YES"}), ACCOUNT | row("b", holding="JOINT")])
    assert (member.birth_year(whole), member.default_phone(whole)["number"], member.default_account(whole)["holding"]) == (
        1988,
        "6000917401",
        "JOINT",
    )


@given(st.dates(date(1900, 1, 1), TODAY + timedelta(days=400)), st.dates(date(2020, 1, 1), TODAY + timedelta(days=400)))
def test_whoever_is_taken_in_was_grown_up_when_she_joined(born, joined):
    if refusal(read_member, born_on=born.isoformat(), joined_on=joined.isoformat())[0]:
        return
    assert FORMED <= joined <= TODAY
    assert (joined.year - 18, joined.month, joined.day) >= (born.year, born.month, born.day)


# --- The state's lists


def lists_with(name, **values):
    """The national lists with values of a state in one of them; `values` are national codes."""
    own = {code: Value(code, national, None, None, active=True, labels={"en": code}) for code, national in values.items()}
    return Lists({**DEFAULTS.values, name: {**DEFAULTS.values[name], **own}})


def lists_without(name, code):
    value = DEFAULTS.values[name][code]
    retired = Value(code, value.national_code, None, None, active=False, labels=value.labels)
    return Lists({**DEFAULTS.values, name: {**DEFAULTS.values[name], code: retired}})


def test_rules_hold_for_a_states_own_value_by_its_national_code():
    own = lists_with("SOCIAL_CATEGORY", PVTG_ST="ST", EBC="OBC")
    content = read_member(lists=own, social_category="PVTG ST", pvtg="YES", tribe="Tharu")
    assert content["social_category"] == "PVTG_ST"
    assert member.categories(content, own)["social_category"] == "ST"
    assert member.categories(read_member(), DEFAULTS)["disability"] == ""
    assert refusal(read_member, lists=own, social_category="EBC", pvtg="YES")[0] == "VALUE_OUT_OF_PLACE"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (("RELIGION", "HINDU"), {}),
        (("LIVELIHOOD", "AGRICULTURE"), {}),
        (("DOCUMENT", "VOTER_ID"), {}),
    ],
)
def test_a_retired_value_stays_where_it_is_live_and_goes_nowhere_else(name, changes):
    without = lists_without(*name)
    held = read_member()
    assert read_member(held=held, lists=without, **changes) == held
    assert refusal(read_member, lists=without)[0] == "VALUE_RETIRED"
    assert refusal(read_member, held=read_member(religion="JAIN", livelihoods=[], documents=[]), lists=without)[0] == "VALUE_RETIRED"


# --- An institution

SHG_NEEDS = "type origin promoted_by meeting_frequency savings_frequency compulsory_savings_paise bookkeeper".split()
FEDERATION_NEEDS = "origin promoted_by meeting_frequency bookkeeper financial_intermediation".split()


@pytest.mark.parametrize(("kind", "name"), [*product([Kind.SHG], SHG_NEEDS), *product([Kind.VO, Kind.CLF], FEDERATION_NEEDS)])
def test_what_an_institution_needs(kind, name):
    empty = {name: "", "bookkeeper_name": "", "bookkeeper_mobile": "", "meeting_weekday": "", "resolution": {}}
    assert refusal(read_shg, kind, **empty)[0] in {"VALUE_MISSING", "MEETING_PATTERN"}
    assert refusal(read_shg, kind, complete=False, **empty) == ("", "")
    assert refusal(read_shg, kind, **{name: ""}) == ("VALUE_MISSING", name)


@pytest.mark.parametrize("kind", Kind)
def test_a_draft_needs_a_name_a_place_and_a_day(kind):
    plain = {name: SAID_OF[kind]()[name] for name in ("kind", "name", "region", "formed_on")}
    assert institution.read(plain | {"kind": f" {kind.lower()}"}, FACTS, complete=False) == plain
    for name in ("name", "region", "formed_on"):
        assert refusal(institution.read, plain | {name: ""}, FACTS, complete=False) == ("VALUE_MISSING", name)
    assert refusal(institution.read, plain | {"kind": "BANK"}, FACTS, complete=False) == ("KIND_UNKNOWN", "kind")
    assert refusal(institution.read, {}, FACTS) == ("KIND_UNKNOWN", "kind")


INTERNAL = {"bookkeeper": "INTERNAL", "bookkeeper_name": "", "bookkeeper_mobile": ""}
REVIVED = {"origin": "REVIVED", "revived_on": "2023-01-01"}
FORTNIGHTLY = {"meeting_frequency": "FORTNIGHTLY"}
MONTHLY = {"meeting_frequency": "MONTHLY"}
BY_DAY = {"meeting_weekday": ""}


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": "x" * 201}, "NAME_TOO_LONG", "name"),
        ({"region": GP}, "REGION_LEVEL", "region"),
        ({"region": "9.178.x"}, "REGION_INVALID", "region"),
        ({"formed_on": "2026-04-02"}, "DATE_IN_FUTURE", "formed_on"),
        ({"formed_on": "soon"}, "DATE_INVALID", "formed_on"),
        ({"parent_id": "x"}, "ID_INVALID", "parent_id"),
        ({"compulsory_savings_paise": 0}, "VALUE_MISSING", "compulsory_savings_paise"),
        ({"compulsory_savings_paise": -1}, "AMOUNT_NEGATIVE", "compulsory_savings_paise"),
        ({"compulsory_savings_paise": 10**13}, "AMOUNT_TOO_LARGE", "compulsory_savings_paise"),
        ({"compulsory_savings_paise": "10.5"}, "NUMBER_INVALID", "compulsory_savings_paise"),
        ({"interloaning_rate_basis_points": 6001}, "NUMBER_OUT_OF_RANGE", "interloaning_rate_basis_points"),
        ({"interloaning_rate_basis_points": 6000}, "", ""),
        ({"election_tenure_months": 61}, "NUMBER_OUT_OF_RANGE", "election_tenure_months"),
        ({"financial_intermediation": "YES"}, "FIELD_NOT_OF_KIND", "financial_intermediation"),
        ({"area": [GP]}, "FIELD_NOT_OF_KIND", "area"),
        ({"type": "SPECIAL"}, "VALUE_MISSING", "special_tags"),
        ({"special_tags": ["PWD"]}, "VALUE_OUT_OF_PLACE", "special_tags"),
        ({"type": "SPECIAL", "special_tags": ["PWD"], "special_other": "x"}, "VALUE_OUT_OF_PLACE", "special_other"),
        ({"type": "SPECIAL", "special_tags": ["PWD", "OTHER"]}, "VALUE_MISSING", "special_other"),
        ({"type": "SPECIAL", "special_tags": ["PWD", "OTHER"], "special_other": "Fisherwomen"}, "", ""),
        ({"origin": "COOPTED", "coopted_on": "2023-01-01"}, "ORIGIN_OF_NRLM", "origin"),
        ({"origin": "COOPTED", "coopted_on": "2023-01-01", "promoted_by": "SGSY"}, "", ""),
        ({"origin": "COOPTED", "promoted_by": "SGSY"}, "VALUE_MISSING", "coopted_on"),
        ({"origin": "REVIVED"}, "VALUE_MISSING", "revived_on"),
        (REVIVED, "", ""),
        (REVIVED | {"revived_on": "2022-06-02"}, "BEFORE_FORMATION", "revived_on"),
        ({"revived_on": "2023-01-01"}, "VALUE_OUT_OF_PLACE", "revived_on"),
        ({"registered_on": "2022-06-02"}, "BEFORE_FORMATION", "registered_on"),
        ({"promoted_by": "OTHER"}, "VALUE_MISSING", "promoter_name"),
        ({"promoted_by": "OTHER", "promoter_name": "Temple trust"}, "", ""),
        ({"promoter_name": "Temple trust"}, "VALUE_OUT_OF_PLACE", "promoter_name"),
        ({"promoted_by": "NGO"}, "VALUE_MISSING", "funding_agency"),
        ({"promoted_by": "NGO", "promoter_name": "Asha", "funding_agency": "NABARD"}, "", ""),
        ({"funding_agency": "NABARD"}, "VALUE_OUT_OF_PLACE", "funding_agency"),
        ({"bookkeeper_mobile": ""}, "VALUE_MISSING", "bookkeeper_mobile"),
        ({"bookkeeper": "NONE"}, "VALUE_OUT_OF_PLACE", "bookkeeper_name"),
        (INTERNAL, "VALUE_MISSING", "bookkeeper_member_id"),
        (INTERNAL | {"bookkeeper_member_id": WOMEN[0]}, "", ""),
        ({"bookkeeper_member_id": WOMEN[0]}, "VALUE_OUT_OF_PLACE", "bookkeeper_member_id"),
        ({"voluntary_savings": "NO"}, "VALUE_OUT_OF_PLACE", "voluntary_rate_basis_points"),
        ({"pan": "AAAPZ1234"}, "PAN_INVALID", "pan"),
        ({"pan": "aaapz1234c", "tan": "pnea12345b"}, "", ""),
        ({"tan": "PNEA1234B"}, "TAN_INVALID", "tan"),
        ({"meeting_weekday": ""}, "MEETING_PATTERN", "meeting_weekday"),
        ({"meeting_weekday": "SOMEDAY"}, "VALUE_UNKNOWN", "meeting_weekday"),
        ({"meeting_weeks": [1]}, "MEETING_PATTERN", "meeting_weekday"),
        ({"meeting_days": [5]}, "MEETING_PATTERN", "meeting_weekday"),
        (FORTNIGHTLY, "MEETING_PATTERN", "meeting_weekday"),
        (FORTNIGHTLY | {"meeting_weeks": [3, 1]}, "", ""),
        (FORTNIGHTLY | {"meeting_weeks": [2, 4]}, "", ""),
        (FORTNIGHTLY | {"meeting_weeks": [1, 2]}, "MEETING_PATTERN", "meeting_weekday"),
        (FORTNIGHTLY | {"meeting_days": [5, 20]}, "MEETING_PATTERN", "meeting_weekday"),
        (FORTNIGHTLY | BY_DAY | {"meeting_days": "20, 5"}, "", ""),
        (FORTNIGHTLY | BY_DAY | {"meeting_days": [5]}, "MEETING_PATTERN", "meeting_weekday"),
        (FORTNIGHTLY | BY_DAY | {"meeting_days": [5, 5]}, "VALUE_TWICE", "meeting_days"),
        (MONTHLY, "MEETING_PATTERN", "meeting_weekday"),
        (MONTHLY | {"meeting_weeks": [2]}, "", ""),
        (MONTHLY | {"meeting_weeks": [5]}, "NUMBER_OUT_OF_RANGE", "meeting_weeks[0]"),
        (MONTHLY | {"meeting_weeks": [1, 3]}, "MEETING_PATTERN", "meeting_weekday"),
        (MONTHLY | BY_DAY | {"meeting_days": [31]}, "", ""),
        (MONTHLY | BY_DAY | {"meeting_days": [32]}, "NUMBER_OUT_OF_RANGE", "meeting_days[0]"),
        (MONTHLY | BY_DAY | {"meeting_weeks": [1], "meeting_days": [3]}, "MEETING_PATTERN", "meeting_weekday"),
        ({"accounts": [], "phones": [], "external_ids": [OLD_MIS]}, "", ""),
    ],
)
def test_an_shg_is_what_it_must_be(changes, code, field):
    assert refusal(read_shg, **changes) == (code, field)


UNSIGNED = [one | {"is_signatory": "NO"} for one in office()]
SAVES = {"financial_intermediation": "YES", "savings_frequency": "MONTHLY", "compulsory_savings_paise": 5000}


@pytest.mark.parametrize(
    ("kind", "changes", "code", "field"),
    [
        (Kind.VO, {}, "", ""),
        (Kind.CLF, {}, "", ""),
        (Kind.VO, {"region": VILLAGE}, "REGION_LEVEL", "region"),
        (Kind.CLF, {"region": GP}, "REGION_LEVEL", "region"),
        (Kind.VO, {"type": "REGULAR"}, "FIELD_NOT_OF_KIND", "type"),
        (Kind.VO, {"financial_intermediation": "YES"}, "VALUE_MISSING", "savings_frequency"),
        (Kind.VO, SAVES, "", ""),
        (Kind.VO, SAVES | {"compulsory_savings_paise": 0}, "VALUE_MISSING", "compulsory_savings_paise"),
        (Kind.CLF, {"compulsory_savings_paise": 5000}, "VALUE_OUT_OF_PLACE", "compulsory_savings_paise"),
        (Kind.VO, {"area": [GP, VILLAGE, "9.178.1504.12"]}, "", ""),
        (Kind.VO, {"area": [VILLAGE]}, "", ""),
        (Kind.VO, {"area": ["9.178.1504.12"]}, "AREA_WITHOUT_PLACE", "area"),
        (Kind.VO, {"area": [GP, "9.178.1505.13"]}, "AREA_ELSEWHERE", "area"),
        (Kind.VO, {"area": [BLOCK]}, "REGION_LEVEL", "area[0]"),
        (Kind.VO, {"area": [GP, GP]}, "VALUE_TWICE", "area"),
        (Kind.CLF, {"area": [GP, "9.178.1504.12"]}, "", ""),
        (Kind.CLF, {"area": [VILLAGE]}, "REGION_LEVEL", "area[0]"),
        (Kind.CLF, {"area": ["9.178.1505.13"]}, "AREA_ELSEWHERE", "area"),
        (Kind.VO, {"seats": office()}, "VALUE_MISSING", "seats[0].institution_id"),
        (Kind.CLF, {"duties": [AUDIT, row("b", kind="AUDIT", due_on="2027-03-31")]}, "", ""),
        (Kind.CLF, {"duties": [AUDIT, AUDIT | row("b")]}, "ROW_TWICE", "duties[1].due_on"),
        (Kind.CLF, {"duties": [row("a", kind="AUDIT")]}, "VALUE_MISSING", "duties[0].due_on"),
        (Kind.CLF, {"duties": [AUDIT | {"kind": "FEAST"}]}, "VALUE_UNKNOWN", "duties[0].kind"),
        (Kind.CLF, {"duties": [AUDIT | {"done_on": "2026-04-02"}]}, "DATE_IN_FUTURE", "duties[0].done_on"),
    ],
)
def test_a_federation_is_what_it_must_be(kind, changes, code, field):
    assert refusal(read_shg, kind, **changes) == (code, field)


@pytest.mark.parametrize(
    ("kind", "changes", "active", "codes"),
    [
        (Kind.SHG, {}, 10, []),
        (Kind.SHG, {}, 20, []),
        (Kind.SHG, {}, 9, ["SIZE_UNUSUAL"]),
        (Kind.SHG, {}, 21, ["SIZE_UNUSUAL"]),
        (Kind.SHG, {"type": "SPECIAL", "special_tags": ["PWD"]}, 5, []),
        (Kind.SHG, {"type": "SPECIAL", "special_tags": ["PWD"]}, 21, ["SIZE_UNUSUAL"]),
        (Kind.SHG, {"accounts": [ended(ACCOUNT)]}, 12, ["ACCOUNT_MISSING"]),
        (Kind.SHG, {"election_tenure_months": 21}, 12, ["TERM_OVER"]),
        (Kind.SHG, {"election_tenure_months": 22}, 12, []),
        (Kind.SHG, {"seats": UNSIGNED}, 12, ["SIGNATORIES_TOO_FEW"]),
        (Kind.SHG, {"seats": [*UNSIGNED, *({**one, **row(n), "body": "BOARD"} for n, one in enumerate(office()))]}, 12, ["SIGNATORIES_TOO_FEW"]),
        (Kind.CLF, {}, 0, []),
        (Kind.CLF, {"registration_number": ""}, 0, ["REGISTRATION_MISSING"]),
        (Kind.CLF, {"duties": [AUDIT]}, 0, ["DUTIES_OVERDUE"]),
        (Kind.CLF, {"duties": [AUDIT | {"due_on": "2026-04-01"}, row("b", kind="RETURN", due_on="2027-09-30")]}, 0, []),
        (Kind.CLF, {"duties": [AUDIT | {"done_on": "2026-02-11"}, ended(row("b", kind="ELECTION", due_on="2025-06-01"))]}, 0, []),
    ],
)
def test_what_a_checker_should_look_at_in_an_institution(kind, changes, active, codes):
    assert [notice.code for notice in institution.warnings(kind, read_shg(kind, **changes), active, FACTS)] == codes


def test_names_meet_in_one_key_and_a_place_lies_in_its_block():
    content = read_shg(name=" UJALA  Devi ")
    assert (institution.name_key(content), institution.block(content)) == ("ujala devi", BLOCK)


# --- Seats


def seat(name, post="MEMBER", who=3, body="OFFICE", begins="2024-06-03", **more):
    return row(name, body=body, post=post, member_id=WOMEN[who], **{"from": begins}, **more)


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ([], "", ""),
        ([seat("a", "PRESIDENT")], "TERMS_OVERLAP", "seats[3].from"),
        ([seat("a", "PRESIDENT", begins="2022-06-03", ended_on="2024-06-02")], "", ""),
        ([seat("a", "PRESIDENT", begins="2022-06-03", ended_on="2024-06-03")], "TERMS_OVERLAP", "seats[0].from"),
        ([seat("a", "PRESIDENT", begins="2025-01-01", ended_on="2025-02-01")], "TERMS_OVERLAP", "seats[3].from"),
        ([seat("a", "PRESIDENT", who=0, begins="2022-06-03", ended_on="2024-06-02")], "", ""),
        ([seat("a"), seat("b", who=4)], "", ""),
        ([seat("a", who=0)], "SEATED_TWICE", "seats[3].from"),
        ([seat("a", who=0, begins="2022-06-03", ended_on="2024-06-02")], "", ""),
        ([seat("a", "PRESIDENT", who=0, body="BOARD")], "", ""),
        ([seat("a", "VICE_PRESIDENT"), seat("b", "VICE_PRESIDENT", who=4)], "TERMS_OVERLAP", "seats[4].from"),
        ([seat("a", body="SUB_COMMITTEE")], "VALUE_MISSING", "seats[3].committee"),
        ([seat("a", committee="Audit")], "VALUE_OUT_OF_PLACE", "seats[3].committee"),
        ([seat("a", body="SUB_COMMITTEE", committee="Audit"), seat("b", body="SUB_COMMITTEE", committee="Health")], "", ""),
        ([seat("a", body="SUB_COMMITTEE", committee="Audit"), seat("b", body="SUB_COMMITTEE", committee="AUDIT")], "SEATED_TWICE", "seats[4].from"),
        ([seat("a", "QUEEN")], "VALUE_UNKNOWN", "seats[3].post"),
        ([seat("a", body="COURT")], "VALUE_UNKNOWN", "seats[3].body"),
        ([seat("a", who=4) | {"member_id": ""}], "VALUE_MISSING", "seats[3].member_id"),
        ([seat("a", begins="2026-04-02")], "DATE_IN_FUTURE", "seats[3].from"),
        ([seat("a", ended_on="2024-06-02")], "ENDED_TOO_EARLY", "seats[3].ended_on"),
    ],
)
def test_terms_are_what_they_must_be(more, code, field):
    assert refusal(read_shg, seats=[*office(), *more]) == (code, field)


@pytest.mark.parametrize("post", ["PRESIDENT", "SECRETARY", "TREASURER"])
def test_each_office_is_held_but_in_a_draft(post):
    others = [one for one in office() if one["post"] != post]
    vacant = [one | {"ended_on": "2026-03-31"} if one["post"] == post else one for one in office()]
    for left in (others, vacant, [*others, seat("a", post, body="BOARD")]):
        assert refusal(read_shg, seats=left) == ("OFFICE_VACANT", "seats")
        assert refusal(read_shg, seats=left, complete=False) == ("", "")


def test_a_states_own_post_counts_as_what_it_is_for_the_nation():
    own = lists_with("POST", ADHYAKSH="PRESIDENT")
    renamed = [one | {"post": "ADHYAKSH"} if one["post"] == "PRESIDENT" else one for one in office()]
    assert refusal(read_shg, lists=own, seats=renamed) == ("", "")
    assert refusal(read_shg, lists=own, seats=[*renamed, seat("a", "PRESIDENT")]) == ("TERMS_OVERLAP", "seats[3].from")


def test_who_held_which_post_on_a_day():
    before = seat("a", "PRESIDENT", begins="2022-06-03", ended_on="2024-06-02")
    content = read_shg(seats=[*office(), before])

    def presidents(on):
        return [one["member_id"] for one in seats.holders(content, on) if one["post"] == "PRESIDENT"]

    assert presidents(date(2022, 6, 2)) == []
    assert presidents(date(2022, 6, 3)) == presidents(date(2024, 6, 2)) == [WOMEN[3]]
    assert presidents(date(2024, 6, 3)) == presidents(TODAY) == [WOMEN[0]]


def test_who_acts_for_an_institution_is_an_active_member():
    gone = seat("a", who=4, ended_on="2025-01-01")
    content = read_shg(seats=[*office(), gone], **INTERNAL, bookkeeper_member_id=WOMEN[5])
    assert set(institution.named_members(content).values()) == {*WOMEN[:3], WOMEN[5]}
    institution.check_seats(content, set(WOMEN[:3]) | {WOMEN[5]})
    assert refusal(institution.check_seats, content, set(WOMEN[:3])) == ("SEAT_NOT_ACTIVE", "bookkeeper_member_id")
    secretary = office()[1]
    assert refusal(institution.check_seats, content, {WOMEN[0], WOMEN[2], WOMEN[5]}) == ("SEAT_NOT_ACTIVE", f"seats.{secretary['row_id']}")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["PRESIDENT", "SECRETARY", "MEMBER"]),
        st.integers(0, 3),
        st.dates(date(2024, 1, 1), date(2024, 1, 20)),
        st.none() | st.integers(0, 8),
    ),
    max_size=5,
)


@given(STEPS)
def test_whatever_is_taken_in_never_has_two_on_one_post_nor_one_on_two(terms):
    rows = [
        seat(n, post, who, begins=begins.isoformat(), **({} if days is None else {"ended_on": (begins + timedelta(days=days)).isoformat()}))
        for n, (post, who, begins, days) in enumerate(terms)
    ]

    def sitting(on):
        of = [term for term in terms if term[2] <= on and (term[3] is None or on <= term[2] + timedelta(days=term[3]))]
        sole = [post for post, *_ in of if post != "MEMBER"]
        return sole, [who for _, who, *_ in of]

    sound = all(len(set(one)) == len(one) for day in range(31) for one in sitting(date(2024, 1, 1) + timedelta(days=day)))
    assert (refusal(read_shg, complete=False, seats=rows) == ("", "")) == sound


# --- What is live


def test_a_row_that_was_approved_is_ended_and_never_left_out():
    held = read_member()
    for name in ("addresses", "phones", "accounts", "documents", "insurances", "cadre_posts", "external_ids"):
        (one,) = held[name]
        assert refusal(read_member, held=held, **{name: []}) == ("ROW_MISSING", f"{name}.{one['row_id']}")
        assert refusal(read_member, held=held, **{name: [ended(one)]}) == ("", "")


def test_a_row_that_has_ended_does_not_change():
    held = read_member(phones=[ended(PHONE)])
    again = PHONE | row("b")
    assert refusal(read_member, held=held, phones=[ended(PHONE), again]) == ("", "")
    for changed in (PHONE, ended(PHONE, "2026-03-30"), ended(PHONE | {"owner": "SON"})):
        assert refusal(read_member, held=held, phones=[changed]) == ("ROW_ENDED", "phones[0]")
    with pytest.raises(Conflict):
        read_member(held=held, phones=[])


# --- What differs


def test_what_differs_is_told_by_field_and_row_in_words():
    after = read_member(
        name="Sunita Kumari", pip_category="", pip_on="", livelihoods=["DAIRY", "NTFP"], phones=[PHONE | {"owner": "HUSBAND"}], insurances=[]
    )
    said = [(one.section, one.field, one.before_text, one.after_text) for one in member.FORM.differences(read_member(), after)]
    assert said == [
        ("BASIC", "name", "Sunita Devi", "Sunita Kumari"),
        ("BASIC", "pip_category", "POOR", ""),
        ("BASIC", "pip_on", "2022-06-01", ""),
        ("BASIC", "livelihoods", "GOAT_REARING, AGRICULTURE", "DAIRY, NTFP"),
        (
            "PHONE",
            f"phones.{PHONE['row_id']}",
            "number: 6000917401; owner: SELF; is_default: YES",
            "number: 6000917401; owner: HUSBAND; is_default: YES",
        ),
        ("INSURANCE", f"insurances.{INSURANCE['row_id']}", "kind: PMSBY; valid_to: 2027-05-31", ""),
    ]
    assert {one.section for one in member.FORM.differences({}, read_member())} == {member.FORM.section_of(name) for name in read_member()}


# --- Whatever is said


def some(choices):
    return st.lists(st.sampled_from(choices), max_size=3, unique_by=lambda one: one["row_id"])


MEMBERS = st.fixed_dictionaries(
    {"name": st.sampled_from(["Sunita Devi", " सुनीता  देवी", "Asha"]), "gender": st.sampled_from(["F", "FEMALE"])},
    optional={
        "born_on": st.dates(date(1970, 1, 1), date(1999, 1, 1)).map(str),
        "tribe": st.text(max_size=5),
        "livelihoods": st.lists(st.sampled_from(["DAIRY", "ntfp", "Fishery"]), unique=True),
        "photo": st.sampled_from([{}, IMAGE, IMAGE | {"sha256": "CD" * 32}]),
        "phones": some([PHONE, ended(PHONE), row("b", number="7000917401"), row("c", number="7000917402", is_default="YES")]),
        "accounts": some([ACCOUNT, ACCOUNT | {"holding": "JOINT"}, ended(ACCOUNT | row("b", opened_on="2020-01-01"))]),
        "documents": some([VOTER, row("b", kind="RATION_CARD", number="ab 12/34-5"), ended(row("c", kind="PAN", number="AAAPZ1234C"))]),
    },
)


@given(MEMBERS)
def test_what_was_read_is_read_again_as_it_is(changes):
    try:
        content = read_member(complete=False, **changes)
    except Refused:
        return
    assert member.read(content, SHG, FACTS, complete=False) == content
    assert member.read(content, SHG, FACTS, content, complete=False) == content


@given(st.data())
def test_what_differs_is_told_where_and_only_where_contents_do(data):
    contents = []
    while len(contents) < 2:
        try:
            contents.append(read_member(complete=False, **data.draw(MEMBERS)))
        except Refused:
            contents.append(read_member())
    one, other = contents
    told = member.FORM.differences(one, other)
    assert bool(told) == (one != other) == (content_hash(one) != content_hash(other))
    heads = {difference.field.partition(".")[0] for difference in told}
    assert heads == {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["YES", "OTHER", WOMEN[0], "2024-01-01", "SPECIAL"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["row_id", "kind", "number", "from", "image_id"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(names_of([member.FORM]))), ANYTHING, st.booleans())
def test_whatever_is_said_of_a_member_is_read_or_refused(name, value, complete):
    refusal(read_member, complete=complete, **{name: value})


@given(st.sampled_from(Kind), st.sampled_from(sorted(names_of(FORM_OF.values()))), ANYTHING, st.booleans())
def test_whatever_is_said_of_an_institution_is_read_or_refused(kind, name, value, complete):
    refusal(institution.read, SAID_OF[kind]() | {name: value}, FACTS, complete=complete)


@pytest.mark.parametrize("kind", Kind)
def test_an_institution_that_was_read_is_read_again_as_it_is(kind):
    content = read_shg(kind)
    assert institution.read(content, FACTS) == content == institution.read(content, FACTS, content)
    assert FORM_OF[kind].differences(content, content) == []
