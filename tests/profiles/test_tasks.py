"""My Task on a real PostgreSQL: filters, pages while rows come and go, counts, and what a first page reads where two lakh rows wait."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import delete, event, insert, text, update

from protos import profiles_pb2
from services.chassis import database
from services.kernel.approval import Act, Status
from services.kernel.ids import uuid7
from services.kernel.region import NOWHERE, Level, at_level, contains
from services.profiles.queries import tasks
from services.profiles.queries.tasks import After, Wanted
from services.profiles.tables import submissions
from tests.profiles.builders import (
    BLOCK,
    FAR_VILLAGE,
    GP,
    NEXT_VILLAGE,
    OTHER_GP,
    SERVICE,
    VILLAGE,
    code_of,
    emptied,
    enrol,
    manager,
    new_shg,
    reject,
    screen,
    submit,
)

pytestmark = pytest.mark.usefixtures("land")

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
OTHER_BLOCK_VILLAGE = "9.178.1505.88.881"
WAITING = 200_000
BUFFERS_MAX = 500  # Of 8 KiB: some for each of 25 rows, and a few for each place and kind of which the oldest keys are read.


@pytest.fixture
def connection(connection):
    return emptied(connection)


def wait(connection, *rows):
    """Rows of what waits, as the commands leave them."""
    plain = {"kind": "MEMBER", "act": Act.PROFILE.value, "revision": 1, "status": Status.SUBMITTED.value, "region": VILLAGE, "content": {"name": "A"}}
    plain |= {"maker_user": "IUP_BK", "maker_person": "x", "submitted_at": NOW, "open_questions": True, "for_supervisor": False}
    made = [{"record_id": uuid7(), "institution_id": uuid7()} | plain | one for one in rows]
    for one in made:
        one |= {"block": at_level(one["region"], Level.BLOCK), "gp": at_level(one["region"], Level.GP)}
    connection.execute(insert(submissions), made)
    return made


@pytest.fixture
def waiting(connection):
    """Some of everything, a row an hour: kinds, places, makers, SHGs, with and without questions."""
    regions = {"MEMBER": (VILLAGE, NEXT_VILLAGE, FAR_VILLAGE, OTHER_BLOCK_VILLAGE), "VO": (GP, OTHER_GP), "CLF": (BLOCK,)}
    regions["SHG"] = regions["MEMBER"]
    shgs = [uuid7() for _ in range(3)]
    rows = []
    for number in range(240):
        kind = ("MEMBER", "MEMBER", "SHG", "MEMBER", "VO", "CLF")[number % 6]
        rows.append(
            {
                "kind": kind,
                "region": regions[kind][number // 6 % len(regions[kind])],
                "maker_user": f"IUP_BK{number % 5}",
                "institution_id": shgs[number % 3],
                "open_questions": number % 7 > 0,
                "for_supervisor": kind == "MEMBER" and number % 7 > 4,
                "submitted_at": NOW - timedelta(hours=number * 5 // 2 * 2),  # Some at the same instant.
                "status": (Status.REJECTED if number % 11 == 0 else Status.DRAFT if number % 13 == 0 else Status.SUBMITTED).value,
            }
        )
    return wait(connection, *rows)


FILTERS = {
    "all": (manager(), Wanted()),
    "kinds": (manager(), Wanted(kinds=["SHG", "CLF"])),
    "a kind twice": (manager(), Wanted(kinds=["VO", "VO"])),
    "village": (manager(), Wanted(region=VILLAGE)),
    "gp": (manager(), Wanted(region=GP)),
    "block": (manager(), Wanted(region=BLOCK)),
    "wider than hers": (manager(), Wanted(region="9.178")),
    "not hers": (manager(), Wanted(region="9.178.1505")),
    "district": (manager(region="9.178"), Wanted()),
    "a block of her district": (manager(region="9.178"), Wanted(region="9.178.1505")),
    "state": (manager(region="9"), Wanted()),
    "her clusters": (manager(clusters=(GP, OTHER_GP)), Wanted()),
    "one of her clusters": (manager(clusters=(OTHER_GP,)), Wanted(region=BLOCK)),
    "a village of her cluster": (manager(clusters=(GP,)), Wanted(region=NEXT_VILLAGE)),
    "no cluster": (manager(clusters=(NOWHERE,)), Wanted()),
    "a cluster": (manager(), Wanted(gps=[OTHER_GP, "9.178.1505.88"])),
    "a cluster's village": (manager(), Wanted(region=VILLAGE, gps=[GP, OTHER_GP])),
    "a cluster and hers": (manager(clusters=(GP,)), Wanted(region=BLOCK, gps=[GP, OTHER_GP])),
    "a cluster that is not hers": (manager(clusters=(GP,)), Wanted(gps=[OTHER_GP])),
    "a cluster of two blocks": (manager(region="9.178"), Wanted(gps=[OTHER_GP, "9.178.1505.88"])),
    "maker in a cluster": (manager(), Wanted(maker_user="IUP_BK3", gps=[OTHER_GP])),
    "days": (manager(), Wanted(until=NOW - timedelta(days=9))),
    "maker": (manager(), Wanted(maker_user="IUP_BK3")),
    "maker in a village": (manager(), Wanted(maker_user="IUP_BK3", region=VILLAGE)),
    "plain": (manager(), Wanted(plain=True)),
    "plain of a maker": (manager(), Wanted(plain=True, maker_user="IUP_BK1", kinds=["MEMBER"])),
    "for a supervisor": (manager(region="9.178"), Wanted(for_supervisor=True)),
    "for a supervisor in a village": (manager(region="9.178"), Wanted(for_supervisor=True, region=VILLAGE)),
}


def seen(waiting, caller, wanted):
    """What the page is, said once more and plainly."""
    regions = [one for one in caller.regions if one != NOWHERE]
    found = [
        one
        for one in waiting
        if one["status"] == Status.SUBMITTED
        and one["kind"] in wanted.kinds
        and any(contains(region, one["region"]) for region in regions)
        and contains(wanted.region, one["region"])
        and (not wanted.gps or any(contains(gp, one["region"]) for gp in wanted.gps))
        and (wanted.until is None or one["submitted_at"] <= wanted.until)
        and wanted.maker_user in {"", one["maker_user"]}
        and wanted.institution_id in {None, one["institution_id"]}
        and not (wanted.plain and one["open_questions"])
        and (one["for_supervisor"] or not wanted.for_supervisor)
    ]
    return [one["record_id"] for one in sorted(found, key=lambda one: (one["submitted_at"], one["record_id"]))]


def pages(connection, caller, wanted, size):
    """Each page, until one is not full."""
    after = None
    while True:
        page = tasks.page(connection, caller, wanted, after, size)
        yield page
        if len(page) < size:
            return
        after = After(page[-1].submitted_at, page[-1].record_id)


def ids(page):
    return [one.record_id for one in page]


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_shows_what_it_says_in_order_page_by_page(connection, waiting, name):
    caller, wanted = FILTERS[name]
    expected = seen(waiting, caller, wanted)
    assert expected or name in {"not hers", "no cluster", "a cluster that is not hers"}
    for size in (7, 25, 500):
        assert [one for page in pages(connection, caller, wanted, size) for one in ids(page)] == expected


def test_an_shgs_own_rows(connection, waiting):
    for shg in {one["institution_id"] for one in waiting}:
        wanted = Wanted(institution_id=shg)
        assert ids(tasks.page(connection, manager(), wanted, None, 500)) == seen(waiting, manager(), wanted) != []
        assert tasks.page(connection, manager(region="9.178.1506"), wanted, None, 500) == []


@pytest.mark.parametrize("by", tasks.GROUPINGS)
@pytest.mark.parametrize(
    "name",
    [
        "all",
        "village",
        "gp",
        "district",
        "state",
        "her clusters",
        "no cluster",
        "not hers",
        "a village of her cluster",
        "a cluster",
        "a cluster and hers",
    ],
)
def test_counts_equal_the_rows(connection, waiting, name, by):
    caller, wanted = FILTERS[name]
    shown = set(seen(waiting, caller, wanted))
    rows = [one for one in waiting if one["record_id"] in shown]
    week_ago, month_ago = NOW - timedelta(days=7), NOW - timedelta(days=15)
    column = {"": None, "BLOCK": "block", "GP": "gp", "VILLAGE": "region", "BOOKKEEPER": "maker_user"}[by]

    def counted(which=lambda _: True):
        return Counter((one["kind"], one[column] if column else "") for one in rows if which(one))

    expected = counted(), counted(lambda one: one["submitted_at"] <= week_ago), counted(lambda one: one["submitted_at"] <= month_ago)
    expected += counted(lambda one: not one["open_questions"]), counted(lambda one: one["for_supervisor"])
    found = {(one.kind, one.of): one for one in tasks.counts(connection, caller, wanted, by, week_ago, month_ago)}
    assert found.keys() == expected[0].keys()
    for key, one in found.items():
        assert (one.waiting, one.over_7_days, one.over_30_days, one.plain, one.for_supervisor) == tuple(each[key] for each in expected)


def test_pages_have_no_gap_and_no_repetition_while_rows_come_and_go(connection):
    stay = wait(connection, *({"submitted_at": NOW - timedelta(minutes=number)} for number in range(100)))
    go = wait(connection, *({"submitted_at": NOW - timedelta(minutes=number, seconds=30)} for number in range(100)))
    found = []
    for number, page in enumerate(pages(connection, manager(), Wanted(), 10)):
        found += ids(page)
        # Between two pages some are let in, some handed back, and others come: the newest last, and late ones among those shown already.
        gone = [one["record_id"] for one in go[number * 5 : number * 5 + 5]]
        connection.execute(delete(submissions).where(submissions.c.record_id.in_(gone[:3])))
        connection.execute(update(submissions).where(submissions.c.record_id.in_(gone[3:])).values(status="REJECTED"))
        wait(connection, {"submitted_at": NOW - timedelta(minutes=90)})
    assert len(found) == len(set(found))
    assert [one for one in found if one in {each["record_id"] for each in stay}] == [one["record_id"] for one in reversed(stay)]


def test_pages_of_one_instant_follow_by_id(connection):
    made = wait(connection, *({} for _ in range(60)))
    found = [one for page in pages(connection, manager(), Wanted(), 25) for one in page]
    assert ids(found) == sorted(one["record_id"] for one in made)
    assert all(one.submitted_at <= other.submitted_at for one, other in pairwise(found))


# --- As the servicer shows it


def test_a_checkers_day(connection, serving):
    made, calling = serving
    calling["who"] = manager()
    shg_id, maker = new_shg(connection)
    live = enrol(connection, maker, shg_id, name="Sita Devi").row.id
    edit = submit(connection, maker, shg_id, live, 2, name="Sita Rani")
    screen(connection, edit)
    back = submit(connection, maker, shg_id, name="Mamta Devi").row.id
    reject(connection, back)
    submit(connection, maker, shg_id, back, 2, name="Mamta Kumari")
    shown = {one.record_id: one for one in made.ListTasks(profiles_pb2.ListTasksRequest(), None).tasks}
    assert shown.keys() == {str(shg_id), str(live), str(back)}
    of_edit, of_back, of_shg = shown[str(live)], shown[str(back)], shown[str(shg_id)]
    assert (of_edit.name, of_edit.revision, of_edit.live, of_edit.again, of_edit.open_questions) == ("Sita Rani", 2, True, False, False)
    assert (of_edit.verdict, of_edit.act, of_edit.institution_name) == (profiles_pb2.VERDICT_CLEAR, profiles_pb2.ACT_PROFILE, "Ujala")
    assert (of_back.name, of_back.live, of_back.again, of_back.open_questions) == ("Mamta Kumari", False, True, True)
    assert (of_shg.kind, of_shg.name, of_shg.maker_user, of_shg.days) == (profiles_pb2.TASK_KIND_SHG, "Ujala", "IUP_BK", 0)
    counts = made.CountTasks(profiles_pb2.CountTasksRequest(by="BOOKKEEPER"), None).counts
    assert [(one.kind, one.of, one.waiting, one.plain) for one in counts] == [
        (profiles_pb2.TASK_KIND_MEMBER, "IUP_BK", 2, 1),
        (profiles_pb2.TASK_KIND_SHG, "IUP_BK", 1, 0),
    ]


def test_a_page_is_of_25_unless_another_size_is_asked_for(connection, serving):
    made, calling = serving
    calling["who"] = manager()
    hours = [{"submitted_at": datetime.now(UTC) - timedelta(hours=number)} for number in range(60)]
    rows = wait(connection, *hours)
    request = profiles_pb2.ListTasksRequest()
    found = []
    for size in (25, 25, 10):
        answer = made.ListTasks(request, None)
        assert len(answer.tasks) == size
        found += [one.record_id for one in answer.tasks]
        request.page.after = answer.next
    assert found == [str(one["record_id"]) for one in reversed(rows)]
    assert answer.next == ""
    older = made.ListTasks(profiles_pb2.ListTasksRequest(days_min=2), None)
    assert [one.days for one in older.tasks] == [2] * 12
    twice = profiles_pb2.ListTasksRequest(kinds=[profiles_pb2.TASK_KIND_MEMBER] * 2)
    twice.page.size = 500
    assert len(made.ListTasks(twice, None).tasks) == 60


def test_what_no_request_may_say(serving):
    made, _ = serving
    far = profiles_pb2.ListTasksRequest()
    for after in ("x", "2026-04-01/x", f"x/{uuid7()}", f"2026-04-01T00:00:00/{uuid7()}/"):
        far.page.after = after
        assert code_of(made.ListTasks, far, None) == "PAGE_INVALID"
    wide = profiles_pb2.ListTasksRequest()
    wide.page.size = 501
    assert code_of(made.ListTasks, wide, None) == "PAGE_INVALID"
    assert code_of(made.ListTasks, profiles_pb2.ListTasksRequest(kinds=[9]), None) == "TASK_KIND_UNKNOWN"
    assert code_of(made.ListTasks, profiles_pb2.ListTasksRequest(institution_id="x"), None) == "ID_INVALID"
    assert code_of(made.CountTasks, profiles_pb2.CountTasksRequest(by="CASTE"), None) == "GROUPING_UNKNOWN"
    for gps, code in (([BLOCK], "REGION_LEVEL"), (["here"], "REGION_INVALID"), ([GP] * 101, "GPS_TOO_MANY")):
        assert code_of(made.ListTasks, profiles_pb2.ListTasksRequest(gps=gps), None) == code
        assert code_of(made.CountTasks, profiles_pb2.CountTasksRequest(gps=gps), None) == code


def test_counts_by_gp_add_up_to_those_of_a_cluster(serving, waiting):
    """Which Gram Panchayats are a cluster's, identity says: one answer serves all clusters of a block, and a page is of one."""
    made, calling = serving
    calling["who"] = manager(region="9.178")
    cluster = [GP, "9.178.1505.88"]
    by_gp = made.CountTasks(profiles_pb2.CountTasksRequest(by="GP"), None).counts
    added = Counter()
    for one in by_gp:
        added[one.kind] += one.waiting if one.of in cluster else 0
    of_cluster = {one.kind: one.waiting for one in made.CountTasks(profiles_pb2.CountTasksRequest(gps=cluster), None).counts}
    request = profiles_pb2.ListTasksRequest(gps=cluster)
    request.page.size = 500
    assert of_cluster == +added == Counter(one.kind for one in made.ListTasks(request, None).tasks)
    assert sum(of_cluster.values()) < sum(one.waiting for one in by_gp)


