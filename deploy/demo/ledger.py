"""The books of a group as its device keeps them between two uploads: from the chart's items alone, as an app does it.

Imports no rule of the service: that both come to the same closing hash is what the hash is for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from protos import transactions_pb2 as pb
from services.kernel.canonical import Content, content_hash

CASH, BANK = "A03", "A05"
GROWS_BY_DEBIT = frozenset({"ASSET", "EXPENSE"})


@dataclass
class Ledger:
    """`balances` by head ("A03") and by head and account ("L01/<member id>"), in paise on the side that the head grows on."""

    institution_id: str
    chart: pb.Chart
    number: int = 0
    last_meeting_id: str = ""
    held_on: str = ""
    version: int = 0
    roster: int = 0
    approved_through: int = 0
    epoch: int = 0
    dues_on: str = ""  # The day for which dues were told.
    lock: int = 0
    balances: dict[str, int] = field(default_factory=dict)
    loans: dict[str, pb.LoanPosition] = field(default_factory=dict)  # On which anything is owed, borrowings too; as told last.

    def __post_init__(self) -> None:
        self._heads = {head.code: head for head in self.chart.heads}
        self._items = {item.code: item for item in self.chart.items}

    def pull(self, on: str) -> pb.PullRequest:
        """Asks for what is new, and what is due on a day."""
        return pb.PullRequest(
            institution_id=self.institution_id,
            on=on,
            since_on=self.dues_on,
            since_version=self.version,
            since_roster=self.roster,
            since_approved_through=self.approved_through,
            since_epoch=self.epoch,
        )

    def know(self, told: pb.Position, on: str = "") -> None:
        """Take in what a Pull told of a day; of an unsent meeting nothing may be left then."""
        if told.instance_epoch != self.epoch:  # All is told anew.
            self.balances.clear()
            self.loans.clear()
        self.epoch, self.dues_on = told.instance_epoch, on
        self.number, self.last_meeting_id, self.held_on = told.last_number, told.last_meeting_id, told.last_held_on
        self.version, self.roster, self.approved_through = told.version, told.roster, told.approved_through
        self.balances.update({f"{one.head}/{one.of}" if one.of else one.head: one.paise for one in told.balances})
        for loan in told.loans:
            if loan.principal_paise:
                self.loans[loan.loan_id] = loan
            else:
                self.loans.pop(loan.loan_id, None)

    def begin(self, meeting_id: str, held_on: str, **screens: Any) -> pb.MeetingSheet:  # noqa: ANN401 - the sheet's lists, by name
        """The next meeting, not closed yet."""
        place: dict[str, Any] = {"number": self.number + 1, "previous_meeting_id": self.last_meeting_id, "lock": self.lock}
        return pb.MeetingSheet(meeting_id=meeting_id, institution_id=self.institution_id, revision=1, held_on=held_on, **place, **screens)

    def close(self, sheet: pb.MeetingSheet, reversed_lines: dict[tuple[str, int], pb.JournalLine] | None = None) -> pb.MeetingSheet:
        """Count the cash, read the passbooks, seal the position; the ledger stands after the meeting then."""
        for debit, debit_of, credit, credit_of, paise in self._lines(sheet, reversed_lines or {}):
            self._post(debit, debit_of, paise)
            self._post(credit, credit_of, -paise)
        sheet.counted_cash_paise = self.balances.get(CASH, 0)
        del sheet.bank_statements[:]
        for account, paise in sorted(self.balances.items()):
            if account.startswith(f"{BANK}/"):
                sheet.bank_statements.add(bank_id=account.partition("/")[2], passbook_paise=paise)
        self.number, self.last_meeting_id, self.held_on = sheet.number, sheet.meeting_id, sheet.held_on
        sheet.closing_hash = self.closing_hash()
        return sheet

    def closing_hash(self) -> str:
        kept = {account: paise for account, paise in self.balances.items() if paise}
        position: dict[str, Content] = {"institution_id": self.institution_id, "number": self.number, "held_on": self.held_on, "balances": kept}
        return content_hash(position).hex()

    def _post(self, head: str, of: str, debited_paise: int) -> None:
        about = self._heads[head]
        grown = debited_paise if about.side in GROWS_BY_DEBIT else -debited_paise
        for account in (head, f"{head}/{of}") if about.sub_ledger else (head,):
            self.balances[account] = self.balances.get(account, 0) + grown

    def _lines(self, sheet: pb.MeetingSheet, reversed_lines: dict[tuple[str, int], pb.JournalLine]) -> Iterator[tuple[str, str, str, str, int]]:
        items = self._items
        for code, paise, of, paid in self._entered(sheet):
            money, bank = (BANK, paid.bank_id) if paid.bank_id else (CASH, "")
            debit, credit = items[code].debit, items[code].credit
            if debit == "MONEY":
                yield money, bank, credit, of, paise
            else:
                yield debit, of, money, bank, paise
        for move in sheet.bank_moves:
            item, out = items[move.kind], move.kind in {"WITHDRAWAL", "TRANSFER"}
            yield item.debit, move.to_bank_id or ("" if out else move.bank_id), item.credit, move.bank_id if out else "", move.amount_paise
        for lost in sheet.write_offs:
            item = items["INSTITUTION_WRITTEN_OFF" if self._of_institution(lost.loan_id) else "WRITTEN_OFF"]
            yield item.debit, "", item.credit, lost.loan_id, lost.principal_paise
        for code, debit_of, credit_of, paise in self._left(sheet):
            yield items[code].debit, debit_of, items[code].credit, credit_of, paise
        for one in sheet.settlements:
            money, bank = (BANK, one.paid.bank_id) if one.paid.bank_id else (CASH, "")
            yield items["SETTLEMENT_PAID"].debit, one.member_id, money, bank, one.paid_paise
        for back in sheet.reversals:
            was = reversed_lines[back.meeting_id, back.line]
            yield was.credit, was.credit_of, was.debit, was.debit_of, was.amount_paise

    def _left(self, sheet: pb.MeetingSheet) -> Iterator[tuple[str, str, str, int]]:
        """Of who is settled: item, whose each side is, amount."""
        for one in sheet.settlements:
            her = one.member_id
            yield "COMPULSORY_SETTLED", her, her, one.compulsory_paise
            yield "VOLUNTARY_SETTLED", her, her, one.voluntary_paise
            yield "SHARE_SETTLED", her, her, one.share_capital_paise
            yield "SURPLUS_SHARED", her, her, one.surplus_share_paise
            yield "KEPT_BACK", her, her, one.deficit_share_paise + one.other_paise
        for off in sheet.set_offs:
            her = self.loans[off.loan_id].member_id
            yield "PRINCIPAL_SET_OFF", her, off.loan_id, off.principal_paise
            yield "INTEREST_SET_OFF", her, off.loan_id, off.interest_paise

    def _of_institution(self, loan_id: str) -> bool:
        return loan_id in self.loans and self.loans[loan_id].head == self._items["LENT_TO_INSTITUTION"].debit

    def _entered(self, sheet: pb.MeetingSheet) -> Iterator[tuple[str, int, str, pb.Paid]]:
        """Item, amount, whose, and how it was paid."""
        for saving in sheet.savings:
            yield "COMPULSORY_SAVING", saving.compulsory_paise, saving.member_id, saving.paid
            yield "VOLUNTARY_SAVING", saving.voluntary_paise, saving.member_id, saving.paid
        for drawn in sheet.withdrawals:
            yield "COMPULSORY_WITHDRAWN", drawn.compulsory_paise, drawn.member_id, drawn.paid
            yield "VOLUNTARY_WITHDRAWN", drawn.voluntary_paise, drawn.member_id, drawn.paid
        for repaid in sheet.repayments:
            code = "INSTITUTION_REPAID" if self._of_institution(repaid.loan_id) else "PRINCIPAL_REPAID"
            yield code, repaid.principal_paise, repaid.loan_id, repaid.paid
            yield "INTEREST_RECEIVED", repaid.interest_paise, repaid.loan_id, repaid.paid
        for entry in sheet.entries:
            yield entry.item, entry.amount_paise, entry.member_id, entry.paid
        for given in sheet.loans:
            if given.borrower_id:
                self.loans[given.loan_id] = pb.LoanPosition(loan_id=given.loan_id, head=self._items["LENT_TO_INSTITUTION"].debit)
            yield "LENT_TO_INSTITUTION" if given.borrower_id else "LOAN_GIVEN", given.principal_paise, given.loan_id, given.paid
        for taken in sheet.borrowings:
            code = f"BORROWED_FROM_{taken.lender}"
            self.loans[taken.borrowing_id] = pb.LoanPosition(loan_id=taken.borrowing_id, head=self._items[code].credit)
            yield code, taken.principal_paise, taken.borrowing_id, taken.paid
        for back in sheet.borrowing_repayments:
            head = self.loans[back.borrowing_id].head
            code = next(item.code for item in self.chart.items if item.debit == head and item.screen == "BORROWINGS")
            yield code, back.principal_paise, back.borrowing_id, back.paid
            yield "INTEREST_PAID", back.interest_paise, back.borrowing_id, back.paid
