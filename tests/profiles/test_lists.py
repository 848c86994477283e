"""Lists: the national values, what a state may change in them, and that a device which takes what has changed misses nothing."""

import io
import random
import subprocess
import sys
import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import delete, event, select

from protos import common_pb2, profiles_pb2
from services.chassis import audit, contracts, database, interceptors, sheets
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.profiles import servicer
from services.profiles.commands import lists
from services.profiles.rules import list_edits
from services.profiles.rules.list_edits import Edit, Entry, decide
from services.profiles.rules.lists import CLOSED, DEFAULTS, LOCKED, Lists, Value
from services.profiles.servicer import masters
from services.profiles.tables import list_values

SERVICE = "profiles"
ROOT = Path(__file__).parents[2]
TODAY = date(2026, 4, 1)
LANGUAGES = ("en", "hi", "bn")
ADMIN = Caller("IUP_ADMIN", Role.STATE_ADMIN, "9")
NAMES = """SOCIAL_CATEGORY RELIGION MARITAL_STATUS DISABILITY PIP_CATEGORY WELLBEING_CATEGORY DUTY EDUCATION INSURANCE LIVELIHOOD CADRE PHONE_OWNER
    NO_DOCUMENT DOCUMENT ADDRESS_KIND HEAD_OF_FAMILY GUARDIAN_RELATION LEAVING_REASON CLOSING_REASON PROMOTED_BY SPECIAL_TAG EXTERNAL_SYSTEM BODY POST
    REJECTION_REASON SAVING_TYPE FUND_SOURCE PAYMENT_MODE LOAN_PURPOSE"""


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def new(code="TEST_EBC", name="SOCIAL_CATEGORY", **changes):
    """An edit that adds a value."""
    made = Edit(name, code, "OBC", {"en": "Extremely Backward Class"}, 35, active=True, valid_from="", valid_to="", version=0)
    return replace(made, **changes)


def of(entry, name="SOCIAL_CATEGORY", **changes):
    """An edit of a value that is held: as it is, but for the changes."""
    value = entry.value
    days = ["" if day is None else day.isoformat() for day in (value.valid_from, value.valid_to)]
    made = Edit(name, value.code, value.national_code, value.labels, entry.order, value.active, *days, entry.version)
    return replace(made, **changes)


# --- Rules


def test_every_list_is_there_with_labels_in_english_and_hindi():
    assert set(DEFAULTS.values) == set(NAMES.split())
    for name, values in DEFAULTS.values.items():
        assert len(values) >= 4, name
        for code, value in values.items():
            assert value.code == value.national_code == code
            assert list_edits._CODE.fullmatch(code), code
            assert set(value.labels) == {"en", "hi"}
            assert value.labels["en"].isascii(), code
            assert any("\u0900" <= letter <= "\u097f" for letter in value.labels["hi"]), code
        for language in ("en", "hi"):  # Two that read alike cannot be told apart on a screen.
            assert len({value.labels[language] for value in values.values()}) == len(values), (name, language)
    assert len(DEFAULTS.values["DISABILITY"]) == 21
    assert next(iter(DEFAULTS.values["REJECTION_REASON"])) == "DUPLICATE"
    assert set(DEFAULTS.values) > CLOSED
    assert all(code in DEFAULTS.values[name] for name, code in LOCKED)
    assert not any(list_edits._AADHAAR.search(f"{value.code} {value.labels}") for values in DEFAULTS.values.values() for value in values.values())


@pytest.mark.parametrize(
    ("code", "kept", "refused"),
    [
        ("NOW", "", None),
        ("RETIRED", "", "VALUE_RETIRED"),
        ("RETIRED", "NOW", "VALUE_RETIRED"),
        ("RETIRED", "RETIRED", None),
        ("COMING", "", "VALUE_RETIRED"),
        ("FROM_TODAY", "", None),
        ("TO_TODAY", "", None),
        ("GONE", "", "VALUE_RETIRED"),
        ("GONE", "GONE", None),
        ("", "", "VALUE_UNKNOWN"),
        ("now", "", "VALUE_UNKNOWN"),
        ("NEVER", "NEVER", "VALUE_UNKNOWN"),
    ],
)
def test_a_code_is_known_and_in_use_or_kept(code, kept, refused):
    def value(code, first=None, last=None, *, active=True):
        return code, Value(code, "NATIONAL", first, last, active, {"en": code})

    day_before, day_after = date(2026, 3, 31), date(2026, 4, 2)
    values = [
        value("NOW"),
        value("RETIRED", active=False),
        value("COMING", day_after),
        value("FROM_TODAY", TODAY),
        value("TO_TODAY", None, TODAY),
        value("GONE", None, day_before),
    ]
    held = Lists({"LIST": dict(values)})
    if refused is None:
        assert held.must_know("LIST", code, "field", TODAY, kept) == code
        return
    with pytest.raises(Refused) as no:
        held.must_know("LIST", code, "a.field", TODAY, kept)
    assert (no.value.code, no.value.field) == (refused, "a.field")
    if refused == "VALUE_UNKNOWN":
        assert str(no.value) == "The list LIST has no such value; it has NOW, FROM_TODAY, TO_TODAY."


