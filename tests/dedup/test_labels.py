"""What officers decided: kept as it was, counted for the report, written to learn from. And the thresholds that a state sets."""

import csv
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from protos import dedup_pb2
from services.chassis import interceptors
from services.chassis.database import transaction
from services.dedup import __main__ as operator
from services.dedup import commands, queries, rules
from services.dedup.rules import Clue, Thresholds, thresholds_of
from services.dedup.servicer import Servicer
from services.dedup.tables import labels, matches, people, screenings
from services.kernel.approval import Status
from services.kernel.caller import Caller, Role
from services.kernel.errors import Invalid
from services.kernel.ids import uuid7
from services.kernel.month import month_of, today
from services.kernel.policies import RULES, Period, Policies
from services.kernel.region import NATION
from tests.dedup.test_commands import FAR, HERE, NEAR, SERVICE, submit

OCTOBER = datetime(2026, 10, 15, tzinfo=UTC)
DISTRICT, FAR_DISTRICT = "99.978", "99.940"
SAID = ("NOT_A_DUPLICATE", "DUPLICATE_REJECT", "DUPLICATE_TRANSFER", "FIELD_VERIFICATION")


def labelled(connection, decision="NOT_A_DUPLICATE", at=OCTOBER, region=HERE, revision=1, **changes):
    """A member whose one finding is decided, and its id. Of another name than any other pair's, or they would all meet."""
    like = {"name": f"{changes.pop('name', 'Sunita')} Devi", "region": region, "mobile": str(9_000_000_000 + uuid7().int % 10**9), **changes}
    submit(connection, **like)
    member_id = submit(connection, **like)
    [finding] = queries.screening(connection, member_id)[0].matches
    commands.decide(connection, member_id, revision, Status.ACTIVE, {finding.finding_id: decision}, 2, at)
    return member_id, finding


def kept(connection, finding):
    return connection.execute(select(labels).where(labels.c.finding_id == finding.finding_id)).one()


def counted(connection, region="99", months=("2026-10", "2026-10"), regions=(NATION,)):
    return queries.precision(connection, region, months, regions)


def sums(rows):
    return [(row.month, row.region, row.decided, row.duplicates, row.not_duplicates, row.referred) for row in rows]


# Labels.


def test_a_label_keeps_what_was_decided_on_as_it_was(connection):
    member_id, finding = labelled(connection)
    connection.execute(update(matches).where(matches.c.finding_id == finding.finding_id).values(weight_centibits=1, verdict="CLEAR", clues=[]))
    row = kept(connection, finding)
    assert (row.member_id, row.other_id, row.region, row.decided_at) == (member_id, finding.other_id, HERE, OCTOBER)
    assert (row.verdict, row.override, row.weight_centibits) == (finding.verdict, finding.override, finding.weight_centibits)
    assert row.codes == [clue.code for clue in finding.clues]


def test_the_newest_word_on_a_finding_stands_whatever_the_order(connection):
    member_id, finding = labelled(connection, "FIELD_VERIFICATION")
    later = OCTOBER + timedelta(days=30)
    commands.label(connection, member_id, 1, {finding.finding_id: "DUPLICATE_REJECT"}, 4, later)
    commands.label(connection, member_id, 1, {finding.finding_id: "NOT_A_DUPLICATE"}, 3, OCTOBER)
    assert (kept(connection, finding).decision, kept(connection, finding).decided_at) == ("DUPLICATE_REJECT", later)
    assert sums(counted(connection)) == []
    assert sums(counted(connection, months=("2026-11", "2026-11"))) == [("2026-11", DISTRICT, 1, 1, 0, 0)]


def test_a_finding_that_is_not_known_is_kept_and_not_counted(connection):
    member_id, unknown = submit(connection), uuid7()
    commands.label(connection, member_id, 1, {unknown: "NOT_A_DUPLICATE"}, 2, OCTOBER)
    row = connection.execute(select(labels).where(labels.c.finding_id == unknown)).one()
    assert (row.region, row.verdict, row.codes) == (HERE, None, None)
    assert counted(connection) == []
    assert unknown not in {one.finding_id for one in queries.labels_after(connection, None, 500)}


