"""From the wire to rules: a MeetingSheet as the rules read it. Each id is looked at once, however often it stands in the sheet."""

from typing import Any

from protos import transactions_pb2 as pb
from services.kernel.canonical import content_hash
from services.kernel.errors import Invalid
from services.kernel.ids import row_id, written_id
from services.kernel.month import parse_date
from services.transactions.rules import sheet as rules
from services.transactions.rules.agreed import AS_USUAL, Agreed
from services.transactions.rules.meeting import Waiting
from services.transactions.rules.record import Upload


class _Ids:
    """The ids of one sheet, by how they were written."""

    def __init__(self) -> None:
        self._read: dict[str, str] = {"": ""}

    def must(self, text: str, name: str, place: int, key: str) -> str:
        return self.may(text, name, place, key) or written_id("", f"{name}[{place}].{key}")

    def may(self, text: str, name: str, place: int, key: str) -> str:
        read = self._read.get(text)
        if read is None:
            read = self._read[text] = written_id(text, f"{name}[{place}].{key}")
        return read

    def bank(self, text: str, name: str, place: int, key: str) -> str:
        return row_id(text, f"{name}[{place}].{key}") if text else ""

    def paid(self, entry: Any, name: str, place: int) -> rules.Paid:  # noqa: ANN401 - any entry that says how it was paid
        if not entry.HasField("paid"):
            return rules.IN_CASH
        paid = entry.paid
        return rules.Paid(paid.mode, self.bank(paid.bank_id, name, place, "paid.bank_id"), paid.cheque_number, paid.reference)


def read_upload(sent: pb.MeetingSheet) -> Upload:
    _must_be_known(sent)
    sheet = read_sheet(sent)
    content = rules.content(sheet)
    return Upload(sheet, sent.lock, content, content_hash(content))


def _must_be_known(sent: pb.MeetingSheet) -> None:
    """A newer app may say what this version cannot read: it would be lost, and the hash would be of the rest."""
    if _says_more(sent):
        raise Waiting("SHEET_NEWER", "The app says more than this system knows yet: the meeting waits for its next version.", awaited="")


def _says_more(sent: pb.MeetingSheet | pb.LoanTerms) -> bool:
    known = type(sent)()
    known.CopyFrom(sent)  # type: ignore[arg-type]  # it is its own type
    known.DiscardUnknownFields()
    return known.ByteSize() != sent.ByteSize()


def read_loan(sent: pb.LoanTerms) -> dict[str, Any]:
    """As names and values, which rules/quote.py reads; proto3 does not tell what is zero or empty from what is not said."""
    if _says_more(sent):
        raise Invalid("FIELD_UNKNOWN", "The loan says more than this system knows yet.")
    said = {field.name: value for message in (sent, sent.agreed) for field, value in message.ListFields() if field.name != "agreed"}
    return {"annual_rate_basis_points": 0, **said}


def read_sheet(sent: pb.MeetingSheet) -> rules.Sheet:
    ids = _Ids()
    return rules.Sheet(
        meeting_id=written_id(sent.meeting_id, "meeting_id"),
        institution_id=written_id(sent.institution_id, "institution_id"),
        revision=sent.revision,
        number=sent.number,
        held_on=parse_date(sent.held_on, "held_on"),
        previous_meeting_id=written_id(sent.previous_meeting_id, "previous_meeting_id") if sent.previous_meeting_id else "",
        **_members(sent, ids),
        **_asked(sent, ids),
        **_lent(sent, ids),
        **_moved(sent, ids),
        **_left(sent, ids),
        counted_cash_paise=sent.counted_cash_paise,
        manual_books_differ=sent.manual_books_differ,
        closing_hash=sent.closing_hash,
        cut_off=_cut_off(sent.cut_off, ids) if sent.HasField("cut_off") else None,
    )


def _cut_off(sent: pb.CutOff, ids: _Ids) -> rules.CutOff:
    return rules.CutOff(
        sent.meetings_held,
        sent.last_meeting_on,
        tuple(
            rules.OpeningMember(
                ids.must(one.member_id, "cut_off.members", at, "member_id"),
                one.meetings_attended,
                one.compulsory_paise,
                one.voluntary_paise,
                one.share_capital_paise,
                one.fees_paise,
                one.closed_loans,
                one.closed_loans_paise,
                one.settlement_payable_paise,
            )
            for at, one in enumerate(sent.members)
        ),
        tuple(_active_loan(one, "cut_off.active_loans", at, ids) for at, one in enumerate(sent.active_loans)),
        tuple(_active_borrowing(one, "cut_off.active_borrowings", at, ids) for at, one in enumerate(sent.active_borrowings)),
        tuple(rules.ClosedBorrowing(one.lender, one.lender_name, one.fund, one.closed_loans, one.total_paise) for one in sent.closed_borrowings),
        tuple(rules.OpeningInvestment(one.item, one.amount_paise, one.party) for one in sent.investments),
        tuple(
            rules.OpeningFund(one.item, one.received_paise, one.returned_paise, one.party, ids.paid(one, "cut_off.funds", at))
            for at, one in enumerate(sent.funds)
        ),
        sent.cash_in_transit_paise,
    )


