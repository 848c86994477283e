"""The bookkeeper mapping sheet: whole files, on a real database."""

import io
import random
import zipfile
from threading import Barrier, Thread

import openpyxl
import pytest
from sqlalchemy import delete, event, func, select

from protos import identity_pb2, profiles_pb2
from services.chassis import audit, database, interceptors, jobs, mailbox, sheets
from services.chassis.serve import MESSAGE_BYTES_MAX
from services.identity import jobs as identity_jobs
from services.identity import queries
from services.identity.commands import session, sheet, user
from services.identity.rules.sheet import COLUMNS
from services.identity.rules.user import Status
from services.identity.servicer import Servicer
from services.identity.tables import institutions, sessions, uploads, user_roles, users
from services.kernel.caller import Caller, Role
from services.kernel.errors import Invalid, NotFound
from services.kernel.geography import Geography, Place
from services.kernel.ids import uuid7
from tests.identity.builders import BLOCK, BLOCK_ADMIN, DISTRICT_ADMIN, GP, HERE, TODAY, VILLAGE, create, heard, nobody, told

SERVICE = "identity"
SHGS, VOS, CLFS = "SHGs (to be assigned)", "VO (to be assigned)", "CLF (to be assigned)"


@pytest.fixture(autouse=True)
def nobody_yet(request):
    if "connection" in request.fixturenames:
        nobody(request.getfixturevalue("connection"))


def workbook(*rows, columns=COLUMNS):
    made = openpyxl.Workbook(write_only=True)
    page = made.create_sheet()
    for row in (columns, *([row.get(column) for column in columns] for row in rows)):
        page.append(row)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def line(**changes):
    plain = {
        "User ID": "IUP_SITA1",
        "Bookkeeper name": "Sita Devi",
        "Mobile": 9876543210,
        "Role": "SHG Bookkeeper",
        "Gram Panchayat": "Rampur (77)",
        "Village": 5,
        SHGS: "Jyoti",
    }
    return plain | changes


def upload(connection, *rows, dry_run=False, **more):
    return sheet.upload(connection, BLOCK_ADMIN, sheets.read(workbook(*rows), COLUMNS), HERE, dry_run=dry_run, **more)


def said(answers):
    return [(answer.row, answer.user_id, str(answer.refused), list(map(str, answer.warnings))) for answer in answers]


def codes(answers):
    return [answer.refused.code if answer.refused else answer.user_id for answer in answers]


def test_a_sheet_makes_users_row_by_row_and_again_changes_nothing(connection):
    group, federation = heard(connection), heard(connection, "Sangathan", profiles_pb2.KIND_VO, GP)
    rows = [
        line(),
        line(**{"User ID": "IUP_GITA1", SHGS: "Deepak"}),
        line(**{"User ID": "IUP_RITA1", "Mobile": "=1+1"}),
        line(**{SHGS: None}),
        line(**{"User ID": "IUP_MITA1", "Role": "SHG Trans Approver", "Village": None, SHGS: None, VOS: "Sangathan"}),
    ]
    answers = upload(connection, *rows)
    assert codes(answers) == ["IUP_SITA1", "INSTITUTION_UNKNOWN", "SHEET_FORMULA", "USER_TWICE", "IUP_MITA1"]
    assert [answer.row for answer in answers] == [2, 3, 4, 5, 6]
    made = queries.user(connection, "IUP_SITA1")
    [held] = made.assignments
    assert (held.institution_ids, held.region, made.mobile, made.made_on) == ({group}, VILLAGE, "9876543210", TODAY)
    [held] = queries.user(connection, "IUP_MITA1").assignments
    assert (held.institution_ids, held.region, held.side) == ({federation}, GP, "VO")
    assert queries.user(connection, "IUP_GITA1") is None
    assert queries.password_hash(connection, "IUP_SITA1") == ""
    sent = connection.execute(select(jobs.jobs.c.key).where(jobs.jobs.c.name == "send_sms", jobs.jobs.c.key.like("user_made:%"))).scalars()
    assert {"user_made:IUP_SITA1", "user_made:IUP_MITA1"} <= set(sent)
    assert [change.user_id for change, _, _ in told(connection)] == ["IUP_MITA1", "IUP_SITA1"]
    notes = connection.execute(select(audit.audit.c.action, audit.audit.c.subjects).order_by(audit.audit.c.id.desc()).limit(2)).all()
    assert sorted(notes) == [("user.create", ["IUP_MITA1"]), ("user.create", ["IUP_SITA1"])]
    assert codes(upload(connection, *rows)) == codes(answers)
    assert len(told(connection)) == 2


