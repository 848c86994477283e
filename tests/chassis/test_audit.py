"""The audit: what was seen is noted, and its chain shows whatever was done to it afterwards."""

import csv
import io
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update

from services.chassis import audit, auditor, chain, database, upkeep
from services.chassis.chain import What
from services.kernel.caller import Caller, Role

SERVICE = "profiles"
CALLER = Caller("IUP_SITA", Role.SHG_BOOKKEEPER, "9.1")
NOW = datetime.now(UTC)
ROWS = 6


@pytest.fixture
def parts(monkeypatch):
    """A head every three rows, and pages of two, so that a short chain is as a long one."""
    monkeypatch.setattr(chain, "HEAD_ROWS_MAX", 3)
    monkeypatch.setattr(chain, "ROWS_MAX", 2)


@pytest.fixture
def sealed(connection, parts):
    """Six rows, sealed two by two: a head at place 4, and one at 6."""
    connection.execute(delete(audit.audit))
    connection.execute(delete(audit.heads))
    for number in range(ROWS):
        audit.changed(connection, CALLER, "member.submit", f"member {number}", revision=number)
    while chain.seal(connection, SERVICE):
        pass
    assert connection.execute(select(audit.heads.c.number, audit.heads.c.place).order_by(audit.heads.c.number)).all() == [(1, 4), (2, 6)]
    return connection


def verify(connection, noted=()):
    return chain.verify(connection, SERVICE, noted)


def fault(connection, noted=()):
    """The first that is named."""
    found = verify(connection, noted).faults
    return (found[0].place, found[0].what) if found else None


def check(connection, now=NOW):
    checked = chain.check(connection, SERVICE, now)
    chain.note(connection, SERVICE, checked, now)
    return checked


def at(place):
    return audit.audit.c.place == place


def move(connection, *moves):
    """Rows from place to place, all at once."""
    for was, becomes in moves:
        connection.execute(update(audit.audit).where(at(was)).values(place=-becomes))
    connection.execute(update(audit.audit).where(audit.audit.c.place < 0).values(place=-audit.audit.c.place))


def forge(connection, place, seal=b"x" * 32):
    connection.execute(insert(audit.audit).values(audit.row(CALLER, "member.approve", ["forged"], {}) | {"place": place, "seal": seal}))


def test_an_untouched_chain_fits(sealed):
    found = verify(sealed)
    assert (found.faults, found.rows, found.unsealed) == ([], ROWS, 0)
    assert check(sealed).fault is None
    assert chain.seal(sealed, SERVICE) == 0
    audit.changed(sealed, CALLER, "member.approve", 9)
    assert (verify(sealed).unsealed, verify(sealed).faults) == (1, [])


OTHER = {
    "id": 10**9,
    "at": NOW - timedelta(days=1),
    "user_id": "IUP_GITA",
    "role": "VO_BOOKKEEPER",
    "action": "member.reject",
    "subjects": ["member 9"],
    "facts": {"revision": 8},
    "request_id": "other",
    "seal": b"x" * 32,
}


def test_every_column_is_sealed():
    assert OTHER.keys() == set(audit.audit.c.keys()) - {"place"}


@pytest.mark.parametrize("place", [1, 3, 4, ROWS])
@pytest.mark.parametrize("column", OTHER)
def test_a_changed_row_is_found_whatever_was_changed(sealed, column, place):
    sealed.execute(update(audit.audit).where(at(place)).values({column: OTHER[column]}))
    assert fault(sealed) == (place, What.CHANGED)
    assert check(sealed).fault.place == place


@pytest.mark.parametrize("value", ["'infinity'", "'-infinity'", "'20000-01-01'", "'0044-03-15 BC'"])
def test_a_time_that_python_does_not_know_is_a_change_like_others(sealed, value):
    sealed.execute(text(f"update audit set at = {value} where place = 3"))
    assert fault(sealed) == (3, What.CHANGED)
    assert "there stands id" in str(verify(sealed).faults[0])


def test_a_number_of_any_length_is_a_change_like_others(sealed):
    sealed.execute(text("""update audit set facts = ('{"revision": 1' || repeat('0', 9999) || '}')::jsonb where place = 3"""))
    assert fault(sealed) == (3, What.CHANGED)