def _active_loan(sent: pb.ActiveLoan, name: str, at: int, ids: _Ids) -> rules.ActiveLoan:
    return rules.ActiveLoan(
        ids.must(sent.loan_id, name, at, "loan_id"),
        ids.may(sent.member_id, name, at, "member_id"),
        sent.principal_paise,
        sent.outstanding_paise,
        sent.given_on,
        sent.annual_rate_basis_points,
        sent.months,
        sent.arrears_paise,
        sent.interest_due_paise,
        sent.interest_paid_paise,
        sent.fund,
        sent.purpose,
        _agreed(sent),
        _anew(sent),
        ids.paid(sent, name, at),
        ids.may(sent.borrower_id, name, at, "borrower_id"),
    )


def _active_borrowing(sent: pb.ActiveBorrowing, name: str, at: int, ids: _Ids) -> rules.ActiveBorrowing:
    return rules.ActiveBorrowing(
        ids.must(sent.borrowing_id, name, at, "borrowing_id"),
        sent.lender,
        sent.principal_paise,
        sent.outstanding_paise,
        sent.given_on,
        sent.annual_rate_basis_points,
        sent.months,
        sent.arrears_paise,
        sent.interest_due_paise,
        sent.interest_paid_paise,
        ids.may(sent.lender_id, name, at, "lender_id"),
        sent.lender_name,
        sent.account_number,
        sent.fund,
        sent.loan_type,
        sent.effective_on,
        _agreed(sent),
        _anew(sent),
        ids.paid(sent, name, at),
    )


def _anew(sent: pb.ActiveLoan | pb.ActiveBorrowing) -> rules.NewSchedule | None:
    if not sent.HasField("anew"):
        return None
    return rules.NewSchedule(sent.anew.annual_rate_basis_points, sent.anew.months, _agreed(sent.anew))


def _members(sent: pb.MeetingSheet, ids: _Ids) -> dict[str, Any]:
    must, may, paid = ids.must, ids.may, ids.paid
    return {
        "attendance": tuple(
            rules.Attendance(must(one.member_id, "attendance", at, "member_id"), one.present) for at, one in enumerate(sent.attendance)
        ),
        "savings": tuple(
            rules.Saving(must(one.member_id, "savings", at, "member_id"), one.compulsory_paise, one.voluntary_paise, paid(one, "savings", at))
            for at, one in enumerate(sent.savings)
        ),
        "withdrawals": tuple(
            rules.Withdrawal(
                must(one.member_id, "withdrawals", at, "member_id"), one.compulsory_paise, one.voluntary_paise, paid(one, "withdrawals", at)
            )
            for at, one in enumerate(sent.withdrawals)
        ),
        "repayments": tuple(
            rules.Repayment(must(one.loan_id, "repayments", at, "loan_id"), one.principal_paise, one.interest_paise, paid(one, "repayments", at))
            for at, one in enumerate(sent.repayments)
        ),
        "entries": tuple(
            rules.Entry(
                one.item,
                one.amount_paise,
                may(one.member_id, "entries", at, "member_id"),
                one.party,
                paid(one, "entries", at),
                may(one.institution_id, "entries", at, "institution_id"),
            )
            for at, one in enumerate(sent.entries)
        ),
    }


def _asked(sent: pb.MeetingSheet, ids: _Ids) -> dict[str, Any]:
    must, may = ids.must, ids.may
    return {
        "requests": tuple(
            rules.LoanRequest(
                must(one.request_id, "requests", at, "request_id"),
                must(one.member_id, "requests", at, "member_id"),
                one.amount_paise,
                one.purpose,
                one.sanctioned_paise,
                one.fund,
                one.priority,
                one.valid_until,
                may(one.plan_id, "requests", at, "plan_id"),
            )
            for at, one in enumerate(sent.requests)
        ),
        "plans": tuple(
            rules.Plan(
                must(one.plan_id, "plans", at, "plan_id"),
                must(one.member_id, "plans", at, "member_id"),
                one.amount_paise,
                one.purpose,
                one.valid_until,
                one.proposed_instalment_paise,
            )
            for at, one in enumerate(sent.plans)
        ),
    }