def test_a_long_list_is_not_told_whole_nor_is_what_was_written():
    with pytest.raises(Refused) as no:
        DEFAULTS.must_know("LIVELIHOOD", "Sunita Devi", "livelihoods", TODAY)
    assert str(no.value).endswith("FOOD_PROCESSING and more.")
    assert "Sunita" not in str(no.value) + str(no.value.params)


def test_every_value_has_a_national_code_to_add_up_by():
    held = Lists({"SOCIAL_CATEGORY": {"EBC": Value("EBC", "OBC", None, None, active=True, labels={"en": "EBC"})}})
    assert held.national("SOCIAL_CATEGORY", "EBC") == "OBC"
    assert held.national("SOCIAL_CATEGORY", "UNHEARD_OF") == held.national("NO_LIST", "UNHEARD_OF") == "UNHEARD_OF"


NO = {
    "LIST_UNKNOWN": new(name="COLOUR"),
    "LIST_CLOSED": new(name="BODY", national_code="BOARD"),
    "VALUE_CODE_INVALID": new("Ebc"),
    "VALUE_UNKNOWN": new(version=1),
    "NATIONAL_CODE_UNKNOWN": new(national_code="TEST_EBC"),
    "LABEL_MISSING": new(labels={"hi": "अति पिछड़ा वर्ग"}),
    "LABEL_INVALID": new(labels={"en": "Extremely\0backward"}),
    "LANGUAGE_UNKNOWN": new(labels={"en": "EBC", "xx": "EBC"}),
    "ORDER_INVALID": new(order=0),
    "VALIDITY_ORDER": new(valid_from="2026-04-02", valid_to="2026-04-01"),
    "DATE_INVALID": new(valid_from="1 April"),
    "AADHAAR_NOT_LISTED": new("AADHAAR_CARD", "DOCUMENT", national_code="OTHER"),
}


@pytest.mark.parametrize("code", NO)
def test_what_cannot_be_added(code):
    assert code_of(decide, list_edits.defaults(), NO[code], LANGUAGES) == code


def test_a_value_of_the_states_own_is_not_what_another_counts_as():
    held = list_edits.defaults()
    held["SOCIAL_CATEGORY"]["TEST_EBC"] = decide(held, new(), LANGUAGES)
    assert code_of(decide, held, new("TEST_MBC", national_code="TEST_EBC"), LANGUAGES) == "NATIONAL_CODE_UNKNOWN"


@pytest.mark.parametrize("label", ["Aadhaar card", "aadhar", "आधार", "आधार कार्ड", "UIDAI number"])
def test_no_label_asks_for_aadhaar(label):
    assert code_of(decide, list_edits.defaults(), new(labels={"en": "Card", "hi": label}), LANGUAGES) == "AADHAAR_NOT_LISTED"


@pytest.mark.parametrize("label", ["Jan Aadhaar", "जन आधार", "आधारित", "Padhar village card"])
def test_what_only_sounds_like_it_is_taken(label):
    assert decide(list_edits.defaults(), new(labels={"en": "Card", "hi": label}), LANGUAGES).value.labels["hi"] == label


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, None),
        ({"labels": {"en": "President of the group", "hi": "", "bn": "সভাপতি"}, "order": 1}, None),
        ({"active": False}, "VALUE_LOCKED"),
        ({"valid_to": "2027-03-31"}, "VALUE_LOCKED"),
        ({"valid_from": "2027-03-31"}, "VALUE_LOCKED"),
        ({"national_code": "MEMBER"}, "NATIONAL_CODE_FIXED"),
        ({"version": 0, "order": 2}, "VALUE_CHANGED"),
        ({"version": 2, "order": 2}, "VALUE_CHANGED"),
        ({"labels": {"en": " "}}, "LABEL_MISSING"),
    ],
)
def test_what_may_change_in_a_value_that_code_counts_on(changes, refused):
    held = list_edits.defaults()
    wanted = of(held["POST"]["PRESIDENT"], "POST", **changes)
    if refused:
        assert code_of(decide, held, wanted, LANGUAGES) == refused
        return
    decided = decide(held, wanted, LANGUAGES)
    assert (decided is None) == (not changes)
    if changes:
        assert decided.value.labels == {"en": "President of the group", "bn": "সভাপতি"}