def test_a_changed_mapping_is_stored_told_and_stales_her_tokens_where_she_is_at_work(connection, monkeypatch):
    heard(connection)
    other = heard(connection, "Ekta")
    upload(connection, line(), line(**{"User ID": "IUP_GITA1"}))
    at_work = {"session_id": uuid7(), "user_id": "IUP_SITA1", "role": "SHG_BOOKKEEPER", "device": b"", "generation": 1, "secret_hash": b""}
    connection.execute(sessions.insert().values(**at_work, began_at=func.now(), ends_at=func.now()))
    staled = []
    monkeypatch.setattr(session, "stale", lambda _connection, user_id: staled.append(user_id))
    changed = (line(**{SHGS: "EKTA"}), line(**{"User ID": "IUP_GITA1", SHGS: "Ekta"}))
    assert codes(upload(connection, *changed)) == ["IUP_SITA1", "IUP_GITA1"]
    made = queries.user(connection, "IUP_SITA1")
    assert (made.assignments[0].institution_ids, made.version) == ({other}, 2)
    change, version, _to = told(connection)[-1]
    assert (change.places[0].institutions, version) == (1, 2)
    assert staled == ["IUP_SITA1"]


def test_a_dry_run_answers_the_same_and_changes_nothing(connection):
    heard(connection)
    rows = [line(), line(**{"User ID": "IUP_GITA1", "Village": 6}), line(**{"User ID": "IUP_RITA1", "Village": 99})]
    answers = upload(connection, *rows, dry_run=True)
    assert codes(answers) == ["IUP_SITA1", "INSTITUTION_UNKNOWN", "REGION_UNKNOWN"]
    assert queries.user(connection, "IUP_SITA1") is None
    assert told(connection) == []
    assert codes(upload(connection, *rows)) == codes(answers)


def test_one_user_may_have_two_roles_in_two_rows(connection):
    heard(connection)
    heard(connection, "Sankul", profiles_pb2.KIND_CLF, BLOCK)
    clf = line(**{"Role": "CLF Bookkeeper", "Village": None, SHGS: None, CLFS: "Sankul"})
    vo = line(**{"Role": "VO Bookkeeper", "Village": None, SHGS: None})
    other = clf | {"Bookkeeper name": "Gita Devi", "Role": "VO Trans Approver"}
    assert codes(upload(connection, line(), clf, vo, other)) == ["IUP_SITA1", "IUP_SITA1", "ROLES_APART", "USER_EXISTS"]
    made = queries.user(connection, "IUP_SITA1")
    assert (made.roles, made.version) == ({Role.SHG_BOOKKEEPER, Role.CLF_BOOKKEEPER}, 1)


def test_a_sheet_takes_nobody_elses_user_id(connection):
    heard(connection)
    create(connection, DISTRICT_ADMIN, user_id="IUP_BOSS1", role="BLOCK_ADMIN", region="9.178.1205")
    create(connection, user_id="IUP_LATA1", full_name="Lata Devi")
    create(connection, user_id="IUP_GONE1", full_name="Sita Devi")
    user.set_status(connection, BLOCK_ADMIN, "IUP_GONE1", Status.DELETED, "left")
    rows = [line(**{"User ID": one}) for one in ("IUP_BOSS1", "IUP_LATA1", "IUP_GONE1")]
    assert codes(upload(connection, *rows)) == ["USER_EXISTS"] * 3


def test_a_heavy_load_is_taken_with_a_warning(connection):
    names = [f"Samooh {number}" for number in range(21)]
    for name in names:
        heard(connection, name)
    [answer] = upload(connection, line(**{SHGS: "; ".join(names)}))
    assert (answer.user_id, answer.refused, [one.code for one in answer.warnings]) == ("IUP_SITA1", None, ["LOAD_HIGH"])
    assert len(queries.user(connection, "IUP_SITA1").assignments[0].institution_ids) == 21


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (workbook(line(), columns=COLUMNS[1:]), "SHEET_COLUMN_MISSING"),
        (workbook(), "SHEET_EMPTY"),
        (b"", "SHEET_MISSING"),
        (b"PK\x03\x04 no", "SHEET_UNREADABLE"),
    ],
)
def test_what_is_no_mapping_sheet_is_refused_whole(content, code):
    with pytest.raises(Invalid) as refused:
        sheets.read(content, COLUMNS)
    assert refused.value.code == code