@pytest.mark.parametrize("place", [1, 3, 4, ROWS])
def test_a_deleted_row_is_found(sealed, place):
    sealed.execute(delete(audit.audit).where(at(place)))
    assert fault(sealed) == (place, What.DELETED)
    assert check(sealed).fault.place == place


@pytest.mark.parametrize("place", [1, 3, 5])
def test_a_deleted_row_is_found_though_the_others_moved_up(sealed, place):
    sealed.execute(delete(audit.audit).where(at(place)))
    move(sealed, *((later, later - 1) for later in range(place + 1, ROWS + 1)))
    assert fault(sealed) == (place, What.DELETED)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 5), (1, ROWS), (5, 6)])
def test_two_that_changed_places_are_found(sealed, one, other):
    move(sealed, (one, other), (other, one))
    assert fault(sealed) == (one, What.REORDERED)
    assert check(sealed).fault.place == one


def test_two_that_changed_places_are_found_though_their_seals_stay(sealed):
    seals = dict(sealed.execute(select(audit.audit.c.place, audit.audit.c.seal)).all()[:ROWS])
    move(sealed, (2, 5), (5, 2))
    for place in (2, 5):
        sealed.execute(update(audit.audit).where(at(place)).values(seal=seals[place]))
    assert fault(sealed) == (2, What.REORDERED)


@pytest.mark.parametrize("place", [1, 3, ROWS])
def test_a_row_that_was_put_in_is_found(sealed, place):
    move(sealed, *((later, later + 1) for later in range(place, ROWS + 1)))
    forge(sealed, place, seal=sealed.execute(select(audit.audit.c.seal).where(at(place + 1))).scalar_one())
    assert fault(sealed)[0] == place
    sealed.execute(update(audit.audit).where(at(place)).values(seal=b"x" * 32))
    assert fault(sealed) == (place, What.INSERTED)


@pytest.mark.parametrize("place", [0, -7])
def test_a_row_before_the_first_is_found(sealed, place):
    forge(sealed, place)
    assert fault(sealed)[0] == 1


def test_a_row_after_the_last_is_found(sealed):
    forge(sealed, ROWS + 1)
    assert fault(sealed) == (ROWS + 1, What.INSERTED)
    assert check(sealed).fault.place == ROWS + 1


def test_nothing_is_sealed_upon_a_row_that_was_put_in(sealed):
    """Else whoever puts in a row with an old seal would have what he adds sealed as if it came after that one."""
    forge(sealed, ROWS + 1, seal=sealed.execute(select(audit.audit.c.seal).where(at(2))).scalar_one())
    audit.changed(sealed, CALLER, "member.approve", 9)
    assert chain.seal(sealed, SERVICE) == 1
    assert fault(sealed)[0] == ROWS + 1
    sealed.execute(delete(audit.audit).where(at(ROWS + 1)))
    move(sealed, (ROWS + 2, ROWS + 1))
    assert fault(sealed) == (ROWS + 2, What.DELETED), "it fits upon the last row; the head tells of one more"


def test_rows_sealed_without_the_key_are_found(sealed, monkeypatch):
    """Whoever knows how, and has all but the key."""
    with monkeypatch.context() as patched:
        patched.setenv("LOKOS_AUDIT_KEY", "00" * 32)
        sealed.execute(update(audit.audit).where(audit.audit.c.place >= 3).values(place=None, seal=None, user_id="IUP_GITA"))
        sealed.execute(delete(audit.heads))
        while chain.seal(sealed, SERVICE):
            pass
        assert sealed.execute(select(func.max(audit.audit.c.place))).scalar_one() == ROWS
    assert [(one.place, one.what) for one in verify(sealed).faults] == [(3, What.INSERTED), (1, What.CHANGED)]


def test_another_services_chain_is_not_this_ones(sealed):
    assert chain.verify(sealed, "transactions").faults[0].place == 1


def test_the_end_cut_off_is_found_by_its_head(sealed):
    sealed.execute(delete(audit.audit).where(audit.audit.c.place > 2))
    assert fault(sealed) == (3, What.DELETED)
    assert check(sealed).fault.place == 3
    audit.changed(sealed, CALLER, "member.approve", 9)
    assert chain.seal(sealed, SERVICE) == 1
    assert fault(sealed) == (3, What.DELETED), "what comes later does not fill the hole"