def test_a_label_outlives_its_language_in_the_states_file():
    held = list_edits.defaults()
    bengali = decide(held, of(held["POST"]["MEMBER"], "POST", labels={"bn": "সদস্য"}), LANGUAGES)
    held["POST"]["MEMBER"] = bengali
    assert decide(held, of(bengali, "POST", order=1), ("en", "hi")).value.labels["bn"] == "সদস্য"
    assert code_of(decide, held, of(held["POST"]["SECRETARY"], "POST", labels={"bn": "সচিব"}), ("en", "hi")) == "LANGUAGE_UNKNOWN"


# --- Commands


def apply(connection, *edits, who=ADMIN, dry_run=False):
    return lists.edit(connection, who, edits, LANGUAGES, dry_run=dry_run)


def refusals(answers):
    return [answer.refused and answer.refused.code for answer in answers]


def test_a_state_begins_with_the_national_values(connection):
    held = lists.lists(connection)
    for name, values in DEFAULTS.values.items():
        assert all(held.values[name][code].national_code == code for code in values)
    assert next(iter(held.values["REJECTION_REASON"])) == "DUPLICATE"
    assert held.must_know("POST", "PRESIDENT", "post", TODAY) == "PRESIDENT"


def test_edits_are_answered_one_by_one_and_the_same_again_changes_nothing(connection):
    before = lists.version(connection)
    sc = lists.entries_by_list(connection)["SOCIAL_CATEGORY"]["SC"]
    edits = [new(), of(sc, active=False), new("lower"), new("TEST_SEBC", order=2)]
    answers = apply(connection, *edits)
    assert refusals(answers) == [None, None, "VALUE_CODE_INVALID", None]
    assert [answer.entry.version for answer in answers if answer.entry] == [before + 1] * 3
    assert lists.version(connection) == before + 1
    held = lists.lists(connection)
    assert next(iter(held.values["SOCIAL_CATEGORY"])) == "TEST_SEBC"  # As the screen has them.
    assert code_of(held.must_know, "SOCIAL_CATEGORY", "SC", "social_category", TODAY) == "VALUE_RETIRED"
    assert held.must_know("SOCIAL_CATEGORY", "SC", "social_category", TODAY, kept="SC") == "SC"
    assert held.national("SOCIAL_CATEGORY", "TEST_EBC") == "OBC"

    again = apply(connection, *edits)
    assert [answer.entry for answer in again] == [answer.entry for answer in answers]
    assert not any(answer.changed for answer in again)
    assert lists.version(connection) == before + 1
    noted = connection.execute(select(audit.audit).where(audit.audit.c.action == "masters.edit").order_by(audit.audit.c.id.desc())).first()
    assert noted.subjects == ["SOCIAL_CATEGORY.TEST_EBC", "SOCIAL_CATEGORY.SC", "SOCIAL_CATEGORY.TEST_SEBC"]
    assert (noted.user_id, noted.facts) == ("IUP_ADMIN", {"version": before + 1})


def test_whoever_saw_an_older_version_is_told_so(connection):
    first = apply(connection, new())[0].entry
    renamed = of(first, labels={"en": "EBC"})
    assert refusals(apply(connection, renamed, of(first, order=7))) == [None, "VALUE_CHANGED"]
    assert refusals(apply(connection, of(first, order=8), new(labels={"en": "Another"}))) == ["VALUE_CHANGED"] * 2
    stands = lists.entries_by_list(connection)["SOCIAL_CATEGORY"]["TEST_EBC"]
    assert (stands.value.labels, stands.order) == ({"en": "EBC"}, 35)


def test_a_translation_is_added_beside_the_others(connection):
    first = apply(connection, new(labels={"en": "EBC", "hi": "अति पिछड़ा वर्ग"}))[0].entry
    second = apply(connection, of(first, labels={"bn": "অতি অনগ্রসর"}))[0].entry
    assert second.value.labels == {"en": "EBC", "hi": "अति पिछड़ा वर्ग", "bn": "অতি অনগ্রসর"}