# Many


GPS, VILLAGES, SHGS_OF_A_VILLAGE, ROWS = 40, 10, 8, 10_000


@pytest.fixture
def large(connection):
    """A block of 400 villages with 3,200 SHGs, and where each lies: (GP, village, name)."""
    places = [Place(path, path, "", TODAY) for path in ("9", "9.178", BLOCK)]
    named, rows = [], []
    for gp in range(1, GPS + 1):
        places.append(Place(f"{BLOCK}.{gp}", f"Gram {gp}", "", TODAY))
        rows.append({"kind": "VO", "name": f"Sangathan {gp}", "region": f"{BLOCK}.{gp}"})
        for village in range(gp * 100, gp * 100 + VILLAGES):
            path = f"{BLOCK}.{gp}.{village}"
            places.append(Place(path, f"Gaon {village}", "", TODAY))
            for number in range(SHGS_OF_A_VILLAGE):
                rows.append({"kind": "SHG", "name": f"Samooh {village} {number}", "region": path})
                named.append((gp, village, f"Samooh {village} {number}"))
    rows.append({"kind": "CLF", "name": "Sankul", "region": BLOCK})
    stored = [row | {"institution_id": uuid7(), "status": "ACTIVE", "version": 1} for row in rows]
    connection.execute(institutions.insert(), stored)
    return HERE.__class__(HERE.state, Geography(places), TODAY), named


def good(number, named):
    gp, village, name = named[number % len(named)]
    return line(
        **{
            "User ID": f"IUP_M{number:05}",
            "Bookkeeper name": f"Sita {'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number % 26]}",
            "Mobile": str(6_000_000_000 + number),
            "Gram Panchayat": f"Gram {gp} ({gp})",
            "Village": f"Gaon {village} ({village})" if number % 2 else str(village),
            SHGS: name,
        }
    )


