"""What a meeting changes of the due dates of loans, so that their age is known as of any day without counting anew (decision 30)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from services.transactions.rules.books import Loan
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Id, Line
from services.transactions.rules.loan import Standing, unpaid_since
from services.transactions.rules.schedule import Terms, schedule
from services.transactions.rules.transfer import given_away


class Change(NamedTuple):
    """Of one due date of the loans under one head: principal that falls due on it and principal collected of that; how many loans have
    it as their oldest unpaid one, and what is outstanding of these.
    """

    head: Head
    due_on: date
    scheduled_paise: int
    collected_paise: int
    loans: int
    outstanding_paise: int


class _Sums(dict[tuple[Head, date], list[int]]):
    def add(self, head: Head, due_on: date, *amounts: int) -> None:
        sums = self.setdefault((head, due_on), [0, 0, 0, 0])
        for place, amount in enumerate(amounts):
            sums[place] += amount


def changes(before: Mapping[Id, Loan], after: Mapping[Id, Loan], posted: tuple[Line, ...], never: frozenset[Id]) -> tuple[Change, ...]:
    """`before` are the loans as the meeting found them, `after` those that it changed. What of them was written off, or taken back of that, or
    given over to another group, its lines say; `never` are those that were taken back whole, as if never given.
    """
    sums, lost = _Sums(), _unpaid(posted)
    for loan_id, loan in after.items():
        was = before.get(loan_id)
        if was is None:  # Of one that a cut-off or another group brings in, what was paid before is no collection of that day.
            _add(sums, loan.head, loan.terms, loan.standing, 1, uncollected=True)
            continue
        left = loan.standing.outstanding_paise + lost.get(loan_id, 0)
        stood = replace(loan.standing, outstanding_paise=left)
        _add(sums, loan.head, was.terms, was.standing, -1)
        if loan_id in never:
            continue
        if loan.terms is was.terms and not lost.get(loan_id):
            _add(sums, loan.head, was.terms, stood, 1)
            continue
        # What was collected counts by the schedule that there was; what of it nobody pays any more falls due no longer.
        for due_on, _, collected in _collected(was.terms, left):
            sums.add(loan.head, due_on, collected, collected)
        if loan.standing.outstanding_paise:
            paid = loan.terms is was.terms and lost.get(loan_id, 0) < 0
            _add(sums, loan.head, loan.terms, loan.standing, 1, uncollected=paid)
    return tuple(Change(head, due_on, *amounts) for (head, due_on), amounts in sorted(sums.items()) if any(amounts))


def _unpaid(posted: tuple[Line, ...]) -> dict[Id, int]:
    lost: dict[Id, int] = {}
    for line in posted:
        if line.debit == Head.WRITE_OFF and line.credit_of:
            lost[line.credit_of] = lost.get(line.credit_of, 0) + line.amount_paise
        elif line.credit == Head.WRITE_OFF and line.debit_of:
            lost[line.debit_of] = lost.get(line.debit_of, 0) - line.amount_paise
        else:
            loan_id, paise = given_away(line)
            lost[loan_id] = lost.get(loan_id, 0) + paise
    return lost


def _add(sums: _Sums, head: Head, terms: Terms, standing: Standing, sign: int, *, uncollected: bool = False) -> None:
    """A loan as it stands, or with -1 away; `uncollected`: of its schedule only what is still to come."""
    for due_on, scheduled, collected in _collected(terms, standing.outstanding_paise):
        asked, paid = (scheduled - collected, 0) if uncollected else (scheduled, collected)
        sums.add(head, due_on, sign * asked, sign * paid)
    if since := unpaid_since(terms, standing):
        sums.add(head, since, 0, 0, sign, sign * standing.outstanding_paise)


def _collected(terms: Terms, outstanding_paise: int) -> Iterator[tuple[date, int, int]]:
    """Of each instalment's principal when it falls due, and how much of it is paid: the oldest first."""
    repaid = terms.principal_paise - outstanding_paise
    for row in schedule(terms):
        if row.principal_paise:
            more = max(-repaid, 0)  # Taken back after it was rescheduled: due with the first.
            repaid += more
            yield row.due_on, row.principal_paise + more, min(repaid, row.principal_paise)
            repaid -= min(repaid, row.principal_paise)