def test_a_dry_run_answers_as_if(connection):
    before, held = lists.version(connection), lists.entries_by_list(connection)
    assert refusals(apply(connection, new(), new("x"), dry_run=True)) == [None, "VALUE_CODE_INVALID"]
    assert (lists.version(connection), lists.entries_by_list(connection)) == (before, held)
    assert code_of(apply, connection, *[new()] * (list_edits.EDITS_MAX + 1)) == "EDITS_TOO_MANY"


def sync(connection, device, since, size=7):
    """What a device does: pages to the last one, each value in the place of the one that it had."""
    after, came = "", []
    while True:
        version, page, after = lists.changed_since(connection, since, after, size)
        came += [((name, entry.value.code), entry) for name, entry in page]
        if not after:
            assert len(dict(came)) == len(came)
            device |= dict(came)
            return version


def test_a_device_that_takes_what_has_changed_has_what_stands(connection):
    chance = random.Random(13)
    device, since = {}, 0
    for number in range(40):
        held = lists.entries_by_list(connection)
        name = chance.choice([one for one in held if one not in CLOSED])
        entry = chance.choice(list(held[name].values()))
        national = entry.value.national_code
        added = new(f"TEST_{number}", name, national_code=national)
        apply(connection, of(entry, name, order=chance.randint(1, 99)), *chance.choice([[], [added]]))
        if chance.random() < 0.3:
            since = sync(connection, device, since)
    since = sync(connection, device, since)
    held = lists.entries_by_list(connection)
    assert device == {(name, code): entry for name, entries in held.items() for code, entry in entries.items()}
    assert sync(connection, {}, since) == since
    assert lists.changed_since(connection, since, "", 50)[1:] == ([], "")


def test_a_value_that_changes_between_two_pages_comes_again(connection):
    device = {}
    _, page, after = lists.changed_since(connection, 0, "", 7)
    device |= {(name, entry.value.code): entry for name, entry in page}
    (first, entry), *_ = page
    apply(connection, of(entry, first, order=77))
    while after:
        version, page, after = lists.changed_since(connection, 0, after, 7)
        device |= {(name, each.value.code): each for name, each in page}
    assert device[first, entry.value.code].version == version
    held = lists.entries_by_list(connection)
    assert device == {(name, code): entry for name, entries in held.items() for code, entry in entries.items()}


@pytest.mark.parametrize("after", ["x", "1", "1:", "1:A", "-1:A:B", "1:A:", "9" * 30 + ":A:B", "1:\0:B"])
def test_a_page_begins_after_one_that_there_was(connection, after):
    assert code_of(lists.changed_since, connection, 0, after, 7) == "PAGE_INVALID"


def test_a_version_that_never_was_begins_again(connection):
    for since in (-1, lists.version(connection) + 1):
        assert code_of(lists.changed_since, connection, since, "", 7) == "VERSION_UNKNOWN"


def test_rules_ask_the_memory_until_something_changes(connection):
    statements = []
    lists.lists(connection)
    event.listen(connection, "before_cursor_execute", lambda _connection, _cursor, statement, *_: statements.append(statement))
    assert lists.lists(connection) is lists.lists(connection)
    assert len(statements) == 2
    assert not any("list_values" in statement for statement in statements)
    apply(connection, new())
    assert "TEST_EBC" in lists.lists(connection).values["SOCIAL_CATEGORY"]


def test_what_was_rolled_back_is_forgotten_though_its_version_comes_again(connection):
    undone = connection.begin_nested()
    apply(connection, new("TEST_UNDONE"))
    assert "TEST_UNDONE" in lists.lists(connection).values["SOCIAL_CATEGORY"]
    undone.rollback()
    apply(connection, new("TEST_DONE"))
    assert {"TEST_UNDONE", "TEST_DONE"} & set(lists.lists(connection).values["SOCIAL_CATEGORY"]) == {"TEST_DONE"}


# --- Several at once, committed


@pytest.fixture
def leaves_nothing(up):
    yield
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(list_values).where(list_values.c.code.like("TEST\\_%")))