APPROVER = {"Role": "SHG Trans Approver", "Village": None, SHGS: None}
# Each bad in its own way: what is changed in a good row, and what it is refused with.
BAD = [
    ({"User ID": None}, "USER_ID_INVALID", "User ID"),
    ({"User ID": "IBH_OTHER"}, "USER_ID_INVALID", "User ID"),
    ({"User ID": "IUP_small"}, "USER_ID_INVALID", "User ID"),
    ({"User ID": "IUP_AB"}, "USER_ID_INVALID", "User ID"),
    ({"User ID": "IUP_" + "A" * 21}, "USER_ID_INVALID", "User ID"),
    ({"User ID": "IUP_M00000"}, "USER_TWICE", "User ID"),
    ({"User ID": "IUP_BOSS1"}, "USER_EXISTS", "User ID"),
    ({"User ID": "IUP_M00001", "Role": "CLF Bookkeeper", SHGS: None, "Bookkeeper name": "Not She"}, "USER_EXISTS", "User ID"),
    ({"User ID": "IUP_M00002", "Role": "CLF Bookkeeper", SHGS: None, "Mobile": "9999999999"}, "USER_EXISTS", "User ID"),
    ({"Bookkeeper name": None}, "NAME_MISSING", "Bookkeeper name"),
    ({"Bookkeeper name": "<b>Sita</b>"}, "NAME_INVALID", "Bookkeeper name"),
    ({"Bookkeeper name": "12345"}, "NAME_INVALID", "Bookkeeper name"),
    ({"Bookkeeper name": "S" * 101}, "NAME_TOO_LONG", "Bookkeeper name"),
    ({"Bookkeeper name": "S" * 1001}, "CELL_TOO_LONG", "Bookkeeper name"),
    ({"Bookkeeper name": '="Si"&"ta"'}, "SHEET_FORMULA", "Bookkeeper name"),
    ({"Mobile": None}, "MOBILE_INVALID", "Mobile"),
    ({"Mobile": 12345}, "MOBILE_INVALID", "Mobile"),
    ({"Mobile": "1234567890"}, "MOBILE_INVALID", "Mobile"),
    ({"Mobile": "=9876543210"}, "SHEET_FORMULA", "Mobile"),
    ({"Role": None}, "ROLE_UNKNOWN", "Role"),
    ({"Role": "Block Admin"}, "ROLE_UNKNOWN", "Role"),
    ({"Role": "Queen"}, "ROLE_UNKNOWN", "Role"),
    ({"Gram Panchayat": "Gram 9 (999)"}, "REGION_UNKNOWN", "Gram Panchayat"),
    ({"Gram Panchayat": "Nowhere"}, "REGION_UNKNOWN", "Gram Panchayat"),
    ({"Gram Panchayat": "Gram 40"}, "REGION_UNKNOWN", "Village"),
    ({"Village": "9999999"}, "REGION_UNKNOWN", "Village"),
    ({"Village": "=5"}, "SHEET_FORMULA", "Village"),
    ({SHGS: "No Such Samooh"}, "INSTITUTION_UNKNOWN", SHGS),
    ({SHGS: "Samooh 4009 7"}, "INSTITUTION_UNKNOWN", SHGS),
    ({SHGS: None, VOS: "Sangathan 40", "Role": "VO Bookkeeper"}, "INSTITUTION_UNKNOWN", VOS),
    ({SHGS: None, CLFS: "Sangathan 1", "Role": "CLF Bookkeeper"}, "INSTITUTION_UNKNOWN", CLFS),
    ({SHGS: None, CLFS: "Sankul"}, "INSTITUTIONS_KIND", CLFS),
    ({"Role": "CLF Bookkeeper"}, "INSTITUTIONS_KIND", SHGS),
    ({**APPROVER, "Gram Panchayat": None}, "SIDE_MISSING", VOS),
    ({**APPROVER, VOS: "Sangathan 1", CLFS: "Sankul"}, "SIDE_TWICE", CLFS),
    ({"User ID": "IUP_M00003", "Role": "VO Bookkeeper", SHGS: None, "Village": None}, "ROLES_APART", "Role"),
    ({SHGS: '=HYPERLINK("http://example.org")'}, "SHEET_FORMULA", SHGS),
]


