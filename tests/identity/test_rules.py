"""What identity decides, with nothing running."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.rules import kyc, sheet, user
from services.identity.rules.assignment import Institution
from services.identity.rules.sheet import Block
from services.identity.rules.user import Assignment, Status
from services.kernel.caller import COMMUNITY, LEVEL_OF, Role
from services.kernel.codes import check_digit
from services.kernel.errors import Conflict, Invalid, Refused
from services.kernel.region import Level
from services.kernel.states import STATE_LGD
from tests.identity.builders import BLOCK, GP, HERE, VILLAGE, with_policies

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
IDS = {name: uuid4() for name in ("jyoti", "ekta", "ekta6", "vo", "vo_block", "clf", "far")}
SHEET = Block(
    BLOCK,
    HERE,
    [
        Institution(IDS["jyoti"], "SHG", "Jyoti Swayam Sahayata Samooh", VILLAGE),
        Institution(IDS["ekta"], "SHG", "Ekta", VILLAGE),
        Institution(IDS["ekta6"], "SHG", "Ekta", f"{GP}.6"),
        Institution(IDS["vo"], "VO", "Pragati", GP),
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
    }
    names = {column.split(" (")[0].split()[-1].lower(): column for column in plain}
    return plain | {names[name]: text for name, text in changes.items()}


def read(**changes):
    return sheet.read(cells(**changes), SHEET)


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


def test_one_mobile_is_one_person_and_does_not_show():
    one = user.person(b"key", "9876543210")
    assert one == user.person(b"key", "9876543210")
    assert one != user.person(b"key", "9876543211")
    assert one != user.person(b"other", "9876543210")
    assert "9876543210" not in one
    assert len(one) == 32


def test_a_row_says_who_she_is_where_and_for_whom():
    row = read(role="shg bookkeeper")
    assert (row.user_id, row.full_name, row.mobile) == ("IUP_SITA1", "Sita Devi", "9876543210")
    assert row.assignment == Assignment(Role.SHG_BOOKKEEPER, VILLAGE, frozenset({IDS["jyoti"]}))


NO_SHG = {"shgs": "", "village": ""}


@pytest.mark.parametrize(
    ("changes", "names", "region", "side"),
    [
        ({"shgs": " JYOTI  swayam sahayata SAMOOH ; ekta;"}, {"jyoti", "ekta"}, VILLAGE, ""),
        ({"shgs": "Ekta", "village": "6"}, {"ekta6"}, f"{GP}.6", ""),
        ({"shgs": "", "village": ""}, set(), GP, ""),
        ({"village": ""}, {"jyoti"}, GP, ""),
        ({**NO_SHG, "role": "VO Bookkeeper", "vo": "Pragati"}, {"vo"}, GP, ""),
        ({**NO_SHG, "role": "VO Bookkeeper", "vo": "Shakti; pragati"}, {"vo", "vo_block"}, GP, ""),
        ({**NO_SHG, "clf": "nari shakti", "role": "CLF Bookkeeper"}, {"clf"}, BLOCK, ""),
        ({**NO_SHG, "panchayat": "", "clf": "nari shakti", "role": "CLF Bookkeeper"}, {"clf"}, BLOCK, ""),
        ({"role": "SHG Trans Approver", "vo": "Pragati", **NO_SHG}, {"vo"}, GP, "VO"),
        ({"role": "SHG Trans Approver", "vo": "Pragati"}, {"vo", "jyoti"}, GP, "VO"),
        ({"role": "SHG Trans Approver", "clf": "Nari Shakti", **NO_SHG}, {"clf"}, BLOCK, "CLF"),
        ({"role": "VO Trans Approver", "clf": "Nari Shakti", **NO_SHG}, {"clf"}, BLOCK, "CLF"),
        ({"role": "VO Meeting & Transaction Approver", "clf": "Nari Shakti", "vo": "Pragati", **NO_SHG}, {"clf", "vo"}, BLOCK, "CLF"),
        # A place by its code, as the list shows it, or by a name that is one's alone.
        ({"panchayat": "Rampur (77)", "village": "Rampur Kala (5)"}, {"jyoti"}, VILLAGE, ""),
        ({"panchayat": "RAMPUR ", "village": "rampur  kala"}, {"jyoti"}, VILLAGE, ""),
        ({"panchayat": "077", "village": "05"}, {"jyoti"}, VILLAGE, ""),
        ({"panchayat": "", "village": "Rampur Kala"}, {"jyoti"}, VILLAGE, ""),
        ({"panchayat": "Rampur", "village": "Belwa", "shgs": "Ekta"}, {"ekta6"}, f"{GP}.6", ""),
    ],
)
def test_names_are_found_where_they_may_lie(changes, names, region, side):
    made = read(**changes).assignment
    assert (made.institution_ids, made.region, made.side) == ({IDS[name] for name in names}, region, side)


SHGS, VOS, CLFS = sheet.ASSIGNED.values()


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"id": "IBH_SITA"}, "USER_ID_INVALID", "User ID"),
        ({"name": ""}, "NAME_MISSING", "Bookkeeper name"),
        ({"mobile": "12345"}, "MOBILE_INVALID", "Mobile"),
        ({"role": "Block Admin"}, "ROLE_UNKNOWN", "Role"),
        ({"role": ""}, "ROLE_UNKNOWN", "Role"),
        ({"panchayat": "99"}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"panchayat": "77.5"}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"panchayat": "Door"}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"panchayat": "5"}, "REGION_UNKNOWN", "Gram Panchayat"),
        ({"village": "7"}, "REGION_UNKNOWN", "Village"),
        ({"village": "Rampur"}, "REGION_UNKNOWN", "Village"),
        ({"panchayat": "", "village": "Belwa"}, "REGION_AMBIGUOUS", "Village"),
        ({"shgs": "Deepak"}, "INSTITUTION_UNKNOWN", SHGS),
        ({"shgs": "Ekta", "village": ""}, "INSTITUTION_AMBIGUOUS", SHGS),
        ({"role": "VO Bookkeeper", "vo": "Door", "shgs": ""}, "INSTITUTION_UNKNOWN", VOS),
        ({"role": "CLF Bookkeeper", "clf": "Pragati", "shgs": ""}, "INSTITUTION_UNKNOWN", CLFS),
        ({"vo": "Pragati"}, "INSTITUTIONS_KIND", VOS),
        ({"role": "VO Bookkeeper"}, "INSTITUTIONS_KIND", SHGS),
        ({"role": "VO Trans Approver"}, "INSTITUTIONS_KIND", SHGS),
        ({"role": "SHG Trans Approver"}, "SIDE_MISSING", VOS),
        ({"role": "SHG Trans Approver", "vo": "Pragati", "clf": "Nari Shakti"}, "SIDE_TWICE", CLFS),
        ({"name": "S" * 1001}, "CELL_TOO_LONG", "Bookkeeper name"),
    ],
)
def test_a_wrong_row_is_refused_at_its_column(changes, code, field):
    with pytest.raises(Refused) as refused:
        read(**changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert str(refused.value)


def test_more_institutions_than_a_token_carries_are_refused_in_words_that_help():
    names = [f"{number:x}" for number in range(256, 457)]
    many = Block(BLOCK, HERE, [*(Institution(uuid4(), "SHG", name, VILLAGE) for name in names), Institution(IDS["vo"], "VO", "Pragati", GP)])
    row = cells(role="SHG Trans Approver", shgs=";".join(names), vo="Pragati")
    with pytest.raises(Invalid, match="the federation that they belong to") as refused:
        sheet.read(row, many)
    assert (refused.value.code, refused.value.field) == ("INSTITUTIONS_TOO_MANY", SHGS)
    assert len(sheet.read(row | {SHGS: ";".join(names[2:])}, many).assignment.institution_ids) == 200


def test_the_lists_of_a_block_show_what_a_row_takes():
    choices = SHEET.choices()
    assert choices["Gram Panchayat"] == ["Rampur (77)", "Sonpatti (78)"]
    assert choices["Village"] == ["Belwa (6)", "Belwa (7)", "Rampur Kala (5)"]
    assert choices[VOS] == ["Door", "Pragati", "Shakti"]
    assert choices["Role"] == [role.label for role in Role if role in COMMUNITY]
    for village in choices["Village"]:
        read(panchayat="", village=village, shgs="")


def user_of(row, **changes):
    return replace(sheet.wanted(None, row, SHEET), **changes)


def test_a_row_maps_and_never_makes_one_woman_into_another():
    there = user_of(read(), version=4, made_on=date(2025, 1, 1), email="sita@example.org")
    assert sheet.wanted(there, read(), SHEET) == there
    remapped = sheet.wanted(there, read(shgs="Jyoti Swayam Sahayata Samooh; Ekta"), SHEET)
    assert remapped == replace(there, assignments=(replace(there.assignments[0], institution_ids=frozenset({IDS["jyoti"], IDS["ekta"]})),))
    for other in (read(name="Gita Devi"), read(mobile="9876543211")):
        assert code_of(lambda other=other: sheet.wanted(there, other, SHEET)) == "USER_EXISTS"
    elsewhere = Assignment(Role.VO_BOOKKEEPER, "9.178.1205")
    officer = Assignment(Role.BLOCK_THEMATIC_USER, BLOCK)
    for changed in (
        {"assignments": (elsewhere,)},
        {"assignments": (*there.assignments, officer)},
        {"status": Status.DELETED},
    ):
        assert code_of(lambda changed=changed: sheet.wanted(replace(there, **changed), read(), SHEET)) == "USER_EXISTS"
    assert code_of(lambda: sheet.wanted(replace(there, status=Status.INACTIVE), read(), SHEET)) == "USER_STOPPED"
    # Columns that were not pasted undo nothing.
    assert code_of(lambda: sheet.wanted(there, read(shgs=""), SHEET)) == "INSTITUTIONS_MISSING"


def test_a_row_of_another_role_is_one_more_unless_the_state_keeps_them_apart():
    there = user_of(read())
    clf = read(role="CLF Bookkeeper", clf="Nari Shakti", **NO_SHG)
    assert sheet.wanted(there, clf, SHEET).roles == {Role.SHG_BOOKKEEPER, Role.CLF_BOOKKEEPER}
    vo = read(role="VO Bookkeeper", vo="Pragati", **NO_SHG)
    assert code_of(lambda: sheet.wanted(there, vo, SHEET)) == "ROLES_APART"
    together = Block(BLOCK, with_policies(bookkeeper_ids_apart=0), [])
    assert sheet.wanted(there, vo, together).roles == {Role.SHG_BOOKKEEPER, Role.VO_BOOKKEEPER}


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


def test_the_states_have_one_code_each():
    assert len(STATE_LGD) == 36
    assert set(STATE_LGD.values()) == set(range(1, 39)) - {25, 26}
    assert (STATE_LGD["UP"], STATE_LGD["BR"]) == (9, 10)