# --- What a page reads


@pytest.fixture
def crowded(land):
    """Two lakh rows in one block of 50 Gram Panchayats and 1,000 bookkeepers, half a year's; one in a thousand is plain, and those came last."""
    with database.engine(SERVICE).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create temporary table submissions (like submissions including all)"))
        try:
            crowd(connection)
            connection.execute(text("vacuum analyze submissions"))
            yield connection
        finally:
            connection.execute(text("drop table pg_temp.submissions"))


def crowd(connection):
    connection.execute(
        text(
            "insert into submissions (record_id, kind, act, revision, status, institution_id, region, block, gp, content, maker_user, maker_person,"
            " submitted_at, open_questions, for_supervisor)"
            " select gen_random_uuid(), kind, 'PROFILE', 1, 'SUBMITTED', md5((n / 12)::text)::uuid, gp || '.' || (700 + n % 3), :block, gp,"
            " jsonb_build_object('name', 'Member ' || n, 'note', repeat('x', 300)), 'IUP_BK' || n % 1000, 'x',"
            " :now - n * interval '80 seconds', n > 200, n % 2000 = 6"
            " from (select n, :block || '.' || (500 + n % 50) gp,"
            " case when n % 100 = 1 then 'VO' when n % 100 < 6 then 'SHG' else 'MEMBER' end kind from generate_series(1, :waiting) n) made"
        ),
        {"block": BLOCK, "now": NOW, "waiting": WAITING},
    )