def test_the_end_cut_off_with_its_heads_is_found_by_a_head_noted_elsewhere(sealed):
    _, place, seal = verify(sealed).head.split(":")
    noted = [(int(place), bytes.fromhex(seal))]
    assert fault(sealed, noted) is None
    sealed.execute(delete(audit.audit).where(audit.audit.c.place > 4))
    sealed.execute(delete(audit.heads).where(audit.heads.c.place > 4))
    assert fault(sealed) is None, "nothing in the database tells of it"
    assert verify(sealed).missing_ids >= 2, "but the ids that were given"
    assert fault(sealed, noted) == (5, What.DELETED)
    for _ in range(2):
        audit.changed(sealed, CALLER, "member.approve", 9)
    assert chain.seal(sealed, SERVICE) == 2
    assert fault(sealed, noted) == (ROWS, What.CUT)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (update(audit.heads).where(audit.heads.c.number == 1).values(place=3), (1, What.CHANGED)),
        (update(audit.heads).where(audit.heads.c.number == 1).values(at=NOW - timedelta(days=9)), (1, What.CHANGED)),
        (update(audit.heads).where(audit.heads.c.number == 2).values(seal=b"x" * 32), (5, What.CHANGED)),
        (update(audit.heads).where(audit.heads.c.number == 2).values(mark=b""), (5, What.CHANGED)),
        (update(audit.heads).where(audit.heads.c.number == 2).values(walked_at=NOW + timedelta(days=999)), (5, What.CHANGED)),
        (update(audit.heads).where(audit.heads.c.number == 1).values(number=3), (1, What.DELETED)),
        (delete(audit.heads).where(audit.heads.c.number == 1), (1, What.DELETED)),
        (delete(audit.heads).where(audit.heads.c.number == 2), (5, What.DELETED)),
        (delete(audit.heads), (1, What.DELETED)),
    ],
)
def test_heads_that_were_tampered_with_are_found(sealed, tamper, found):
    sealed.execute(tamper)
    assert fault(sealed) == found
    assert check(sealed).fault.place == found[0]


def test_a_head_that_was_altered_stays_to_be_seen(sealed):
    sealed.execute(update(audit.heads).where(audit.heads.c.number == 2).values(seal=b"x" * 32))
    audit.changed(sealed, CALLER, "member.approve", 9)
    assert chain.seal(sealed, SERVICE) == 1
    assert fault(sealed) == (5, What.CHANGED)
    assert sealed.execute(select(func.max(audit.heads.c.number))).scalar_one() == 3


def test_a_check_walks_the_last_part_each_time_and_the_others_once_a_week(sealed):
    def walked(days):
        return [head.number for head, _ in check(sealed, NOW + timedelta(days=days)).walked]

    assert walked(0) == [2, 1]
    assert walked(1) == [2]
    sealed.execute(update(audit.audit).where(at(2)).values(user_id="IUP_GITA"))
    assert check(sealed, NOW + timedelta(days=2)).fault is None
    assert check(sealed, NOW + timedelta(days=8)).fault.place == 2
    sealed.execute(update(audit.audit).where(at(2)).values(user_id=CALLER.user_id))
    assert walked(9) == [2, 1], "what did not fit is walked by each check"
    assert walked(10) == [2]


def test_a_check_does_not_walk_on_for_ever(sealed, monkeypatch):
    monkeypatch.setattr(chain, "CHECK_SECONDS_MAX", -1)
    assert check(sealed).walked == []