def test_ten_thousand_rows_of_which_37_are_bad_each_in_its_own_way(connection, large):
    here, named = large
    assert len(BAD) == 37
    create(connection, DISTRICT_ADMIN, user_id="IUP_BOSS1", role="BLOCK_ADMIN", region="9.178.1205")
    rows = [good(number, named) for number in range(ROWS)]
    dice = random.Random(37)
    places = sorted(dice.sample(range(100, ROWS // 2), len(BAD)))  # Gram 40 has no village of the first half.
    for place, (changes, _, _) in zip(places, BAD, strict=True):
        row = rows[place] | changes
        for first in ("IUP_M00001", "IUP_M00002", "IUP_M00003"):
            if row["User ID"] == first:  # A row for a user of the sheet's own: she is the same but for what is changed.
                row = rows[int(first[-1])] | changes
        rows[place] = row
    content = workbook(*rows)
    assert len(content) < sheets.SHEET_BYTES_MAX
    read = sheets.read(content, COLUMNS)
    statements, progress = [], []
    event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))

    def send(*, dry_run=False):
        statements.clear()
        return sheet.upload(connection, BLOCK_ADMIN, read, here, dry_run=dry_run, done=progress.append)

    before = len(told(connection))
    dry = send(dry_run=True)
    assert len(statements) <= 5
    answers = send()
    assert len(statements) < 200, "some for every page of 500 rows, none for a row"
    assert said(dry) == said(answers)
    refused = {answer.row - 2: (answer.refused.code, answer.refused.field) for answer in answers if answer.refused}
    assert refused == {place: (code, field) for place, (_, code, field) in zip(places, BAD, strict=True)}
    made = {answer.user_id for answer in answers if not answer.refused}
    assert len(made) == ROWS - len(BAD)
    there = set(connection.execute(select(users.c.user_id)).scalars())
    assert there == made | {"IUP_BOSS1"}
    assert connection.execute(select(func.count()).select_from(user_roles)).scalar() == len(there)
    assert len(told(connection)) == before + len(made)
    keys = select(func.count()).select_from(jobs.jobs).where(jobs.jobs.c.key.like("user_made:IUP_M_____"))
    assert connection.execute(keys).scalar() == len(made)
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (len(BAD), ROWS)
    assert len(progress) > ROWS / 1000
    assert said(send()) == said(answers)
    assert len(told(connection)) == before + len(made), "the same sheet again changes nothing"


def test_ten_thousand_answers_fit_into_a_message(up, connection, large):
    """Every row refused, in the longest words."""
    from services.identity.servicer.bookkeepers import _show_answer

    here, named = large
    name = "न" * 60
    rows = [sheets.Row(number, dict.fromkeys(COLUMNS, "") | good(number, named) | {SHGS: name}) for number in range(2, ROWS + 2)]
    rows = [sheets.Row(row.number, {column: str(text or "") for column, text in row.cells.items()}) for row in rows]
    answers = sheet.upload(connection, BLOCK_ADMIN, rows, here, dry_run=True)
    assert {answer.refused.code for answer in answers} == {"INSTITUTION_UNKNOWN"}
    assert sum(_show_answer(answer).ByteSize() + 4 for answer in answers) < MESSAGE_BYTES_MAX
    assert sheets.SHEET_BYTES_MAX < MESSAGE_BYTES_MAX


# Through the servicer, which has transactions of its own


@pytest.fixture
def kept(up, monkeypatch):
    """A group and nobody who keeps its books, and gone afterwards."""
    from services.chassis import places

    monkeypatch.setattr(places, "geography", lambda: HERE.geography)
    interceptors._caller.set(BLOCK_ADMIN)

    def clear():
        with database.transaction(SERVICE) as own:
            own.execute(delete(uploads))
            nobody(own)

    clear()
    with database.transaction(SERVICE) as own:
        heard(own)
    yield Servicer()
    clear()


def test_a_sheet_is_answered_row_by_row_and_its_progress_is_told_to_its_sender_alone(kept):
    upload_id = str(uuid7())
    content = workbook(line(), line(**{"Gram Panchayat": "=77"}))
    request = identity_pb2.UploadBookkeepersRequest(workbook=content, upload_id=upload_id)
    answer = kept.UploadBookkeepers(request, None)
    assert (len(answer.rows), answer.accepted, answer.refused) == (2, 1, 1)
    assert (answer.rows[0].id, answer.rows[0].refusal.code) == ("IUP_SITA1", "")
    assert (answer.rows[1].row, answer.rows[1].refusal.code, answer.rows[1].refusal.field) == (3, "SHEET_FORMULA", "Gram Panchayat")
    assert answer.rows[1].refusal.sentence
    assert kept.UploadBookkeepers(request, None) == answer
    progress = kept.UploadProgress(identity_pb2.UploadProgressRequest(upload_id=upload_id), None)
    assert (progress.rows, progress.rows_done) == (2, 2)
    interceptors._caller.set(Caller("IUP_OTHER", Role.BLOCK_ADMIN, BLOCK))
    with pytest.raises(NotFound) as refused:
        kept.UploadProgress(identity_pb2.UploadProgressRequest(upload_id=upload_id), None)
    assert refused.value.code == "UPLOAD_UNKNOWN"
    # Nor does another's upload under the same id write over hers.
    kept.UploadBookkeepers(identity_pb2.UploadBookkeepersRequest(workbook=workbook(line()), upload_id=upload_id), None)
    interceptors._caller.set(BLOCK_ADMIN)
    assert kept.UploadProgress(identity_pb2.UploadProgressRequest(upload_id=upload_id), None) == progress


def test_progress_is_seen_while_the_upload_goes_on_and_forgotten_after_a_day(kept):
    upload_id, seen = uuid7(), []

    def done(count):
        with database.transaction(SERVICE) as own:
            sheet.note_progress(own, BLOCK_ADMIN, upload_id, 2, count)
        with database.transaction(SERVICE) as own:
            seen.append((queries.upload_progress(own, upload_id, "IUP_BLOCK1"), queries.user(own, "IUP_SITA1")))

    with database.transaction(SERVICE) as own:
        upload(own, line(), line(**{"User ID": "x"}), done=done)
    assert seen == [((2, 1), None), ((2, 2), None)], "the users are not in before all are"
    identity_jobs.forget_progress.function(SERVICE, {})
    with database.transaction(SERVICE) as own:
        assert queries.upload_progress(own, upload_id, "IUP_BLOCK1") == (2, 2)
        own.execute(uploads.update().values(begun_at=func.now() - sheet.PROGRESS_KEPT))
    identity_jobs.forget_progress.function(SERVICE, {})
    with database.transaction(SERVICE) as own:
        assert queries.upload_progress(own, upload_id, "IUP_BLOCK1") is None


def test_two_sheets_at_once_make_nobody_twice(kept):
    """The second one's rows are about the same women, who are there by then; a stranger among them is refused."""
    many = [line(**{"User ID": f"IUP_TWO{number:03}"}) for number in range(1200)]
    others = [dict(row) for row in reversed(many)]
    others[0] = others[0] | {"Bookkeeper name": "Gita Devi"}
    answers, both = {}, Barrier(2)

    def send(name, rows):
        read = sheets.read(workbook(*rows), COLUMNS)
        with database.transaction(SERVICE) as own:
            both.wait(30)
            answers[name] = sheet.upload(own, BLOCK_ADMIN, read, HERE, dry_run=False)

    threads = [Thread(target=send, args=given) for given in (("one", many), ("other", others))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer.refused.code for name in answers for answer in answers[name] if answer.refused]
    assert refused == ["USER_EXISTS"]
    with database.transaction(SERVICE) as own:
        assert own.execute(select(func.count(), func.max(users.c.version)).where(users.c.user_id.like("IUP_TWO%"))).one() == (1200, 1)
        ours = mailbox.outbox.c.subject.like("IUP_TWO%")
        assert own.execute(select(func.count()).select_from(mailbox.outbox).where(ours)).scalar() >= 1200
        own.execute(delete(mailbox.outbox).where(ours))


# The template


def test_the_template_is_a_sheet_that_can_be_filled_and_sent(kept):
    answer = kept.BookkeeperTemplate(identity_pb2.BookkeeperTemplateRequest(), None)
    book = openpyxl.load_workbook(io.BytesIO(answer.workbook))
    page, words, lists = book.worksheets
    assert [cell.value for cell in page[1]] == list(COLUMNS)
    assert not any("assword" in cell.value for cell in page[1])
    assert page["A1"].font.bold
    assert lists.sheet_state == "hidden"
    assert words["A2"].value.startswith("User ID: IUP_ and then")
    assert all(page.column_dimensions[letter].number_format == "@" for letter in "ABCDEFGHI")
    lists_of = {str(one.sqref): one for one in page.data_validations.dataValidation}
    assert set(lists_of) == {f"{letter}2:{letter}10001" for letter in "DEFG"}, "no VO and no CLF is there to choose from"
    village = lists_of["F2:F10001"]
    assert (village.type, village.formula1, village.errorStyle, village.showErrorMessage) == ("list", "Lists!$F$1:$F$3", "warning", True)
    assert [cell.value for cell in lists["F"][:3]] == ["Belwa (6)", "Belwa (7)", "Rampur Kala (5)"]
    chosen = ["IUP_SITA1", "Sita Devi", "9876543210", lists["D1"].value, lists["E1"].value, "Rampur Kala (5)", lists["G1"].value]
    page.append(chosen)
    filled = io.BytesIO()
    book.save(filled)
    taken = kept.UploadBookkeepers(identity_pb2.UploadBookkeepersRequest(workbook=filled.getvalue(), dry_run=True), None)
    assert [(row.id, row.refusal.sentence) for row in taken.rows] == [("IUP_SITA1", "")]
    with zipfile.ZipFile(io.BytesIO(answer.workbook)) as packed:
        assert not [name for name in packed.namelist() if "vba" in name.lower() or "externalLink" in name]


def test_an_empty_template_is_refused_in_words(kept):
    answer = kept.BookkeeperTemplate(identity_pb2.BookkeeperTemplateRequest(), None)
    with pytest.raises(Invalid) as refused:
        kept.UploadBookkeepers(identity_pb2.UploadBookkeepersRequest(workbook=answer.workbook), None)
    assert refused.value.code == "SHEET_EMPTY"