def _lent(sent: pb.MeetingSheet, ids: _Ids) -> dict[str, Any]:
    must, may, paid = ids.must, ids.may, ids.paid
    return {
        "loans": tuple(
            rules.LoanGiven(
                must(one.loan_id, "loans", at, "loan_id"),
                may(one.member_id, "loans", at, "member_id"),
                one.principal_paise,
                one.annual_rate_basis_points,
                one.months,
                one.purpose,
                one.fund,
                may(one.request_id, "loans", at, "request_id"),
                paid(one, "loans", at),
                _agreed(one),
                may(one.borrower_id, "loans", at, "borrower_id"),
            )
            for at, one in enumerate(sent.loans)
        ),
        "borrowings": tuple(
            rules.Borrowing(
                must(one.borrowing_id, "borrowings", at, "borrowing_id"),
                one.lender,
                one.principal_paise,
                one.annual_rate_basis_points,
                one.months,
                may(one.lender_id, "borrowings", at, "lender_id"),
                one.lender_name,
                one.account_number,
                one.fund,
                one.loan_type,
                one.effective_on,
                paid(one, "borrowings", at),
                _agreed(one),
            )
            for at, one in enumerate(sent.borrowings)
        ),
        "borrowing_repayments": tuple(
            rules.BorrowingRepayment(
                must(one.borrowing_id, "borrowing_repayments", at, "borrowing_id"),
                one.principal_paise,
                one.interest_paise,
                paid(one, "borrowing_repayments", at),
            )
            for at, one in enumerate(sent.borrowing_repayments)
        ),
        "reschedules": tuple(
            rules.Reschedule(must(one.loan_id, "reschedules", at, "loan_id"), one.annual_rate_basis_points, one.months, _agreed(one), one.reason)
            for at, one in enumerate(sent.reschedules)
        ),
        "write_offs": tuple(
            rules.WriteOff(must(one.loan_id, "write_offs", at, "loan_id"), one.principal_paise, one.reason) for at, one in enumerate(sent.write_offs)
        ),
    }


def _left(sent: pb.MeetingSheet, ids: _Ids) -> dict[str, Any]:
    must = ids.must
    return {
        "settlements": tuple(
            rules.Settlement(
                must(one.member_id, "settlements", at, "member_id"),
                one.reason,
                one.compulsory_paise,
                one.voluntary_paise,
                one.share_capital_paise,
                one.surplus_share_paise,
                one.deficit_share_paise,
                one.other_paise,
                one.other_reason,
                one.paid_paise,
                ids.paid(one, "settlements", at),
                one.receiver_name,
                one.receiver_relation,
                one.narration,
            )
            for at, one in enumerate(sent.settlements)
        ),
        "set_offs": tuple(
            rules.SetOff(must(one.loan_id, "set_offs", at, "loan_id"), one.principal_paise, one.interest_paise)
            for at, one in enumerate(sent.set_offs)
        ),
        "transfers_out": tuple(_transfer(one, "transfers_out", at, ids) for at, one in enumerate(sent.transfers_out)),
        "loans_out": tuple(
            rules.LoanOut(must(one.loan_id, "loans_out", at, "loan_id"), must(one.transfer_id, "loans_out", at, "transfer_id"), one.outstanding_paise)
            for at, one in enumerate(sent.loans_out)
        ),
        "transfers_in": tuple(_transfer(one, "transfers_in", at, ids) for at, one in enumerate(sent.transfers_in)),
        "loans_in": tuple(
            rules.LoanIn(
                must(one.loan_id, "loans_in", at, "loan_id"),
                must(one.transfer_id, "loans_in", at, "transfer_id"),
                must(one.of_loan_id, "loans_in", at, "of_loan_id"),
                one.outstanding_paise,
                one.interest_unpaid_paise,
                one.counted_through,
            )
            for at, one in enumerate(sent.loans_in)
        ),
    }


def _transfer(sent: pb.Transfer, name: str, at: int, ids: _Ids) -> rules.Transfer:
    amounts = (getattr(sent, field) for field in rules.Transfer._fields[3:])
    of = (ids.must(sent.transfer_id, name, at, "transfer_id"), ids.must(sent.institution_id, name, at, "institution_id"))
    return rules.Transfer(*of, ids.may(sent.member_id, name, at, "member_id"), *amounts)


def _agreed(sent: Any) -> Agreed:  # noqa: ANN401 - whatever has terms
    return Agreed(*(getattr(sent.agreed, name) for name in Agreed._fields)) if sent.HasField("agreed") else AS_USUAL


def _moved(sent: pb.MeetingSheet, ids: _Ids) -> dict[str, Any]:
    must = ids.must
    return {
        "bank_moves": tuple(
            rules.BankMove(
                one.kind,
                one.amount_paise,
                ids.bank(one.bank_id, "bank_moves", at, "bank_id"),
                ids.bank(one.to_bank_id, "bank_moves", at, "to_bank_id"),
                one.reference,
            )
            for at, one in enumerate(sent.bank_moves)
        ),
        "reversals": tuple(rules.Reversal(must(one.meeting_id, "reversals", at, "meeting_id"), one.line) for at, one in enumerate(sent.reversals)),
        "bank_statements": tuple(
            rules.BankStatement(
                row_id(one.bank_id, f"bank_statements[{at}].bank_id"), one.passbook_paise, one.not_debited_paise, one.not_credited_paise
            )
            for at, one in enumerate(sent.bank_statements)
        ),
    }