# The report.


def test_each_decision_is_counted_as_what_it_says(connection):
    for place, decision in enumerate(SAID):
        labelled(connection, decision, name=("Zarina", "Kamla", "Phulmati", "Gauri")[place])
    [row] = counted(connection)
    assert (row.month, row.region, row.verdict) == ("2026-10", DISTRICT, "POTENTIAL")
    assert (row.decided, row.duplicates, row.not_duplicates, row.referred) == (4, 2, 1, 1)


def test_a_month_is_indias_and_a_state_is_told_district_by_district(connection):
    labelled(connection, at=datetime(2026, 10, 31, 18, 29, 59, tzinfo=UTC))
    labelled(connection, at=datetime(2026, 10, 31, 18, 30, tzinfo=UTC), name="Zarina")
    labelled(connection, "DUPLICATE_REJECT", region=FAR, name="Kamla")
    labelled(connection, at=datetime(2026, 12, 1, tzinfo=UTC), name="Gauri")
    assert sums(counted(connection, months=("2026-10", "2026-11"))) == [
        ("2026-10", FAR_DISTRICT, 1, 1, 0, 0),
        ("2026-10", DISTRICT, 1, 0, 1, 0),
        ("2026-11", DISTRICT, 1, 0, 1, 0),
    ]
    assert sums(counted(connection, FAR_DISTRICT)) == [("2026-10", FAR_DISTRICT, 1, 1, 0, 0)]
    assert sums(counted(connection, HERE)) == [("2026-10", HERE, 1, 0, 1, 0)]
    assert sums(counted(connection, regions=(FAR_DISTRICT,))) == [("2026-10", FAR_DISTRICT, 1, 1, 0, 0)]
    assert sums(counted(connection, HERE, regions=(FAR_DISTRICT,))) == []


@pytest.mark.parametrize(
    ("weight", "band"),
    [(-6000, "BELOW_0"), (-1, "BELOW_0"), (0, "0_TO_4"), (399, "0_TO_4"), (400, "4_TO_8"), (799, "4_TO_8"), (800, "8_UP"), (5000, "8_UP")],
)
def test_a_tier_is_a_verdict_who_may_override_it_and_a_band_of_weight(connection, weight, band):
    for place, override in enumerate(("OFFICER", "SUPERVISOR")):
        _, finding = labelled(connection, name=("Zarina", "Kamla")[place])
        of = labels.c.finding_id == finding.finding_id
        connection.execute(update(labels).where(of).values(override=override, weight_centibits=weight))
    assert [(row.override, row.band, row.decided) for row in counted(connection)] == [("OFFICER", band, 1), ("SUPERVISOR", band, 1)]


@pytest.mark.parametrize(
    ("months", "refused_with"),
    [
        (("2025-12", "2026-12"), "RANGE_TOO_LONG"),
        (("2026-12", "2026-11"), "MONTH_ORDER"),
        (("2026-12", "2027-01"), "MONTH_IN_FUTURE"),
        (("2026-1", "2026-11"), "MONTH_INVALID"),
    ],
)
def test_a_period_that_cannot_be_asked_for_is_refused(months, refused_with):
    with pytest.raises(Invalid) as refused:
        rules.period(*months, "2026-12")
    assert refused.value.code == refused_with


def test_a_year_can_be_asked_for():
    assert rules.period("2025-12", "2026-11", "2026-12") == ("2025-12", "2026-11")


# Over the wire, and out.


@pytest.fixture
def committed(up):
    with transaction(SERVICE) as connection:
        member_id, finding = labelled(connection, at=datetime.now(UTC), region=NEAR)
    yield member_id, finding
    ids = [member_id, finding.other_id]
    with transaction(SERVICE) as connection:
        for table in (labels, matches, screenings, people):
            connection.execute(delete(table).where(table.c.member_id.in_(ids)))


