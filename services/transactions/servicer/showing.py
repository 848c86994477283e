"""From rows to the wire."""

from dataclasses import fields
from datetime import date
from functools import cache
from typing import Any

from protos import transactions_pb2 as pb
from services.kernel.approval import MeetingStatus
from services.kernel.canonical import content_hash
from services.transactions.queries import ContestedLoan, Standing
from services.transactions.rules import anomaly, packed, statements
from services.transactions.rules.agreed import months_of, shown
from services.transactions.rules.books import GivenOver, Loan
from services.transactions.rules.heads import CHART, ITEMS, Head, chart_version
from services.transactions.rules.journal import Account, Line, effect
from services.transactions.rules.loan import Order, dues, unpaid_since
from services.transactions.rules.meeting import closing
from services.transactions.rules.schedule import instalment_paise
from services.transactions.rules.settlement import Quote
from services.transactions.rules.sheet import Reversal, named_members


def meeting(row: Any) -> pb.Meeting:  # noqa: ANN401 - a row of meetings
    shown = pb.Meeting(
        sheet=pb.MeetingSheet(**packed.unpack_content(row)),
        status=f"MEETING_STATUS_{row.status}",
        reasons=row.reasons or (),
        remark=row.remark or "",
        decided_by=row.decided_by or "",
        flags=row.flags,
        retained_surplus_paise=_surplus(row) if "CUT_OFF" in row.flags else 0,
    )
    if row.decided_at and row.status != MeetingStatus.CLOSED:
        shown.decided_at.FromDatetime(row.decided_at)
    return shown


def _surplus(row: Any) -> int:  # noqa: ANN401 - a row of meetings
    return effect(packed.unpack_lines(row)).get(Account(Head.RETAINED_SURPLUS), 0)


def members_in(*rows: Any) -> list[str]:  # noqa: ANN401 - rows of meetings
    """The members whom meetings name; a repayment names a loan, and not whose it is."""
    return sorted({one for row in rows for one in named_members(packed.unpack_sheet(row))})


def position(found: Standing, since: int, on: date, since_on: date | None, epoch: int, order: Order) -> pb.Position:
    chain = found.chain
    return pb.Position(
        institution_id=str(found.institution.institution_id),
        version=chain.version,
        last_number=chain.last_number,
        last_meeting_id=chain.last_meeting_id,
        last_held_on=chain.last_held_on.isoformat() if chain.last_held_on else "",
        approved_through=chain.approved_through,
        closing_hash=_closing_hash(found),
        balances=[
            pb.Balance(head=account.head, of=account.of, paise=found.balances[account], provisional_paise=found.provisional.get(account, 0))
            for account in sorted(found.changed)
        ],
        loans=[
            _loan(loan_id, loan, on)
            for loan_id, (version, loan) in found.loans.items()
            if since_on is None or version > since or dues(loan.terms, loan.standing, on) != dues(loan.terms, loan.standing, since_on)
        ]
        + [pb.LoanPosition(loan_id=account.of, head=account.head) for account in found.settled],
        roster=found.roster,
        members=[pb.MemberStanding(member_id=str(row.member_id), active=row.status == "ACTIVE") for row in found.members],
        bank_ids=[bank_id for bank_id, ended_on in found.institution.banks or () if not ended_on],
        compulsory_paise=found.institution.compulsory_paise,
        savings_frequency=found.institution.savings_frequency,
        decisions=[_decision(row) for row in found.decisions],
        chart_version=chart_version(),
        instance_epoch=epoch,
        repayment_order=order.name,
        incoming=[_incoming(one, on) for one in found.incoming],
    )


def _incoming(one: GivenOver, on: date) -> pb.IncomingTransfer:
    said, loans = one.comes(one.said.transfer_id)
    positions = [_loan(come.of_loan_id, one.loans[come.of_loan_id], on) for come in loans]
    transfer, carried = pb.Transfer(**said._asdict()), [pb.LoanIn(**come._asdict()) for come in loans]
    return pb.IncomingTransfer(transfer=transfer, loans=carried, held_on=one.held_on.isoformat(), positions=positions)


