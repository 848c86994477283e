"""How old what is unpaid is, on whatever day it is asked: against loans counted one by one."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, select, text

from protos.transactions_pb2 import MeetingApproved
from services.chassis.hears import hearings, run_new
from services.kernel.errors import Invalid
from services.kernel.geography import Geography, Place
from services.kernel.ids import uuid7
from services.reporting import commands, queries, rules
from services.reporting.consumer import Consumer
from services.reporting.rules.portfolio import Amounts, Asked, Due, check, gathered, rolled_up
from services.reporting.tables import ageing
from tests.reporting.test_commands import TODAY, VILLAGES, envelope

SERVICE = "reporting"
STATE, DISTRICT, BLOCK = "9", "9.178", "9.178.1204"
PLACES = [Place(path, path, "", date(2020, 1, 1)) for village in VILLAGES for path in rules.regions.ancestors(village)]
FIRST = date(2025, 1, 1)
HEARING = {(one.source, one.event): one for one in hearings(SERVICE)}["transactions", "MeetingApproved"]


@pytest.fixture
def connection(connection):
    connection.execute(delete(ageing))
    return connection


@dataclass
class Loan:
    """Lent on a day, due in parts, paid on days: the oldest part first. `ended_on`: written off, all that was left."""

    village: str
    head: str
    given_on: date
    parts: list[tuple[date, int]]
    paid: list[tuple[date, int]] = field(default_factory=list)
    ended_on: date = date.max

    def by_due(self, by):
        """Of each due date what falls due and what is paid of it, at the end of a day."""
        if by < self.given_on:
            return {}
        left, found = sum(paise for on, paise in self.paid if on <= by), {}
        for due_on, paise in self.parts:
            covered = min(left, paise)
            left -= covered
            found[due_on] = (covered if by >= self.ended_on else paise, covered)
        return found

    def unpaid(self, by):
        """Since when, and how much is outstanding; nothing where nothing is."""
        dues = self.by_due(by)
        open_on = [due_on for due_on, (paise, covered) in dues.items() if covered < paise]
        return (min(open_on), sum(paise - covered for paise, covered in dues.values())) if open_on else None

    @property
    def days(self):
        return sorted({self.given_on, *(on for on, _ in self.paid), self.ended_on} - {date.max})

    def changes(self):
        """What each of its days changed: as after it less as before it."""
        for day in self.days:
            sums = Counter()
            for sign, by in ((1, day), (-1, day - timedelta(days=1))):
                for due_on, (paise, covered) in self.by_due(by).items():
                    sums[due_on, "scheduled"] += sign * paise
                    sums[due_on, "collected"] += sign * covered
                if stands := self.unpaid(by):
                    sums[stands[0], "loans"] += sign
                    sums[stands[0], "outstanding"] += sign * stands[1]
            for due_on in sorted({due_on for due_on, _ in sums}):
                amounts = Amounts(*(sums[due_on, name] for name in Amounts._fields))
                yield Due(rules.regions.at_level(self.village, 3), self.head, day, due_on), amounts


def some_loans(chance, count=60):
    for _ in range(count):
        given_on, step = FIRST + timedelta(days=chance.randrange(400)), chance.choice((7, 30))
        parts = [(given_on + timedelta(days=step * place), chance.randint(1, 900)) for place in range(1, chance.randint(2, 12))]
        loan = Loan(chance.choice(VILLAGES), chance.choice(("A01", "L04")), given_on, parts)
        left, day = sum(paise for _, paise in parts), given_on
        while left and chance.random() < 0.85:
            day += timedelta(days=chance.randint(0, 60))
            loan.paid.append((day, chance.randint(1, left) if chance.random() < 0.8 else left))
            left -= loan.paid[-1][1]
            if chance.random() < 0.1:  # It was not hers: taken back, some days later.
                day += timedelta(days=chance.randint(0, 20))
                loan.paid.append((day, -loan.paid[-1][1]))
                left -= loan.paid[-1][1]
        if left and chance.random() < 0.2:
            loan.ended_on = day + timedelta(days=chance.randint(1, 90))
        yield loan


def counted(loans, region, head, first, last):
    """The same, loan by loan and due date by due date."""
    mine = [one for one in loans if one.head == head and rules.regions.contains(region, one.village) and one.given_on <= last]
    stands = [one.unpaid(last) for one in mine if one.unpaid(last)]
    sums = Counter(loans=len(stands), outstanding_paise=sum(paise for _, paise in stands))
    for days, loans_of, paise_of in (
        (0, "loans_overdue", "outstanding_overdue_paise"),
        *((days, f"loans_over_{days}", f"par_{days}_paise") for days in (30, 60, 90)),
    ):
        old = [paise for since, paise in stands if (last - since).days > days]
        sums[loans_of], sums[paise_of] = len(old), sum(old)
    before = first - timedelta(days=1)
    for one in mine:
        were, are = one.by_due(before), one.by_due(last)
        for due_on, (paise, covered) in are.items():
            was, had = were.get(due_on, (0, 0))
            kind = "arrears" if due_on < first else "current" if due_on <= last else "ahead"
            sums[f"collected_{kind}_paise"] += covered - had
            if due_on < last:
                sums["overdue_paise"] += paise - covered
            if due_on <= last:
                sums["closing_overdue_paise"] += paise - covered
            if due_on < first:
                sums["opening_overdue_paise"] += was - had
                sums["ended_paise"] += paise - was
            elif due_on <= last:
                sums["demand_paise"] += paise - had
                sums["scheduled_paise"] += paise
                by_then = one.by_due(due_on)
                sums["on_time_paise"] += by_then.get(due_on, (0, 0))[1]
    return sums


@pytest.mark.parametrize("seed", range(6))
def test_ages_and_collection_are_those_of_the_loans_one_by_one(connection, seed):
    chance = random.Random(seed)
    loans = list(some_loans(chance))
    came = [change for loan in loans for change in loan.changes()]
    chance.shuffle(came)
    for place in range(0, len(came), 50):  # In batches, in whatever order they are heard.
        commands.add_dues(connection, gathered(came[place : place + 50]))
    turns = [day for loan in loans for day in (*loan.days, *(due_on for due_on, _ in loan.parts))]
    ends = [loan.ended_on for loan in loans if loan.ended_on < date.max]
    for place in range(25):  # Any day; then those on which something is paid or falls due; then those on which a loan is written off.
        first = chance.choice(turns if place % 3 == 1 else ends if place % 3 == 2 and ends else [FIRST + timedelta(days=chance.randrange(700))])
        asked = Asked(chance.choice((STATE, DISTRICT, BLOCK, "9.178.1205", "9.141")), first, first + timedelta(days=chance.choice((0, 6, 29, 364))))
        found = {row.head: row for row in queries.portfolio(connection, asked)}
        for head in ("A01", "L04"):
            expected = counted(loans, asked.region, head, asked.from_on, asked.to_on)
            if head not in found:
                assert not any(expected.values())
                continue
            row = {name: getattr(found[head], name) for name in found[head].__slots__ if name != "head"}
            assert row == {name: expected[name] for name in row}, (asked, head)
            opened = row["opening_overdue_paise"] + row["ended_paise"] + row["demand_paise"]
            assert opened == row["collected_arrears_paise"] + row["collected_current_paise"] + row["closing_overdue_paise"]


def test_an_answer_reads_its_regions_rows_by_their_key_and_no_others(connection):
    """However many other regions there are, and however many days come later."""
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(60)]
    for block in ("9.178.1204", "9.178.1205", "9.141.1300"):
        commands.add_dues(connection, {Due(block, head, on, on): Amounts(1, 0, 1, 1) for head in ("A01", "L04") for on in days})
    connection.exec_driver_sql("analyze ageing")
    connection.exec_driver_sql("set local enable_seqscan = off")
    said = {"level": 3, "region": "9.178.1204", "a": days[0], "b": days[29]}
    [plan] = connection.execute(text(f"explain (analyze, format json) {queries._PORTFOLIO}"), said).scalar_one()
    nodes = [plan["Plan"]]
    while (node := nodes[-1]).get("Plans"):
        nodes += node["Plans"]
    assert node["Node Type"] in {"Index Scan", "Bitmap Index Scan", "Index Only Scan"}
    assert (node["Index Name"], node["Actual Rows"]) == ("ageing_pkey", 60)
    assert "changed_on <=" in node["Index Cond"]
    assert "region =" in node["Index Cond"]


def approved(village, held_on, *dues):
    plain = {"meeting_id": str(uuid7()), "institution_id": str(uuid7()), "month": "2026-05", "approved_on": "2026-05-10", "maker_user": "IUP_1"}
    names = ("head", "due_on", "scheduled_paise", "collected_paise", "loans", "outstanding_paise")
    return MeetingApproved(**plain, region=village, held_on=held_on, dues=[dict(zip(names, due, strict=True)) for due in dues])


def test_a_meeting_heard_twice_counts_once_and_where_it_lies(connection):
    lent = approved(VILLAGES[0], "2026-05-04", ("A01", "2026-06-30", 700, 0, 1, 700))
    heard = envelope("transactions", lent, lent.meeting_id)
    for _ in range(2):
        run_new(HEARING, Consumer(), connection, [heard])
    kept = {(row.level, row.region): (row.loans, row.outstanding) for row in connection.execute(select(ageing))}
    assert kept == {(1, STATE): (1, 700), (2, DISTRICT): (1, 700), (3, BLOCK): (1, 700)}
    [row] = queries.portfolio(connection, Asked(BLOCK, date(2026, 5, 1), TODAY))
    assert (row.loans, row.outstanding_paise, row.loans_overdue, row.scheduled_paise) == (1, 700, 0, 0)
    [row] = queries.portfolio(connection, Asked(STATE, date(2026, 7, 1), date(2026, 7, 31)))
    assert (row.loans_over_30, row.par_30_paise, row.overdue_paise) == (1, 700, 700), "nothing is rewritten as days pass"
    [row] = queries.portfolio(connection, Asked(BLOCK, date(2026, 5, 4), date(2026, 5, 4)))
    assert row.loans == 1, "from the day on which it was held, not from that of its approval"
    assert queries.portfolio(connection, Asked("9.141", date(2026, 5, 1), TODAY)) == []
    assert queries.portfolio(connection, Asked(STATE, date(2026, 4, 1), date(2026, 5, 3))) == [], "before it was held there was nothing"


def test_told_anew_after_all_was_forgotten_it_is_the_same(connection):
    lent = approved(VILLAGES[0], "2026-05-04", ("A01", "2026-06-30", 700, 0, 1, 700), ("L04", "2026-06-15", 50, 0, 1, 50))
    heard = envelope("transactions", lent, lent.meeting_id)
    run_new(HEARING, Consumer(), connection, [heard])
    before = set(connection.execute(select(ageing)).all())
    commands.empty(connection)
    assert connection.execute(select(ageing)).all() == []
    run_new(HEARING, Consumer(), connection, [heard])
    assert set(connection.execute(select(ageing)).all()) == before


def test_what_comes_to_nothing_is_not_kept():
    one = Due(BLOCK, "A01", FIRST, FIRST)
    assert rolled_up(gathered([(one, Amounts(5, 0, 1, 5)), (one, Amounts(-5, 0, -1, -5))])) == {}


@pytest.mark.parametrize(
    ("region", "from_on", "to_on", "refusal"),
    [
        (VILLAGES[0], "", "", ("REGION_NARROW", "region")),
        ("9.178.1204.77", "", "", ("REGION_NARROW", "region")),
        ("9.999", "", "", ("REGION_UNKNOWN", "region")),
        ("", "2026-05-02", "2026-05-01", ("RANGE_INVALID", "from_on")),
        ("", "", "2026-05-21", ("RANGE_INVALID", "to_on")),
        ("", "May", "", ("DATE_INVALID", "from_on")),
    ],
)
def test_what_cannot_be_asked_is_refused(region, from_on, to_on, refusal):
    with pytest.raises(Invalid) as refused:
        check(region, from_on, to_on, STATE, Geography(PLACES), TODAY)
    assert (refused.value.code, refused.value.field) == refusal


def test_where_nothing_is_said_it_is_the_state_this_month_until_today():
    assert check("", "", "", STATE, Geography([]), TODAY) == Asked(STATE, date(2026, 5, 1), TODAY)
    assert check("", TODAY.isoformat(), TODAY.isoformat(), STATE, Geography([]), TODAY) == Asked(STATE, TODAY, TODAY)
    assert check(BLOCK, "2025-04-01", "2026-03-31", STATE, Geography(PLACES), TODAY) == Asked(BLOCK, date(2025, 4, 1), date(2026, 3, 31))