def test_the_report_over_the_wire(committed):
    _, finding = committed
    interceptors._caller.set(Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, NEAR))
    month = month_of(today())
    said = {"region": NEAR, "from_month": month, "to_month": month}
    [row] = Servicer().PrecisionReport(dedup_pb2.PrecisionReportRequest(**said), None).rows
    assert (row.month, row.region, row.verdict, row.decided, row.not_duplicates) == (month, NEAR, dedup_pb2.VERDICT_POTENTIAL, 1, 1)
    assert dedup_pb2.Override.Name(row.override) == f"OVERRIDE_{finding.override}"
    assert row.band == dedup_pb2.WEIGHT_BAND_8_UP


def test_labels_are_written_page_by_page_and_nothing_runs_in_a_spreadsheet(committed, tmp_path, monkeypatch):
    member_id, finding = committed
    with transaction(SERVICE) as connection:
        of = labels.c.finding_id == finding.finding_id
        connection.execute(update(labels).where(of).values(decision="=1+1", weight_centibits=-12))
        more = [labelled(connection, region=NEAR, name=name) for name in ("Zarina", "Kamla")]
    monkeypatch.setattr(commands, "PAGE", 2)
    monkeypatch.setattr("sys.argv", ["dedup", "labels", "--out", str(tmp_path / "labels.csv")])
    operator.main()
    with transaction(SERVICE) as connection:
        ids = [one for member, of in more for one in (member, of.other_id)]
        for table in (labels, matches, screenings, people):
            connection.execute(delete(table).where(table.c.member_id.in_(ids)))
    assert (tmp_path / "labels.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(operator.LABEL_COLUMNS)
    mine = {row[0]: row for row in rows}
    assert {str(of.finding_id) for _, of in more} < set(mine)
    assert mine[str(finding.finding_id)] == [
        str(finding.finding_id),
        str(member_id),
        str(finding.other_id),
        finding.verdict,
        finding.override,
        "-12",
        " ".join(clue.code for clue in finding.clues),
        "'=1+1",
        month_of(today()),
    ]


# The fraud list's rule.


@pytest.mark.parametrize(
    ("codes", "fraud"),
    [
        (["SAME_ACCOUNT", "IDENTITY_OTHER"], True),
        (["SAME_NAME", "SAME_ACCOUNT", "IDENTITY_OTHER"], True),
        (["SAME_ACCOUNT"], False),
        (["IDENTITY_OTHER", "ACCOUNT_OTHER"], False),
        (["SAME_ACCOUNT", "SAME_IDENTITY"], False),
        ([], False),
    ],
)
def test_two_identities_with_one_account_are_the_fraud_list(codes, fraud):
    assert rules.is_fraud(Clue(code, "", 0) for code in codes) is fraud


# Thresholds.


def test_thresholds_are_what_the_policies_say_on_the_day():
    assert thresholds_of(Policies(), today()) == Thresholds(0, 400, 800) == Thresholds()
    set_here = {
        "duplicate_decided_centibits": (Period(500, date(2026, 10, 1), date(2026, 10, 31)),),
        "duplicate_supervisor_centibits": (Period(1200, date(2026, 11, 1)),),
    }
    on = {day: thresholds_of(Policies(set_here), day) for day in (date(2026, 9, 30), date(2026, 10, 31), date(2026, 11, 1))}
    assert list(on.values()) == [Thresholds(0, 400, 800), Thresholds(0, 500, 800), Thresholds(0, 400, 1200)]


def test_where_policies_cross_the_lower_one_is_raised():
    set_here = {name: (Period(value, date(2026, 1, 1)),) for name, value in zip(rules.thresholds.NAMES, (600, 100, -50), strict=True)}
    assert thresholds_of(Policies(set_here), date(2026, 10, 1)) == Thresholds(600, 600, 600)


def test_thresholds_in_no_order_are_a_mistake_of_ours():
    with pytest.raises(ValueError, match="in no order"):
        Thresholds(shown_centibits=500)


def test_the_states_own_file_is_asked(up):
    assert queries.thresholds(today()) == Thresholds(*(RULES[name].default for name in rules.thresholds.NAMES))