def _closing_hash(found: Standing) -> str:
    chain = found.chain
    if chain.last_held_on is None:
        return ""
    return content_hash(closing(str(found.institution.institution_id), chain.last_number, chain.last_held_on, found.balances)).hex()


def _loan(loan_id: str, loan: Loan, on: date) -> pb.LoanPosition:
    first = loan.earlier[0][1] if loan.earlier else loan.terms
    falls, since = dues(loan.terms, loan.standing, on), unpaid_since(loan.terms, loan.standing)
    return pb.LoanPosition(
        loan_id=loan_id,
        head=loan.head,
        member_id=loan.borrower_id if loan.head == Head.MEMBER_LOANS else "",
        borrower_id=loan.borrower_id if loan.head == Head.INSTITUTION_LOANS else "",
        principal_paise=first.principal_paise,
        outstanding_paise=loan.standing.outstanding_paise,
        annual_rate_basis_points=loan.terms.annual_rate_basis_points,
        months=months_of(loan.terms),
        given_on=first.given_on.isoformat(),
        instalment_paise=instalment_paise(loan.terms),
        overdue_paise=falls.overdue_paise,
        due_paise=falls.due_paise,
        interest_due_paise=falls.interest_due_paise,
        interest_overdue_paise=falls.interest_overdue_paise,
        agreed=pb.Agreed(**shown(loan.terms)) if shown(loan.terms) else None,
        unpaid_since=since.isoformat() if since else "",
        rescheduled_on=loan.terms.given_on.isoformat() if loan.earlier else "",
    )


def _decision(row: Any) -> pb.Decision:  # noqa: ANN401 - a row of meetings
    return pb.Decision(
        meeting_id=str(row.meeting_id),
        revision=row.revision,
        number=row.number,
        status=f"MEETING_STATUS_{row.status}",
        reasons=row.reasons or (),
        remark=row.remark or "",
        flags=row.flags,
    )


def settlement(quote: Quote) -> pb.QuoteSettlementResponse:
    return pb.QuoteSettlementResponse(**{**quote._asdict(), "loans": [pb.SettlementLoan(**one._asdict()) for one in quote.loans]})


def members_of(shown: pb.Position) -> list[str]:
    lent, there = {one.member_id for one in shown.loans}, {one.member_id for one in shown.members}
    come = {one.transfer.member_id for one in shown.incoming}
    return sorted(({one.of for one in shown.balances} | lent | there | come) - {""})


def line(row: Any, posted: Line, back: Reversal | None) -> pb.JournalLine:  # noqa: ANN401 - a row of meetings
    return pb.JournalLine(
        meeting_id=str(row.meeting_id),
        number=row.number,
        line=posted.line,
        held_on=row.held_on.isoformat(),
        debit=posted.debit,
        credit=posted.credit,
        amount_paise=posted.amount_paise,
        debit_of=posted.debit_of,
        credit_of=posted.credit_of,
        approved=row.status == MeetingStatus.APPROVED,
        reverses=pb.Reversal(meeting_id=back.meeting_id, line=back.line) if back else None,
    )


def waiting(row: Any) -> pb.WaitingMeeting:  # noqa: ANN401 - a row of meetings
    return pb.WaitingMeeting(
        meeting_id=str(row.meeting_id),
        institution_id=str(row.institution_id),
        revision=row.revision,
        number=row.number,
        held_on=row.held_on.isoformat(),
        flags=row.flags,
    )


def contested_loan(found: ContestedLoan) -> pb.ContestedLoan:
    row = found.meeting
    return pb.ContestedLoan(
        institution_id=str(row.institution_id),
        meeting_id=str(row.meeting_id),
        revision=row.revision,
        number=row.number,
        held_on=row.held_on.isoformat(),
        field=f"loans[{found.place}]",
        member_id=found.loan.member_id,
        loan_id=found.loan.loan_id,
        principal_paise=found.loan.principal_paise,
    )


