"""What identity decides, with nothing running."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.rules import kyc, sheet, user
from services.identity.rules.sheet import Institution
from services.kernel.caller import COMMUNITY, LEVEL_OF, Role
from services.kernel.codes import check_digit
from services.kernel.errors import Conflict, Invalid, NotFound, Refused
from services.kernel.geography import Geography, Place
from services.kernel.region import Level
from services.kernel.states import STATE_LGD

TODAY = date(2026, 7, 1)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PATHS = ("9", "9.178", "9.178.1204", "9.178.1204.77", "9.178.1204.77.5", "9.178.1204.77.6", "9.178.1204.78", "9.178.1204.78.7")
GEOGRAPHY = Geography(Place(path, path, path, date(2020, 1, 1)) for path in PATHS)
BLOCK = "9.178.1204"
IDS = {name: uuid4() for name in ("jyoti", "ekta", "ekta6", "vo", "vo_block", "clf", "far")}
KNOWN = sheet.by_name(
    [
        Institution(IDS["jyoti"], "SHG", "Jyoti Swayam Sahayata Samooh", f"{BLOCK}.77.5"),
        Institution(IDS["ekta"], "SHG", "Ekta", f"{BLOCK}.77.5"),
        Institution(IDS["ekta6"], "SHG", "Ekta", f"{BLOCK}.77.6"),
        Institution(IDS["vo"], "VO", "Pragati", f"{BLOCK}.77"),
        Institution(IDS["vo_block"], "VO", "Shakti", BLOCK),
        Institution(IDS["clf"], "CLF", "Nari Shakti", BLOCK),
        Institution(IDS["far"], "VO", "Door", f"{BLOCK}.78"),
    ],
)


def code_of(refuse):
    with pytest.raises(Refused) as refused:
        refuse()
    return refused.value.code


def cells(**changes):
    plain = {
        "User ID": "IUP_SITA1",
        "Bookkeeper name": "Sita Devi",
        "Mobile": "9876543210",
        "Role": "SHG Bookkeeper",
        "Gram Panchayat": "77",
        "Village": "5",
        "SHGs (to be assigned)": "Jyoti Swayam Sahayata Samooh",
        "VO (to be assigned)": "",
        "CLF (to be assigned)": "",
        "Initial password": "",
    }
    names = {column.split(" (")[0].split()[-1].lower(): column for column in plain}
    return plain | {names[name]: text for name, text in changes.items()}


def read(**changes):
    return sheet.read(cells(**changes), BLOCK, "IUP_", GEOGRAPHY, KNOWN, TODAY)


def test_a_user_id_is_the_prefix_and_capitals():
    assert user.check_user_id("IUP_SITA1", "IUP_") == "IUP_SITA1"


@pytest.mark.parametrize(
    "text", ["", "IUP_", "IUP_AB", "IUP_sita", "IUP_SITA DEVI", "IBH_SITA", "IUP_" + "A" * 21, "IUP_SITA\n", "IUP_SÍTA", "IUP_SITA\0"]
)
def test_another_user_id_is_refused(text):
    assert code_of(lambda: user.check_user_id(text, "IUP_")) == "USER_ID_INVALID"


@pytest.mark.parametrize(
    "text", ["", "short-one", "x" * 129, "aaaaaaaaaaaa", "ababababab", "IUP_SITADEVI1", "iup_sitadevi1", "SITADEVI1x"[:9], "my iup_sitadevi1!"]
)
def test_a_plain_password_is_refused(text):
    assert code_of(lambda: user.check_password(text, "IUP_SITADEVI1")) == "PASSWORD_WEAK"


@pytest.mark.parametrize("text", ["ten-chars!", "नदी किनारे पेड़", "correct horse battery"])
def test_a_password_of_ten_characters_will_do(text):
    assert user.check_password(text, "IUP_SITADEVI1") == text


@pytest.mark.parametrize("role", Role)
def test_a_role_is_read_by_name_and_by_label_in_any_case(role):
    for text in (role.value, role.label, role.label.lower(), f"  {role.label.upper()} "):
        assert user.parse_role(text) is role


@pytest.mark.parametrize("text", ["", "Bookkeeper", "SHG_BOOKKEEPERS", "x" * 500])
def test_another_role_is_refused(text):
    assert code_of(lambda: user.parse_role(text)) == "ROLE_UNKNOWN"


REGION_AT = dict(zip(Level, ("", "9", "9.178", "9.178.1204", "9.178.1204.77", "9.178.1204.77.5"), strict=True))


@pytest.mark.parametrize(("role", "depth"), list(product(Role, Level)))
def test_a_role_works_at_its_level_and_the_community_from_the_block_down(role, depth):
    fits = depth >= Level.BLOCK if role in COMMUNITY else depth == LEVEL_OF[role]
    if fits:
        user.check_level(role, REGION_AT[depth])
    else:
        assert code_of(lambda: user.check_level(role, REGION_AT[depth])) == "REGION_LEVEL"


def test_only_the_community_is_mapped_to_institutions():
    assert user.check_institutions(Role.BLOCK_ADMIN, []) == frozenset()
    assert code_of(lambda: user.check_institutions(Role.BLOCK_ADMIN, [uuid4()])) == "INSTITUTIONS_NOT_HERS"
    assert code_of(lambda: user.check_institutions(Role.SHG_BOOKKEEPER, [uuid4()] * 1001)) == "INSTITUTIONS_TOO_MANY"


def test_one_mobile_is_one_person_and_does_not_show():
    one = user.person(b"key", "9876543210")
    assert one == user.person(b"key", "9876543210")
    assert one != user.person(b"key", "9876543211")
    assert one != user.person(b"other", "9876543210")
    assert "9876543210" not in one
    assert len(one) == 32


def test_a_row_says_who_she_is_where_and_for_whom():
    wanted = read(role="shg bookkeeper")
    assert (wanted.user_id, wanted.full_name, wanted.region, wanted.roles) == ("IUP_SITA1", "Sita Devi", f"{BLOCK}.77.5", {Role.SHG_BOOKKEEPER})
    assert wanted.institution_ids == {IDS["jyoti"]}


@pytest.mark.parametrize(
    ("changes", "names", "region"),
    [
        ({"shgs": " JYOTI  swayam sahayata SAMOOH ; ekta;"}, {"jyoti", "ekta"}, f"{BLOCK}.77.5"),
        ({"shgs": "Ekta", "village": "6"}, {"ekta6"}, f"{BLOCK}.77.6"),
        ({"shgs": "", "village": ""}, set(), f"{BLOCK}.77"),
        ({"village": ""}, {"jyoti"}, f"{BLOCK}.77"),
        ({"vo": "Pragati"}, {"jyoti", "vo"}, f"{BLOCK}.77"),
        ({"vo": "Shakti"}, {"jyoti", "vo_block"}, f"{BLOCK}.77"),
        ({"shgs": "", "village": "", "clf": "nari shakti", "role": "CLF Bookkeeper"}, {"clf"}, BLOCK),
    ],
)
def test_names_are_found_where_they_may_lie(changes, names, region):
    wanted = read(**changes)
    assert wanted.institution_ids == {IDS[name] for name in names}
    assert wanted.region == region


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"id": "IBH_SITA"}, "USER_ID_INVALID", "User ID"),
        ({"name": ""}, "NAME_MISSING", "Bookkeeper name"),
        ({"mobile": "12345"}, "MOBILE_INVALID", "Mobile"),
        ({"role": "Block Admin"}, "ROLE_UNKNOWN", "Role"),
        ({"panchayat": "99"}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"panchayat": ""}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"panchayat": "77.5"}, "REGION_INVALID", "Gram Panchayat"),
        ({"village": "7"}, "REGION_UNKNOWN", "Village"),
        ({"village": "Rampur"}, "REGION_INVALID", "Village"),
        ({"shgs": "Deepak"}, "INSTITUTION_UNKNOWN", "SHGs (to be assigned)"),
        ({"shgs": "Ekta", "village": ""}, "INSTITUTION_AMBIGUOUS", "SHGs (to be assigned)"),
        ({"vo": "Door"}, "INSTITUTION_UNKNOWN", "VO (to be assigned)"),
        ({"clf": "Pragati"}, "INSTITUTION_UNKNOWN", "CLF (to be assigned)"),
        ({"name": "S" * 1001}, "CELL_TOO_LONG", "Bookkeeper name"),
    ],
)
def test_a_wrong_row_is_refused_at_its_column(changes, code, field):
    with pytest.raises(Refused) as refused:
        read(**changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert str(refused.value)


def test_a_row_maps_and_never_makes_one_woman_into_another():
    there = replace(read(), version=4, made_on=date(2025, 1, 1))
    assert sheet.remap(there, read(), BLOCK) == there
    remapped = sheet.remap(there, read(vo="Pragati"), BLOCK)
    assert (remapped.institution_ids, remapped.region, remapped.version) == ({IDS["jyoti"], IDS["vo"]}, f"{BLOCK}.77", 4)
    for other in (read(name="Gita Devi"), read(mobile="9876543211"), read(role="VO Bookkeeper")):
        assert code_of(lambda other=other: sheet.remap(there, other, BLOCK)) == "USER_EXISTS"
    assert code_of(lambda: sheet.remap(replace(there, region="9.178.1205"), read(), BLOCK)) == "USER_EXISTS"
    assert code_of(lambda: sheet.remap(replace(there, active=False), read(), BLOCK)) == "USER_EXISTS"


def number(first="0", rest="1234567890"):
    return first + rest + check_digit(first + rest)


def test_a_number_that_is_never_issued_is_only_the_sandboxs():
    assert kyc.check_number(number("0"), never_issued_too=True) == number("0")
    assert code_of(lambda: kyc.check_number(number("0"), never_issued_too=False)) == "AADHAAR_INVALID"
    assert code_of(lambda: kyc.check_number(number("1"), never_issued_too=False)) == "AADHAAR_INVALID"


@pytest.mark.parametrize("text", ["", "1" * 11, "0" * 13, "01234567890a", "०१२३४५६७८९०१", number()[:11] + str((int(number()[11]) + 1) % 10)])
def test_another_number_is_refused(text):
    with pytest.raises(Invalid) as refused:
        kyc.check_number(text, never_issued_too=True)
    assert refused.value.code == "AADHAAR_INVALID"
    assert not refused.value.params


@given(st.text("0123456789", min_size=10, max_size=10), st.integers(0, 11), st.integers(1, 9))
def test_every_single_wrong_digit_is_found(rest, place, shift):
    right = number("1", rest)
    wrong = right[:place] + str((int(right[place]) + shift) % 10) + right[place + 1 :]
    assert code_of(lambda: kyc.check_number(wrong, never_issued_too=True)) == "AADHAAR_INVALID"


def test_only_the_last_four_digits_show():
    assert kyc.mask("012345678901") == "XXXX XXXX 8901"


def test_consent_comes_first():
    kyc.check_consent(consent=True)
    assert code_of(lambda: kyc.check_consent(consent=False)) == "CONSENT_MISSING"


def begun(**changes):
    plain = {"kyc_id": UUID(int=1), "member_id": UUID(int=2), "reference": UUID(int=3), "provider_txn": "t"}
    return kyc.Kyc(**plain | {"expires_at": NOW + timedelta(minutes=1), "tries": 0, "confirmed": False} | changes)


@pytest.mark.parametrize(
    ("changes", "over"),
    [({}, False), ({"tries": 2}, False), ({"tries": 3}, True), ({"confirmed": True}, True), ({"expires_at": NOW}, True)],
)
def test_an_e_kyc_is_tried_three_times_in_its_time_and_confirmed_once(changes, over):
    if over:
        with pytest.raises(Conflict) as refused:
            kyc.check_try(begun(**changes), NOW)
        assert refused.value.code == "KYC_EXPIRED"
    else:
        kyc.check_try(begun(**changes), NOW)


def test_unknown_institutions_are_not_found():
    with pytest.raises(NotFound):
        read(shgs="Deepak")


def test_the_states_have_one_code_each():
    assert len(STATE_LGD) == 36
    assert set(STATE_LGD.values()) == set(range(1, 39)) - {25, 26}
    assert (STATE_LGD["UP"], STATE_LGD["BR"]) == (9, 10)