def test_versions_come_into_sight_in_their_order(leaves_nothing):
    second = []

    def edit_too():
        with database.transaction(SERVICE) as connection:
            second.extend(apply(connection, new("TEST_SECOND")))

    other = threading.Thread(target=edit_too)
    with database.transaction(SERVICE) as connection:
        before = lists.version(connection)
        apply(connection, new("TEST_FIRST"))
        other.start()
        other.join(2)
        assert other.is_alive()  # It waits for the version that came first.
        with database.transaction(SERVICE) as reader:
            assert lists.changed_since(reader, before, "", 7) == (before, [], "")
    other.join(60)
    with database.transaction(SERVICE) as reader:
        version, page, _ = lists.changed_since(reader, before, "", 7)
    assert version == before + 2
    assert [(entry.value.code, entry.version) for _, entry in page] == [("TEST_FIRST", before + 1), ("TEST_SECOND", before + 2)]
    assert refusals(second) == [None]


def test_two_who_change_one_value_at_once_have_one_outcome(leaves_nothing):
    with database.transaction(SERVICE) as connection:
        first = apply(connection, new())[0].entry
    answers = {}
    together = threading.Barrier(2)

    def rename(label):
        together.wait(60)
        with database.transaction(SERVICE) as connection:
            answers[label] = apply(connection, of(first, labels={"en": label}))[0]

    both = [threading.Thread(target=rename, args=(label,)) for label in ("One", "Other")]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert sorted(answer.refused.code if answer.refused else "" for answer in answers.values()) == ["", "VALUE_CHANGED"]
    with database.transaction(SERVICE) as connection:
        stands = lists.entries_by_list(connection)["SOCIAL_CATEGORY"]["TEST_EBC"].value.labels["en"]
    assert answers[stands].changed


# --- The calls


@pytest.fixture
def served(connection, monkeypatch):
    """The servicer, answering the State Admin inside the test's own transaction."""
    monkeypatch.setattr(masters, "transaction", lambda: nullcontext(connection))
    interceptors._caller.set(ADMIN)
    return servicer.Servicer()


def test_who_may_call():
    rpcs = {path.rpartition("/")[2]: rpc for path, rpc in contracts.rpcs(SERVICE).items()}
    assert rpcs["EditMasters"].roles == {Role.STATE_ADMIN, Role.STATE_THEMATIC_USER}
    assert rpcs["ListMasters"].any_role


def test_a_screen_edits_what_it_was_shown(served):
    shown = list(_all(served))
    assert {value.list for value in shown} >= set(DEFAULTS.values)
    by_code = {(value.list, value.code): value for value in shown}
    treasurer, other = by_code["POST", "TREASURER"], by_code["POST", "CONVENER"]
    assert treasurer.locked
    assert not other.locked
    assert by_code["BODY", "OFFICE"].list_closed
    assert set(treasurer.labels) == {"en", "hi"}
    answer = served.EditMasters(profiles_pb2.EditMastersRequest(values=shown), None)
    assert not any(one.HasField("refusal") for one in answer.answers)
    since = served.ListMasters(profiles_pb2.ListMastersRequest(), None).version

    treasurer.active = other.active = False
    other.labels["hi"] = "संयोजिका"
    added = profiles_pb2.MasterValue(list="POST", code="TEST_ADVISER", national_code="MEMBER", labels={"en": "Adviser"}, order=99, active=True)
    answer = served.EditMasters(profiles_pb2.EditMastersRequest(values=[treasurer, other, added]), None)
    assert [(one.refusal.code, one.refusal.field) for one in answer.answers] == [("VALUE_LOCKED", "active"), ("", ""), ("", "")]
    assert answer.answers[1].value.labels["hi"] == "संयोजिका"

    changed = served.ListMasters(profiles_pb2.ListMastersRequest(since_version=since, languages=["hi"]), None)
    assert {value.code: value.active for value in changed.values} == {"CONVENER": False, "TEST_ADVISER": True}
    assert {value.code: set(value.labels) for value in changed.values} == {"CONVENER": {"en", "hi"}, "TEST_ADVISER": {"en"}}
    assert (changed.version, changed.next) == (since + 1, "")
    assert changed.instance_epoch
    only_english = served.ListMasters(profiles_pb2.ListMastersRequest(since_version=since, languages=["en"]), None)
    assert {label for value in only_english.values for label in value.labels} == {"en"}
    dry = served.EditMasters(profiles_pb2.EditMastersRequest(values=[_renamed(added)], dry_run=True), None)
    assert dry.answers[0].refusal.code == "VALUE_CHANGED"  # It was added with another label, and not seen since.


def _all(served):
    after = ""
    while True:
        page = served.ListMasters(profiles_pb2.ListMastersRequest(page=common_pb2.Page(after=after, size=100)), None)
        yield from page.values
        after = page.next
        if not after:
            return


