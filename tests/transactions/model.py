"""A group's books kept by hand: the plainest accounting there is, to hold the real books against.

It shares with the service the words of a sheet, the arithmetic of one loan and the canonical hash. The chart, the lines and the books
are written anew, and everything is added up from the first meeting on, each time.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from services.kernel.canonical import content_hash
from services.transactions.rules.agreed import terms_of
from services.transactions.rules.loan import Standing, after_payment, interest_owed
from services.transactions.rules.schedule import Terms
from services.transactions.rules.sheet import BankMove, BankStatement, Paid, Sheet

WITH_ACCOUNTS = {"A01", "A05", "L01", "L02", "L03", "L04", "L05", "L07", "L08", "L11"}
MAY_TURN = {"L09", "L10", "L11"}
PLACES = {"A03", "A04", "A05"}
OF_MEMBERS = ("L01", "L02", "L03", "L08")
HERS = {"compulsory_paise": "L01", "voluntary_paise": "L02", "share_capital_paise": "L03"}
OWN = {"funds_paise": "L06", "investments_paise": "A06", "savings_with_federation_paise": "A07", "surplus_paise": "L10"}
LENDERS = {"BANK": "L04", "VO": "L05", "CLF": "L07"}
OF_LOANS = {"A01", *LENDERS.values()}
# What an entry brings in, and what it pays out, with the head that is not money.
RECEIVED = {
    "FINE": "I02",
    "SHARE_CAPITAL": "L03",
    "MEMBERSHIP_FEE": "I03",
    "ADMISSION_FEE": "I03",
    "OTHER_FROM_MEMBER": "I06",
    "INVESTMENT_ENDED": "A06",
    "RETURNED_BY_FEDERATION": "A07",
    "REVOLVING_FUND": "L06",
    "COMMUNITY_INVESTMENT_FUND": "L06",
    "VULNERABILITY_REDUCTION_FUND": "L06",
    "STARTUP_FUND": "L06",
    "GRANT": "L06",
    "BANK_INTEREST": "I04",
    "INTEREST_SUBVENTION": "I05",
    "INVESTMENT_INCOME": "I06",
    "GROUP_INCOME": "I06",
    "OTHER_RECEIPT": "I06",
    "UNEXPLAINED_RECEIPT": "L09",
    "GROUP_RECEIVED": "L11",
}
PAID_OUT = {
    "SHARE_RETURNED": "L03",
    "SAVINGS_INTEREST": "E08",
    "OTHER_TO_MEMBER": "E10",
    "INVESTED": "A06",
    "SAVED_WITH_FEDERATION": "A07",
    "SHARE_IN_FEDERATION": "A07",
    "HONORARIUM": "E02",
    "TRAVEL": "E03",
    "STATIONERY": "E04",
    "BANK_CHARGES": "E05",
    "TRAINING": "E06",
    "RENT": "E07",
    "FUND_RETURNED": "L06",
    "GROUP_WORK_COST": "E10",
    "OTHER_PAYMENT": "E10",
    "UNEXPLAINED_PAYMENT": "L09",
    "SETTLEMENT_PAID": "L08",
    "GROUP_PAID": "L11",
}
OF_MEMBER = {
    *("FINE", "SHARE_CAPITAL", "MEMBERSHIP_FEE", "ADMISSION_FEE", "OTHER_FROM_MEMBER"),
    *("SHARE_RETURNED", "SAVINGS_INTEREST", "OTHER_TO_MEMBER", "SETTLEMENT_PAID"),
}
BY_BANK = {"BANK_INTEREST", "BANK_CHARGES"}


# A head, and whose: ("L01", a member), ("A03", "").
Account = tuple[str, str]


class Posting(NamedTuple):
    """`paise` debited; less than nothing is credited. `whose` is the member, loan, borrowing or account, where there is one."""

    head: str
    whose: str
    paise: int


@dataclass
class Meeting:
    """Its postings come in twos, a debit and its credit: the first two are line 1."""

    sheet: Sheet
    postings: list[Posting]
    approved: bool = False
    due: set[str] = field(default_factory=set)  # The active members of its day, as far as was known when it was taken in.

    def line(self, number: int) -> tuple[Posting, Posting]:
        return self.postings[2 * number - 2], self.postings[2 * number - 1]

    @property
    def lines(self) -> int:
        return len(self.postings) // 2


class Lent(NamedTuple):
    """A loan to a member, or what the group borrowed; `anew` are the terms that meetings agreed since."""

    head: str
    member_id: str
    first: Terms
    anew: dict[str, Terms]

    @property
    def terms(self) -> Terms:
        return [self.first, *self.anew.values()][-1]


def lent(meetings: list[Meeting]) -> dict[str, Lent]:
    found = {}
    for place, one in enumerate(meetings):
        for given in one.sheet.loans:
            found[given.loan_id] = Lent("A01", given.member_id, terms_of(given, given.principal_paise, one.sheet.held_on), {})
        for taken in one.sheet.borrowings:
            begun = date.fromisoformat(taken.effective_on) if taken.effective_on else one.sheet.held_on
            found[taken.borrowing_id] = Lent(LENDERS[taken.lender], "", terms_of(taken, taken.principal_paise, begun), {})
        for again in one.sheet.reschedules:
            before = found[again.loan_id]
            left = stands_by(before, again.loan_id, meetings[: place + 1]).outstanding_paise
            before.anew[one.sheet.meeting_id] = terms_of(again, left, one.sheet.held_on)
    return found


def postings(sheet: Sheet, before: list[Meeting]) -> list[Posting]:
    """What a sheet posts after these meetings, screen by screen."""
    made: list[Posting] = []

    def post(debit: Account, credit: Account, paise: int) -> None:
        if paise:
            made.extend((Posting(*debit, paise), Posting(*credit, -paise)))

    post_of_members(sheet, post)
    loans = lent(before) if sheet.borrowing_repayments or sheet.set_offs or sheet.loans_out else {}
    post_of_lenders(sheet, loans, post)
    for move in sheet.bank_moves:
        source, target = moved(move)
        post(target, source, move.amount_paise)
    for lost in sheet.write_offs:
        post(("E09", ""), ("A01", lost.loan_id), lost.principal_paise)
    post_of_settled(sheet, loans, post)
    post_of_transfers(sheet, loans, post)
    for back in sheet.reversals:
        debit, credit = next(one for one in before if one.sheet.meeting_id == back.meeting_id).line(back.line)
        post((credit.head, credit.whose), (debit.head, debit.whose), debit.paise)
    return made


def money(paid: Paid) -> Account:
    return ("A05", paid.bank_id) if paid.mode in {"CHEQUE", "TRANSFER"} else ("A03", "")


def post_of_members(sheet: Sheet, post: Callable[[Account, Account, int], None]) -> None:
    for saved in sheet.savings:
        post(money(saved.paid), ("L01", saved.member_id), saved.compulsory_paise)
        post(money(saved.paid), ("L02", saved.member_id), saved.voluntary_paise)
    for drawn in sheet.withdrawals:
        post(("L01", drawn.member_id), money(drawn.paid), drawn.compulsory_paise)
        post(("L02", drawn.member_id), money(drawn.paid), drawn.voluntary_paise)
    for repaid in sheet.repayments:
        post(money(repaid.paid), ("A01", repaid.loan_id), repaid.principal_paise)
        post(money(repaid.paid), ("I01", repaid.loan_id), repaid.interest_paise)
    for entry in sheet.entries:
        if entry.item in RECEIVED:
            post(money(entry.paid), (RECEIVED[entry.item], entry.member_id or entry.institution_id), entry.amount_paise)
        else:
            post((PAID_OUT[entry.item], entry.member_id or entry.institution_id), money(entry.paid), entry.amount_paise)
    for given in sheet.loans:
        post(("A01", given.loan_id), money(given.paid), given.principal_paise)


def post_of_lenders(sheet: Sheet, loans: dict[str, Lent], post: Callable[[Account, Account, int], None]) -> None:
    for taken in sheet.borrowings:
        post(money(taken.paid), (LENDERS[taken.lender], taken.borrowing_id), taken.principal_paise)
    for back in sheet.borrowing_repayments:
        post((loans[back.borrowing_id].head, back.borrowing_id), money(back.paid), back.principal_paise)
        post(("E01", back.borrowing_id), money(back.paid), back.interest_paise)


def post_of_settled(sheet: Sheet, loans: dict[str, Lent], post: Callable[[Account, Account, int], None]) -> None:
    for one in sheet.settlements:
        payable = ("L08", one.member_id)
        for name, head in HERS.items():
            post((head, one.member_id), payable, getattr(one, name))
        post(("E08", one.member_id), payable, one.surplus_share_paise)
        post(payable, ("I06", one.member_id), one.deficit_share_paise)
        post(payable, ("I06", one.member_id), one.other_paise)
    for off in sheet.set_offs:
        payable = ("L08", loans[off.loan_id].member_id)
        post(payable, ("A01", off.loan_id), off.principal_paise)
        post(payable, ("I01", off.loan_id), off.interest_paise)
    for one in sheet.settlements:
        post(("L08", one.member_id), money(one.paid), one.paid_paise)


def post_of_transfers(sheet: Sheet, loans: dict[str, Lent], post: Callable[[Account, Account, int], None]) -> None:
    """What goes away; what comes is taken in by another group."""
    other = {one.transfer_id: ("L11", one.institution_id) for one in sheet.transfers_out}
    for one in sheet.transfers_out:
        for name, head in (HERS if one.member_id else OWN).items():
            what, paise = (head, one.member_id), getattr(one, name)
            post(*((other[one.transfer_id], what) if head[0] == "A" else (what, other[one.transfer_id])), paise)
        post(other[one.transfer_id], ("L10", ""), one.deficit_paise)
    for out in sheet.loans_out:
        what, between = (loans[out.loan_id].head, out.loan_id), other[out.transfer_id]
        post(*((between, what) if what[0] == "A01" else (what, between)), out.outstanding_paise)


def moved(move: BankMove) -> tuple[Account, Account]:
    """From where to where."""
    bank, cash, transit = ("A05", move.bank_id), ("A03", ""), ("A04", "")
    return {
        "DEPOSIT": (cash, bank),
        "WITHDRAWAL": (bank, cash),
        "SENT": (cash, transit),
        "ARRIVED": (transit, bank),
        "TRANSFER": (bank, ("A05", move.to_bank_id)),
    }[move.kind]


def grown(posting: Posting) -> int:
    """On the side that its head grows on: assets and expenses by debits."""
    return posting.paise if posting.head[0] in "AE" else -posting.paise


def position(meetings: list[Meeting]) -> dict[Account, int]:
    """Every head ("A03", "") and every account ("L01", member) that does not stand at nothing."""
    sums: Counter[tuple[str, str]] = Counter()
    for one in meetings:
        for posting in one.postings:
            sums[posting.head, ""] += grown(posting)
            if posting.head in WITH_ACCOUNTS:
                sums[posting.head, posting.whose] += grown(posting)
    return {account: paise for account, paise in sums.items() if paise}


def closing_hash(sheet: Sheet, stands: dict[Account, int]) -> str:
    balances = {f"{head}/{whose}" if whose else head: paise for (head, whose), paise in stands.items() if paise}
    place = {"institution_id": sheet.institution_id, "number": sheet.number, "held_on": sheet.held_on.isoformat()}
    return content_hash({**place, "balances": balances}).hex()


def closed(sheet: Sheet, before: list[Meeting], banks: list[str]) -> Meeting:
    """The sheet with its sums as they come out by hand."""
    made = Meeting(sheet, postings(sheet, before))
    stands = position([*before, made])
    read = tuple(BankStatement(bank_id, max(stands.get(("A05", bank_id), 0), 0)) for bank_id in banks)
    sheet = replace(sheet, counted_cash_paise=max(stands.get(("A03", ""), 0), 0), bank_statements=read)
    made.sheet = replace(sheet, closing_hash=closing_hash(sheet, stands))
    return made


def standing(loan_id: str, meetings: list[Meeting]) -> Standing:
    return stands_by(lent(meetings)[loan_id], loan_id, meetings)


def stands_by(loan: Lent, loan_id: str, meetings: list[Meeting]) -> Standing:
    """Where a loan stands by what was paid of it and not taken back, line by line from the one that gave it."""
    terms = loan.first
    never = {(back.meeting_id, back.line) for one in meetings for back in one.sheet.reversals}
    stands = Standing(0, 0, terms.given_on)
    for place, one in enumerate(meetings):
        begins = loan_id in {given.loan_id for given in one.sheet.loans} | {taken.borrowing_id for taken in one.sheet.borrowings}
        for number in range(1, one.lines + 1 - len(one.sheet.reversals)):
            for posting in one.line(number) if (one.sheet.meeting_id, number) not in never else ():
                if posting.whose == loan_id and begins:
                    stands = Standing(terms.principal_paise, 0, terms.given_on)
                elif posting.whose == loan_id:
                    paid = (-grown(posting), 0) if posting.head in OF_LOANS else (0, grown(posting))
                    stands = after_payment(terms, stands, *paid, one.sheet.held_on)
                    heads = {half.head for half in one.line(number)}
                    if heads & {"E09", "L11"}:  # What of its interest went to another group, that had not been taken back by then.
                        went_paise = interest_owed(terms, went(loan, loan_id, meetings[: place + 1]), one.sheet.held_on) if "L11" in heads else 10**18
                        stands = replace(stands, interest_unpaid_paise=max(stands.interest_unpaid_paise - went_paise, 0))
        if one.sheet.meeting_id in loan.anew:
            stands = after_payment(terms, stands, 0, 0, one.sheet.held_on)
            terms = loan.anew[one.sheet.meeting_id]
    return stands


def went(loan: Lent, loan_id: str, meetings: list[Meeting]) -> Standing:
    """How a loan stood that went to another group with the last of these meetings: after whatever else was paid of it there."""
    *before, last = meetings
    lines = [last.line(number) for number in range(1, last.lines + 1)]
    stays = [posting for line in lines if "L11" not in {half.head for half in line} for posting in line]
    return stands_by(loan, loan_id, [*before, Meeting(last.sheet, stays)])


def flagged(sheet: Sheet, usual_paise: int, due: set[str]) -> set[str]:
    """Why an approver must look at it before she approves. `due` were the active members of that day."""
    present = {one.member_id for one in sheet.attendance if one.present}
    found = {"MANUAL_BOOKS_DIFFER"} if sheet.manual_books_differ else set()
    found |= {"REVERSAL"} if sheet.reversals else set()
    found |= {"RESCHEDULED"} if sheet.reschedules else set()
    found |= {"WRITTEN_OFF"} if sheet.write_offs else set()
    found |= {"SETTLEMENT"} if sheet.settlements else set()
    found |= {"TRANSFER"} if sheet.transfers_out or sheet.transfers_in else set()
    found |= {"REVISED"} if sheet.revision > 1 else set()
    found |= set() if present else {"NOBODY_PRESENT"}
    found |= {"ATTENDANCE_INCOMPLETE"} if due - {one.member_id for one in sheet.attendance} else set()
    found |= {"LOAN_WHILE_ABSENT"} if any(one.member_id not in present for one in sheet.loans) else set()
    found |= {"AMOUNT_UNUSUAL"} if any(one.item in OF_MEMBER and one.amount_paise >= 100 * usual_paise for one in sheet.entries) else set()
    saved = [paise for one in sheet.savings for paise in (one.compulsory_paise, one.voluntary_paise)]
    return found | ({"SAVING_UNUSUAL"} if any(paise >= 100 * usual_paise for paise in saved) else set())


class Row(NamedTuple):
    """An entry of a cash book or a passbook, as it is shown: `against` and `against_of` of a cash book alone."""

    meeting_id: str
    line: int
    head: str
    whose: str
    in_paise: int
    out_paise: int
    balance_paise: int


def book(meetings: list[Meeting], is_asked, paid_in: int, from_on: date, to_on: date) -> list[Row]:
    """Every posting of the accounts asked for, credits before debits, with what each account stands at after its line.

    `paid_in` is 1 where a debit is what came in (a cash book), -1 where a credit is (a passbook).
    """
    sums: Counter[tuple[str, str]] = Counter()
    rows = []
    for one in meetings:
        for number in range(1, one.lines + 1):
            line = one.line(number)
            for posting in line:
                if posting.head in WITH_ACCOUNTS | PLACES:
                    sums[posting.head, posting.whose] += grown(posting)
            for posting in reversed(line):
                if is_asked(posting) and from_on <= one.sheet.held_on <= to_on:
                    paise = paid_in * posting.paise
                    stands = sums[posting.head, posting.whose]
                    rows.append(Row(one.sheet.meeting_id, number, posting.head, posting.whose, max(paise, 0), max(-paise, 0), stands))
    return rows