SOME_GPS = tuple(f"{BLOCK}.{500 + number}" for number in range(0, 50, 5))
A_SHG = "md5('7000')::uuid"
CROWDED = {
    "all": (manager(), Wanted()),
    "kinds": (manager(), Wanted(kinds=["VO"])),
    "none of a kind": (manager(), Wanted(kinds=["CLF"])),
    "gp": (manager(), Wanted(region=f"{BLOCK}.507")),
    "village": (manager(), Wanted(region=f"{BLOCK}.507.701")),
    "a village where nothing waits": (manager(), Wanted(region=f"{BLOCK}.507.799")),
    "clusters": (manager(clusters=SOME_GPS), Wanted()),
    "clusters that she names": (manager(), Wanted(gps=SOME_GPS)),
    "plain of clusters": (manager(clusters=SOME_GPS), Wanted(plain=True)),
    "days": (manager(), Wanted(until=NOW - timedelta(days=30))),
    "older than any": (manager(), Wanted(until=NOW - timedelta(days=400))),
    "plain": (manager(), Wanted(plain=True)),
    "plain and old": (manager(), Wanted(plain=True, until=NOW - timedelta(days=30))),
    "plain in a village": (manager(), Wanted(plain=True, region=f"{BLOCK}.507.701")),
    "maker": (manager(), Wanted(maker_user="IUP_BK17")),
    "maker where she has nothing": (manager(), Wanted(maker_user="IUP_BK17", region=f"{BLOCK}.508")),
    "plain of a maker": (manager(), Wanted(plain=True, maker_user="IUP_BK17")),
    "for a supervisor": (manager(region="9.178"), Wanted(for_supervisor=True)),
    "for a supervisor in a village": (manager(region="9.178"), Wanted(for_supervisor=True, region=f"{BLOCK}.507.701")),
}