def flagged(row: Any) -> tuple[anomaly.Mark, pb.Anomaly]:  # noqa: ANN401 - a row of queries.flagged
    """A meeting with a flag, and where it stands in the list."""
    reasons = anomaly.reasons(row.flags, packed.unpack_sheet(row), row.compulsory_paise, packed.unlisted(row), [str(one) for one in row.contested])
    return anomaly.Mark(row.held_on, row.meeting_id), _anomaly(row, [pb.AnomalyReason(**one._asdict()) for one in reasons], row.status)


def refused(row: Any) -> tuple[anomaly.Mark, pb.Anomaly]:  # noqa: ANN401 - a row of refused
    """What was refused, and where it stands in the list."""
    reason = pb.AnomalyReason(kind=row.code, sentence=anomaly.REFUSED[row.code], field=row.field, member_id=str(row.member_id or ""))
    shown = _anomaly(row, [reason], "UNSPECIFIED")
    shown.refused_at.FromDatetime(row.refused_at)
    return anomaly.Mark(row.held_on, row.meeting_id, row.attempt), shown


def _anomaly(row: Any, reasons: list[pb.AnomalyReason], status: str) -> pb.Anomaly:  # noqa: ANN401 - of either
    return pb.Anomaly(
        institution_id=str(row.institution_id),
        meeting_id=str(row.meeting_id),
        revision=row.revision,
        number=row.number,
        held_on=row.held_on.isoformat(),
        status=f"MEETING_STATUS_{status}",
        maker_user=row.maker_user,
        reasons=reasons,
    )


def _plain(shown: Any, kind: Any) -> Any:  # noqa: ANN401 - of a dataclass of statements.py its namesake in the proto
    values = {one.name: getattr(shown, one.name) for one in fields(shown)}
    return kind(**{name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()})


def trial_balance(book: statements.TrialBalance) -> pb.TrialBalanceResponse:
    return pb.TrialBalanceResponse(
        heads=[_plain(one, pb.HeadBalance) for one in book.heads],
        debit_total_paise=book.debit_total_paise,
        credit_total_paise=book.credit_total_paise,
        through_number=book.through_number,
    )


def cash_book(book: statements.CashBook) -> pb.CashBookResponse:
    return pb.CashBookResponse(places=[_plain(one, pb.Place) for one in book.places], entries=[_plain(one, pb.CashEntry) for one in book.entries])


def receipts_and_payments(book: statements.ReceiptsAndPayments) -> pb.ReceiptsAndPaymentsResponse:
    return pb.ReceiptsAndPaymentsResponse(
        places=[_plain(one, pb.Place) for one in book.places],
        receipts=[_plain(one, pb.HeadSum) for one in book.receipts],
        payments=[_plain(one, pb.HeadSum) for one in book.payments],
    )


def passbook(book: statements.Passbook) -> pb.PassbookResponse:
    accounts, entries = ([_plain(one, kind) for one in of] for of, kind in ((book.accounts, pb.PassbookAccount), (book.entries, pb.PassbookEntry)))
    return pb.PassbookResponse(accounts=accounts, entries=entries)


@cache
def chart() -> pb.Chart:
    return pb.Chart(
        version=chart_version(),
        heads=[
            pb.HeadOfAccount(code=code, title=head.title, side=head.side, sub_ledger=head.sub_ledger, levels=head.levels)
            for code, head in CHART.items()
        ],
        items=[
            pb.Item(
                code=code,
                title=item.title,
                screen=item.screen,
                debit=item.debit or "MONEY",
                credit=item.credit or "MONEY",
                of_member=item.of_member,
                of_institution=item.of_institution,
            )
            for code, item in ITEMS.items()
        ],
    )