FACTS = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=3)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3), FACTS, st.booleans()), min_size=1, max_size=12), st.data())
@how(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_fits_until_one_of_it_is_changed(connection, parts, history, data):
    with connection.begin_nested() as told:
        connection.execute(delete(audit.audit))
        connection.execute(delete(audit.heads))
        for action, subjects, facts, then_seal in history:
            clean = {key.replace("\0", ""): value.replace("\0", "") if isinstance(value, str) else value for key, value in facts.items()}
            connection.execute(insert(audit.audit).values(audit.row(CALLER, action, subjects, clean)))
            if then_seal:
                chain.seal(connection, SERVICE)
        while chain.seal(connection, SERVICE):
            pass
        assert (verify(connection).faults, verify(connection).rows) == ([], len(history))
        place = data.draw(st.integers(1, len(history)))
        connection.execute(update(audit.audit).where(at(place)).values(facts=audit.audit.c.facts.op("||")(text("'{\"x\": []}'::jsonb"))))
        assert fault(connection) == (place, What.CHANGED)
        told.rollback()


@contextmanager
def committed(rows):
    """Rows of this test in the service's own audit, which goes on with its chain; the marker by which they are found."""
    marker = f"test-{time.monotonic_ns()}"
    with database.transaction(SERVICE) as connection:
        connection.execute(insert(audit.audit), [audit.row(CALLER, marker, [str(number)], {}) for number in range(rows)])
    yield marker


def seal_all():
    while True:
        with database.transaction(SERVICE) as connection:
            if not chain.seal(connection, SERVICE):
                return


def start_anew():
    """What other tests did to the rows of this service is none of this one's business."""
    with database.transaction(SERVICE) as connection:
        connection.execute(text("truncate audit, audit_heads"))


def test_two_who_seal_at_once_make_one_chain(up, monkeypatch):
    monkeypatch.setattr(chain, "ROWS_MAX", 7)
    start_anew()
    with committed(300):
        threads = [threading.Thread(target=seal_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seal_all()
    with database.reading(SERVICE) as connection:
        found = verify(connection)
        assert (found.faults, found.rows, found.unsealed) == ([], 300, 0)


def test_the_hourly_check_logs_the_head_and_finds_what_was_done(up, caplog):
    from prometheus_client import REGISTRY

    def broken_at():
        return REGISTRY.get_sample_value("lokos_audit_broken_at", {"service": SERVICE})

    caplog.set_level("INFO")
    start_anew()
    with committed(3) as marker:
        upkeep.seal_audit.function(SERVICE, {})
        upkeep.check_audit.function(SERVICE, {})
        assert broken_at() == 0
        with database.reading(SERVICE) as connection:
            head = verify(connection).head
        assert [record.head for record in caplog.records if hasattr(record, "head")] == [head]
        with database.transaction(SERVICE) as connection:
            connection.execute(update(audit.audit).where(audit.audit.c.action == marker, at(2)).values(user_id="IUP_GITA"))
        upkeep.check_audit.function(SERVICE, {})
        assert broken_at() == 2
    start_anew()
    upkeep.check_audit.function(SERVICE, {})
    assert broken_at() == 0


# --- The command line.


@pytest.fixture
def run(monkeypatch, capsys):
    """The command as an operator types it: exit code, output, complaint."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["auditor", *words])
        try:
            code = auditor.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_verify_says_what_it_found_and_changes_nothing(up, run):
    start_anew()
    with committed(2):
        seal_all()
    with committed(1):
        code, said, _ = run("verify", SERVICE)
    assert code == 0
    assert f"{SERVICE}: 2 rows fit" in said
    assert f"{SERVICE}: 1 rows are not sealed yet" in said
    head = said.split("head ")[1].split()[0]
    assert run("verify", SERVICE, "--head", head)[:2] == (0, said)
    with database.transaction(SERVICE) as connection:
        connection.execute(update(audit.audit).where(at(2)).values(action="member.\x1b[2Japprove"))
    code, said, _ = run("verify", SERVICE, "--head", head)
    assert code == 1
    assert f"{SERVICE}: BROKEN at place 2: changed" in said
    assert "'member.\\x1b[2Japprove'" in said, "what a terminal would obey is quoted"
    start_anew()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["verify", "toys"], "there is no service 'toys'"),
        (["verify", "--head", "12:ab"], "is no head"),
        (["verify", "--head", "toys:12:" + "a" * 64], "is no head"),
        (["verify", "dedup", "--head", "profiles:12:" + "a" * 64], "profiles is not to be verified"),
        (["show"], "name a --subject or a --user"),
        (["show", "--user", "X", "--from", "yesterday"], "write it as 2026-01-31"),
        (["show", "--user", "X", "--from", "2026-02-01", "--to", "2026-01-31"], "--from is after --to"),
    ],
)
def test_a_wrong_word_is_refused(up, run, words, complaint):
    code, _, said = run(*words)
    assert code == 2
    assert complaint in said


def test_without_its_key_it_says_which_setting_is_missing(up, run, monkeypatch):
    monkeypatch.setenv("LOKOS_AUDIT_KEY", "00")
    assert "LOKOS_AUDIT_KEY" in run("verify", SERVICE)[0]


@pytest.fixture
def told(up):
    """A day in the audit of two services: who saw and who changed one member."""
    subject = f"0190{time.monotonic_ns():028x}"
    subject = f"{subject[:8]}-{subject[8:12]}-7000-8000-{subject[20:32]}"

    def write(service, moment, action, user="IUP_SITA", facts=None, subjects=(subject,)):
        row = audit.row(Caller(user, Role.SHG_BOOKKEEPER), action, subjects, facts or {}) | {"at": datetime.fromisoformat(moment)}
        with database.transaction(service) as connection:
            connection.execute(insert(audit.audit).values(row))

    write("profiles", "2026-03-09T18:29:00+00:00", "member.submit", facts={"revision": 1})
    write("profiles", "2026-03-09T18:31:00+00:00", "member.get", "=cmd|' /C calc'!A1")
    write("transactions", "2026-03-09T18:30:00+00:00", "books.pull", subjects=("an institution", subject))
    write("profiles", "2026-03-09T18:30:00+00:00", "member.get", subjects=("another",))
    return subject


def test_show_tells_who_saw_and_who_changed_in_the_order_of_time(told, run):
    code, said, _ = run("show", "--subject", told.upper())
    assert code == 0
    assert [line.split("  ")[:2] + line.split("  ")[4:5] for line in said.splitlines()] == [
        ["2026-03-09 23:59:00", "profiles", "member.submit"],
        ["2026-03-10 00:00:00", "transactions", "books.pull"],
        ["2026-03-10 00:01:00", "profiles", "member.get"],
    ]


def test_days_are_indias_and_both_are_included(told, run):
    def actions(*words):
        return [line.split("  ")[4] for line in run("show", "--subject", told, *words)[1].splitlines()]

    assert actions("--to", "2026-03-09") == ["member.submit"]
    assert actions("--from", "2026-03-10", "--to", "2026-03-10") == ["books.pull", "member.get"]
    assert actions("--user", "IUP_SITA", "--from", "2026-03-10") == ["books.pull"]
    assert actions("--from", "2026-03-11") == []
    assert run("show", "--subject", told, "dedup")[1] == ""


def test_a_spreadsheet_runs_nothing_of_it(told, run):
    said = run("show", "--subject", told, "--csv")[1]
    assert said.startswith("\ufeff")
    header, *rows = csv.reader(io.StringIO(said.removeprefix("\ufeff")))
    assert header == list(auditor.HEADER)
    assert rows[0][:5] == ["2026-03-09 23:59:00", "profiles", "IUP_SITA", "SHG_BOOKKEEPER", "member.submit"]
    assert rows[2][2] == "'=cmd|' /C calc'!A1"


# --- What was seen.


def test_what_was_seen_is_noted_before_a_process_ends(up):
    reads = audit.Reads(SERVICE)
    marker = f"test-{time.monotonic_ns()}"
    for number in range(3):
        reads.seen(CALLER, marker, [number])
    reads.stop()
    with database.transaction(SERVICE) as connection:
        rows = connection.execute(select(audit.audit.c.subjects).where(audit.audit.c.action == marker)).scalars().all()
    assert sorted(rows) == [["0"], ["1"], ["2"]]


def test_a_read_is_noted_after_the_answer(up):
    reads = audit.Reads(SERVICE)
    marker = f"test-{time.monotonic_ns()}"
    reads.seen(CALLER, marker, ["a", "b"])
    for _ in range(100):
        with database.transaction(SERVICE) as connection:
            rows = connection.execute(select(audit.audit.c.subjects).where(audit.audit.c.action == marker)).scalars().all()
        if rows:
            break
        time.sleep(0.05)
    assert rows == [["a", "b"]]