def buffers(connection, caller, wanted, after=None):
    """How many buffers the page reads, and how many rows it has."""
    asked = []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", listen)
    page = tasks.page(connection, caller, wanted, after, tasks.SIZE)
    event.remove(connection, "before_cursor_execute", listen)
    total = 0
    for statement, parameters in asked:
        [plan] = connection.exec_driver_sql(f"explain (analyze, buffers, timing off, format json) {statement}", parameters).scalar_one()
        total += sum(plan["Plan"][f"{kind} {how} Blocks"] for kind in ("Shared", "Local") for how in ("Hit", "Read"))
    return total, len(page)


def test_a_first_page_reads_few_buffers_whatever_waits_and_whatever_is_asked_for(crowded):
    read = {name: buffers(crowded, caller, wanted) for name, (caller, wanted) in CROWDED.items()}
    shg = crowded.execute(text(f"select {A_SHG}")).scalar_one()
    read["shg"] = buffers(crowded, manager(), Wanted(institution_id=shg))
    middle = After(NOW - timedelta(days=90), shg)
    read["a page in the middle"] = buffers(crowded, manager(), Wanted(), middle)
    read["district"] = buffers(crowded, manager(region="9.178"), Wanted())
    assert {name: found for name, found in read.items() if found[0] > BUFFERS_MAX} == {}, read