def _renamed(value):
    changed = profiles_pb2.MasterValue()
    changed.CopyFrom(value)
    changed.labels["en"] = "Guide"
    return changed


# --- The spreadsheet


def run(up, *arguments):
    command = [sys.executable, "-m", "services.profiles", "masters", *arguments]
    return subprocess.run(command, cwd=ROOT, env=up.instances["UP"].env, capture_output=True, text=True, check=False)


def test_a_states_team_edits_in_a_spreadsheet(up, tmp_path, leaves_nothing):
    file = tmp_path / "lists.xlsx"
    with database.transaction(SERVICE) as connection:
        apply(connection, new(labels={"en": "=1+1", "hi": "अति पिछड़ा वर्ग"}))
        count = len(connection.execute(select(list_values)).all())
    assert f"{count} values of 29 lists" in run(up, "export", str(file)).stdout
    untouched = run(up, "import", str(file))
    assert untouched.returncode == 0, untouched.stderr
    assert f"0 values have changed, {count} are as they were, 0 rows are refused." in untouched.stdout

    book = openpyxl.load_workbook(file)
    sheet = book.worksheets[0]
    header = [cell.value for cell in sheet[1]]
    mine = next(row for row in sheet.iter_rows() if row[1].value == "TEST_EBC")
    assert mine[header.index("Label (en)")].data_type == "s"  # No formula, whatever it begins with.
    mine[header.index("Label (en)")].value = "Extremely Backward Class"
    mine[header.index("Label (hi)")].value = None
    sheet.append(["SOCIAL_CATEGORY", "TEST_SEBC", "OBC", 36, "yes", date(2026, 4, 1), None, None, "SEBC"])
    sheet.append(["SOCIAL_CATEGORY", "TEST_MBC", "NOBODY", 37, "YES", None, None, None, "MBC"])
    sheet.append(["SOCIAL_CATEGORY", "TEST_DNT", "OBC", "last", "YES", None, None, None, "DNT"])
    sheet.append(["SOCIAL_CATEGORY", "TEST_NT", "OBC", 38, "maybe", None, None, None, "NT"])
    edited = io.BytesIO()
    book.save(edited)
    file.write_bytes(edited.getvalue())

    last = sheet.max_row
    tried = run(up, "import", str(file), "--dry-run")
    assert tried.returncode == 1
    assert f"refused: row {last - 2}, National code: Name the national value" in tried.stdout
    assert f"refused: row {last - 1}, Order: Write a whole number." in tried.stdout
    assert f"refused: row {last}, Active: Write YES or NO." in tried.stdout
    assert "2 values would change" in tried.stdout
    assert "2 values have changed" in run(up, "import", str(file), "--by", "IUP_X").stdout
    assert "0 values have changed" in run(up, "import", str(file)).stdout
    with database.transaction(SERVICE) as connection:
        noted = connection.scalars(select(audit.audit.c.user_id).where(audit.audit.c.action == "masters.edit").order_by(audit.audit.c.id.desc()))
        assert noted.first() == "operator IUP_X"
        held = lists.entries_by_list(connection)["SOCIAL_CATEGORY"]
    assert held["TEST_EBC"].value.labels == {"en": "Extremely Backward Class"}
    assert held["TEST_SEBC"].value == Value("TEST_SEBC", "OBC", TODAY, None, active=True, labels={"en": "SEBC"})
    assert not {"TEST_MBC", "TEST_DNT", "TEST_NT"} & set(held)


def test_a_sheet_that_is_none_is_refused_as_a_whole(up, tmp_path):
    file = tmp_path / "lists.xlsx"
    file.write_text("no sheet")
    assert "save it as XLSX" in run(up, "import", str(file)).stderr
    assert run(up, "import", str(tmp_path / "nowhere.xlsx")).returncode == 2
    assert "--dry-run" in run(up, "--help").stdout


def test_a_row_of_the_sheet_is_the_value_itself():
    for name, entries in list_edits.defaults().items():
        for entry in entries.values():
            cells = dict(zip(list_edits.sheet_columns(LANGUAGES), list_edits.to_sheet(name, entry, LANGUAGES), strict=True))
            assert decide({name: entries}, list_edits.from_sheet(cells, LANGUAGES), LANGUAGES) is None
    assert isinstance(entry, Entry)
    assert sheets.ROWS_MAX <= list_edits.EDITS_MAX
