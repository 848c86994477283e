"""What becomes of a sheet on the books as they stand: its lines, and what must hold of them (domain 3.1, 4.1)."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from types import MappingProxyType

from services.kernel.approval import MeetingStatus
from services.kernel.canonical import Content, content_hash
from services.kernel.errors import Conflict, Invalid
from services.kernel.money import rupees
from services.kernel.month import financial_year
from services.kernel.policies import Policies
from services.transactions.rules.ageing import Change, changes
from services.transactions.rules.agreed import terms_of
from services.transactions.rules.books import Books, Loan, Reversible
from services.transactions.rules.cut_off import arrears_differ, brought, check_first, opening_lines, opening_loans
from services.transactions.rules.heads import CHART, ITEMS, MONEY, Head, SubLedger
from services.transactions.rules.journal import Account, Balances, Half, Held, Id, Line, added, effect, still_standing
from services.transactions.rules.loan import Standing, after_payment, interest_owed
from services.transactions.rules.settlement import HERS, check_set_offs, check_settled, overdrawn, settled_lines
from services.transactions.rules.sheet import (
    HEAD_OF,
    LENDERS,
    MEMBER_LISTS,
    PAID_LISTS,
    ActiveLoan,
    LoanGiven,
    LoanOut,
    Paid,
    Sheet,
    WriteOff,
    listed_members,
    may_have_left,
    named_banks,
)
from services.transactions.rules.transfer import (
    awaited,
    check_in,
    check_out,
    come_in,
    given_away,
    given_over,
    is_transfer,
    stood,
    transfer_lines,
)

BORROWINGS = frozenset(head for head, about in CHART.items() if about.sub_ledger is SubLedger.BORROWING)
LENT = frozenset({Head.MEMBER_LOANS, Head.INSTITUTION_LOANS})
OF_LOANS = LENT | BORROWINGS
# Whose interest these are: of a loan given, of what was borrowed.
INTEREST = frozenset({Head.LOAN_INTEREST, Head.INTEREST_PAID})
UNUSUAL_TIMES = 100  # So many times the group's compulsory saving is mostly a slip of the pen, rupees for paise.


class Waiting(Conflict):
    """Not yet: what the meeting names has not been heard of; the same meeting may be taken in later (decision 16)."""

    def __init__(self, code: str, sentence: str, /, *, awaited: Id, field: str = "", **params: object) -> None:
        super().__init__(code, sentence, field=field, **params)
        self.awaited = awaited


@dataclass(frozen=True, slots=True)
class Taken:
    """What a meeting adds to the books: its lines, the balances and loans that they change, as they are after it.

    `unlisted` is how many active members its attendance leaves out: they were due as well. `ageing` is told when it is approved.
    `carried` is how the loans stood that go to another group.
    """

    lines: tuple[Line, ...]
    balances: Mapping[Account, int]
    loans: Mapping[Id, Loan]
    flags: tuple[str, ...]
    unlisted: int
    ageing: tuple[Change, ...]
    carried: Mapping[Id, Standing]


def lines(sheet: Sheet, loans: Mapping[Id, Loan], reversible: Mapping[tuple[Id, int], Reversible]) -> tuple[Line, ...]:
    """The sheet as a journal. What is nothing gives no line. `loans` are those of which anything is paid or given over, `reversible` the lines
    taken back.
    """
    if sheet.cut_off:
        return opening_lines(sheet, sheet.cut_off)
    made: list[Line] = []
    for item, paise, of, paid in _entered(sheet, loans):
        if paise:
            about, (money, bank) = ITEMS[item], (Head.BANK, paid.bank_id) if paid.bank_id else _IN_CASH
            if about.debit is MONEY:
                made.append(Line(len(made) + 1, money, about.credit or money, paise, bank, of))
            else:
                made.append(Line(len(made) + 1, about.debit, money, paise, of, bank))
    _post_moves(sheet, made)
    for lost in sheet.write_offs:
        head = loans[lost.loan_id].head
        made.append(Line(len(made) + 1, Head.WRITE_OFF, head, lost.principal_paise, "", lost.loan_id))
    _post_halves((*settled_lines(sheet, loans), *transfer_lines(sheet, loans)), made)
    _post_reversals(sheet, reversible, made)
    return tuple(made)


def _entered(sheet: Sheet, loans: Mapping[Id, Loan]) -> Iterator[tuple[str, int, Id, Paid]]:
    """Item, amount, whose, and how it was paid."""
    for saving in sheet.savings:
        yield "COMPULSORY_SAVING", saving.compulsory_paise, saving.member_id, saving.paid
        yield "VOLUNTARY_SAVING", saving.voluntary_paise, saving.member_id, saving.paid
    for drawn in sheet.withdrawals:
        yield "COMPULSORY_WITHDRAWN", drawn.compulsory_paise, drawn.member_id, drawn.paid
        yield "VOLUNTARY_WITHDRAWN", drawn.voluntary_paise, drawn.member_id, drawn.paid
    for repaid in sheet.repayments:
        by_member = loans[repaid.loan_id].head == Head.MEMBER_LOANS
        yield "PRINCIPAL_REPAID" if by_member else "INSTITUTION_REPAID", repaid.principal_paise, repaid.loan_id, repaid.paid
        yield "INTEREST_RECEIVED", repaid.interest_paise, repaid.loan_id, repaid.paid
    for entry in sheet.entries:
        yield entry.item, entry.amount_paise, entry.member_id or entry.institution_id, entry.paid
    for given in sheet.loans:
        yield "LOAN_GIVEN" if given.member_id else "LENT_TO_INSTITUTION", given.principal_paise, given.loan_id, given.paid
    for taken in sheet.borrowings:
        yield LENDERS[taken.lender][0], taken.principal_paise, taken.borrowing_id, taken.paid
    for back in sheet.borrowing_repayments:
        yield _REPAID[loans[back.borrowing_id].head], back.principal_paise, back.borrowing_id, back.paid
        yield "INTEREST_PAID", back.interest_paise, back.borrowing_id, back.paid


def _post_halves(halves: Iterable[tuple[Half, Half, int]], made: list[Line]) -> None:
    for (debit, debit_of), (credit, credit_of), paise in halves:
        if paise:
            made.append(Line(len(made) + 1, debit, credit, paise, debit_of, credit_of))


def _post_reversals(sheet: Sheet, reversible: Mapping[tuple[Id, int], Reversible], made: list[Line]) -> None:
    for one in sheet.reversals:
        was = reversible[one.meeting_id, one.line].line
        made.append(Line(len(made) + 1, was.credit, was.debit, was.amount_paise, was.credit_of, was.debit_of))


def _post_moves(sheet: Sheet, made: list[Line]) -> None:
    for move in sheet.bank_moves:
        about, taken_from = ITEMS[move.kind], move.bank_id if move.kind in {"WITHDRAWAL", "TRANSFER"} else ""
        put_into = move.to_bank_id or ("" if taken_from else move.bank_id)
        made.append(Line(len(made) + 1, about.debit or Head.CASH, about.credit or Head.CASH, move.amount_paise, put_into, taken_from))


_IN_CASH = (Head.CASH, "")
_REPAID = {ITEMS[lent].credit: repaid for lent, repaid in LENDERS.values()}


def take_in(sheet: Sheet, books: Books, policies: Policies, today: date) -> Taken:
    """What a new meeting adds to these books, or a refusal. Waiting comes last: what is wrong is told at once."""
    _check_day(sheet, books, policies, today)
    _check_place(sheet, books)
    _check_members(sheet, books)
    _check_reversals(sheet, books)
    _check_loans(sheet, books)
    check_out(sheet, books)
    check_in(sheet, books)
    _wait_for_groups(sheet, books)
    posted = lines(sheet, books.loans, books.reversible)
    _check_levels(posted, books)
    change = effect(posted)
    balances = added(books.balances, change)
    _check_signs(sheet, balances, change)
    _check_ended(sheet, posted, balances, books)
    _check_money(sheet, balances)
    _check_closing(sheet, balances)
    after = loans_after(sheet, posted, books)
    check_settled(sheet, balances, after, books)
    _wait(sheet, books)
    stood_at = {**books.loans, **after}
    carried = {out.loan_id: stood_at[out.loan_id].standing for out in sheet.loans_out}
    after |= given_over(sheet, stood_at)
    return Taken(
        posted,
        {account: balances[account] for account in change},
        after,
        _flags(sheet, books),
        _unlisted(sheet, books),
        changes(books.loans, after, posted, _never_given(sheet, books)),
        carried,
    )


def _never_given(sheet: Sheet, books: Books) -> frozenset[Id]:
    """The loans and borrowings whose very beginning is taken back."""
    found = [books.reversible[one.meeting_id, one.line].line for one in sheet.reversals]
    given = [line.debit_of for line in found if line.debit in LENT and line.credit != Head.WRITE_OFF]
    return frozenset((*given, *(line.credit_of for line in found if line.credit in BORROWINGS)))


def closing(institution_id: Id, number: int, held_on: date, balances: Balances) -> dict[str, Content]:
    """The position that a closing hash is of (docs/canonical.md): every head and account that does not stand at nothing."""
    kept = {f"{head}/{of}" if of else str(head): paise for (head, of), paise in balances.items() if paise}
    return {"institution_id": institution_id, "number": number, "held_on": held_on.isoformat(), "balances": kept}


def closing_hash(sheet: Sheet, balances: Balances) -> str:
    """64 hexadecimal digits."""
    return content_hash(closing(sheet.institution_id, sheet.number, sheet.held_on, balances)).hex()


def loans_after(sheet: Sheet, posted: tuple[Line, ...], books: Books) -> dict[Id, Loan]:
    """The loans that are new, and those that something was paid of or agreed anew, as they are after the meeting; those that go, as they go."""
    if sheet.cut_off:
        return opening_loans(sheet, sheet.cut_off)
    after: dict[Id, Loan] = {}
    for given in sheet.loans:
        head = Head.MEMBER_LOANS if given.member_id else Head.INSTITUTION_LOANS
        terms = terms_of(given, given.principal_paise, sheet.held_on)
        standing = Standing(given.principal_paise, 0, sheet.held_on)
        after[given.loan_id] = Loan(sheet.institution_id, head, given.member_id or given.borrower_id, terms, standing)
    for taken in sheet.borrowings:
        begun = date.fromisoformat(taken.effective_on) if taken.effective_on else sheet.held_on
        terms, standing = terms_of(taken, taken.principal_paise, begun), Standing(taken.principal_paise, 0, begun)
        after[taken.borrowing_id] = Loan(sheet.institution_id, HEAD_OF[taken.lender], "", terms, standing)
    after |= come_in(sheet, books)
    new = frozenset(after)
    anew = payments_taken_back(sheet, books.reversible)
    paid = tuple(line for line in posted if not is_transfer(line))  # To go is not to pay: days that nothing was paid on are not counted off.
    history = history_after(sheet, paid, books) if anew else ()
    for loan_id, (principal, interest) in payments(paid).items():
        if loan_id not in new:
            loan = books.loans[loan_id]
            if loan_id in anew:
                stands = replayed(loan_id, books.given_in[loan_id], loan, history)
            else:
                stands = after_payment(loan.terms, loan.standing, principal, interest, sheet.held_on)
            after[loan_id] = replace(loan, standing=stands)
    for lost in sheet.write_offs:
        after[lost.loan_id] = replace(after[lost.loan_id], standing=Standing(0, 0, sheet.held_on))
    for one in sheet.reschedules:
        loan = after.get(one.loan_id, books.loans[one.loan_id])
        stands = after_payment(loan.terms, loan.standing, 0, 0, sheet.held_on)
        terms = terms_of(one, stands.outstanding_paise, sheet.held_on)
        after[one.loan_id] = replace(loan, terms=terms, standing=stands, earlier=(*loan.earlier, (sheet.meeting_id, loan.terms)))
    return after


_NONE: Mapping[Id, Standing] = MappingProxyType({})


def payments_taken_back(sheet: Sheet, reversible: Mapping[tuple[Id, int], Reversible]) -> dict[Id, tuple[int, int]]:
    """Of each loan or borrowing of which this sheet takes back a line, what had been paid by it; of lines that there are not, nothing."""
    found = (reversible.get((one.meeting_id, one.line)) for one in sheet.reversals)
    return payments(tuple(was.line for was in found if was))


def history_after(sheet: Sheet, posted: tuple[Line, ...], books: Books, carried: Mapping[Id, Standing] = _NONE) -> tuple[Held, ...]:
    """The meetings that count, this one too, with the lines that still stand after it."""
    held = Held(sheet.meeting_id, sheet.number, sheet.held_on, posted, brought_in(sheet), carried)
    return still_standing((*books.history, held), {sheet.meeting_id: sheet.reversals})


def brought_in(sheet: Sheet) -> dict[Id, Standing]:
    """How the loans stood that a cut-off carries on, or that come from another group."""
    return brought(sheet) | stood(sheet)


def payments(posted: tuple[Line, ...]) -> dict[Id, tuple[int, int]]:
    """Of each loan or borrowing, principal and interest paid; negative where more was given or taken back than paid."""
    paid: dict[Id, tuple[int, int]] = {}
    for line in posted:
        for head, of, paise in ((line.debit, line.debit_of, -line.amount_paise), (line.credit, line.credit_of, line.amount_paise)):
            if of and (head in OF_LOANS or head in INTEREST):
                principal, interest = paid.get(of, (0, 0))
                amount = paise if CHART[head].side.by_debit == (head in OF_LOANS) else -paise
                paid[of] = (principal + amount, interest) if head in OF_LOANS else (principal, interest + amount)
    return paid


def replayed(loan_id: Id, given_in: Id, loan: Loan, history: Iterable[Held]) -> Standing:
    """How a loan stands after these meetings, of which one gave it or brought it in. Of their lines only those that still stand
    (journal.still_standing), so that interest is owed on the principal that truly was owed, and of a loan that was taken back there is none.
    """
    ended, terms = dict(loan.earlier), [*(before for _, before in loan.earlier), loan.terms]
    stands = Standing(0, 0, terms[0].given_on)
    for held in history:
        principal, interest = payments(held.lines).get(loan_id, (0, 0))
        if held.meeting_id == given_in:
            came = held.brought.get(loan_id)
            # Where the line that brought it in was taken back, no interest is owed either.
            stands = came if came and came.outstanding_paise == -principal else replace(stands, outstanding_paise=-principal)
        elif principal or interest or held.meeting_id in ended:
            stands = after_payment(terms[0], stands, principal, interest, held.held_on)
        if held.meeting_id != given_in and any(_ends(line, loan_id) for line in held.lines):
            # What was taken back since of payments before did not go with it.
            went = held.gave.get(loan_id)
            kept = stands.interest_unpaid_paise - interest_owed(terms[0], went, held.held_on) if went else 0
            stands = replace(stands, interest_unpaid_paise=max(kept, 0))
        if held.meeting_id in ended:
            terms = terms[1:]
    return stands


def _ends(line: Line, loan_id: Id) -> bool:
    """Whether nobody pays here any more what this line takes off the loan."""
    return (line.debit == Head.WRITE_OFF and line.credit_of == loan_id) or given_away(line)[0] == loan_id


def _check_day(sheet: Sheet, books: Books, policies: Policies, today: date) -> None:
    """Neither a clock that runs ahead nor one set back, nor old papers, bring a meeting into days that are not open."""
    if sheet.held_on > today:
        raise Invalid("HELD_IN_FUTURE", "A meeting cannot be held in the future; here it is {today}.", field="held_on", today=today.isoformat())
    days = policies.value("meeting_entry_days_max", today)
    if sheet.held_on < today - timedelta(days=days):
        raise Conflict("HELD_LONG_AGO", "A meeting is entered within {days} days; this one was held before.", field="held_on", days=days)
    year = financial_year(sheet.held_on)
    closed_on = date(int(year[:4]) + 1, 3, 31) + timedelta(days=policies.value("year_closes_after_days", today))
    if today > closed_on:
        sentence = "The year {year} was closed on {closed_on}; enter what was forgotten in a meeting of this year."
        raise Conflict("YEAR_CLOSED", sentence, field="held_on", year=year, closed_on=closed_on.isoformat())
    formed_on = books.institution.formed_on if books.institution else None
    for earliest, words in (
        (formed_on, "The institution was formed on {earliest}; no meeting was held before."),
        (books.chain.last_held_on, "The meeting before was held on {earliest}; this one cannot be earlier."),
    ):
        if earliest is not None and sheet.held_on < earliest and (earliest is formed_on or _is_next(sheet, books)):
            raise Conflict("HELD_TOO_EARLY", words, field="held_on", earliest=earliest.isoformat())


def _is_next(sheet: Sheet, books: Books) -> bool:
    return sheet.previous_meeting_id == books.chain.last_meeting_id


# With twelve meetings held a group begins with a cut-off (R-MTG-1, domain 10 number 11); with eleven it may (cut_off.CUT_OFF_NUMBER_MIN).
FIRST_NUMBER_MAX = 12


def _check_place(sheet: Sheet, books: Books) -> None:
    """It stands on the meeting before, and has the number after it."""
    chain = books.chain
    if sheet.cut_off:
        check_first(sheet.cut_off, books)
        return
    if not _is_next(sheet, books):
        _check_previous(sheet, books)
    if chain.last_number:
        if sheet.number != chain.last_number + 1:
            raise Conflict(
                "MEETING_OUT_OF_SEQUENCE", "The next meeting of this institution is number {next}.", field="number", next=chain.last_number + 1
            )
    elif not 1 <= sheet.number <= FIRST_NUMBER_MAX:
        sentence = "The first meeting entered here is number 1 to {most}; a group with more behind it begins with a cut-off."
        raise Conflict("CUT_OFF_NEEDED", sentence, field="number", most=FIRST_NUMBER_MAX)


def _check_previous(sheet: Sheet, books: Books) -> None:
    """Why a meeting does not stand on the last one: it comes early, or too late. It waits only for what may still come before it."""
    field, named, last = "previous_meeting_id", books.recorded.get(sheet.previous_meeting_id), books.chain.last_number
    if named is not None and named.institution_id != sheet.institution_id:
        named = None  # Nor is anybody told that there is such a meeting.
    may_come = sheet.number > last + 1 and (named is None or named.status is MeetingStatus.REJECTED)
    if sheet.previous_meeting_id and may_come:
        sentence = "The meeting before is not in the books; this one waits for it."
        if named is not None:
            sentence = "The meeting before was handed back; put it right first."
        raise Waiting("MEETING_WAITING", sentence, field=field, awaited=sheet.previous_meeting_id)
    sentence = "The last meeting in the books is number {last}, and this one does not stand on it: another was entered. Pull, and enter it again."
    raise Conflict("MEETING_OUT_OF_SEQUENCE", sentence, field=field, last=last)


def _not_here(sheet: Sheet, books: Books) -> Iterator[tuple[str, Id]]:
    """By the fields that name them, those who as far as is known were not of the institution that day, or are not active yet."""
    of, on = sheet.institution_id, sheet.held_on
    here = {one for one, member in books.members.items() if member.had_stay(of, on) or (member.active and member.has_stay(of, on))}
    missing = listed_members(sheet) - here
    for name in MEMBER_LISTS if missing else ():
        for place, entry in enumerate(getattr(sheet, name)):
            if entry.member_id in missing:
                yield f"{name}[{place}].member_id", entry.member_id
    gone, something = list(may_have_left(sheet)), set[Id]()
    if gone:  # Who has anything here is given it, wherever she is by now: another group may have brought it.
        something = {account.of for account, paise in books.balances.items() if paise and account.of}
        something |= {loan.borrower_id for loan in books.loans.values() if loan.institution_id == of}
    for field, entry in gone:
        known = books.members.get(entry.member_id)
        if entry.member_id not in here | something and not (known and known.left_on(of, on)):
            yield field, entry.member_id


def _check_members(sheet: Sheet, books: Books) -> None:
    """Whoever was not of the institution on the meeting's day, as far as no news to come can change that."""
    of, on = sheet.institution_id, sheet.held_on
    for field, member_id in _not_here(sheet, books):
        member = books.members.get(member_id)
        if member is None or member.has_stay(of, on) or not member.was_ever(of):  # Of a stranger nothing is told.
            continue
        if left_on := member.left_on(of, on):
            raise Invalid(
                "MEMBER_LEFT",
                "This member was of this institution until {left_on}; take her off the lists of a meeting held later.",
                field=field,
                left_on=left_on.isoformat(),
            )
        if member.known_through and member.known_through >= on:
            raise Invalid("MEMBER_ELSEWHERE", "This member was not of this institution on {on}; take her off.", field=field, on=on.isoformat())


def _wait_for_groups(sheet: Sheet, books: Books) -> None:
    """Before anything is posted: of what has not come yet nobody knows what it is."""
    for field, kind, of in awaited(sheet, books):
        if kind == "TRANSFER":
            raise Waiting("TRANSFER_WAITING", "At the other group this is not approved yet; the meeting waits for it.", field=field, awaited=of)
        raise Waiting("INSTITUTION_WAITING", "This institution is not active yet; the meeting waits for it.", field=field, awaited=of)


def _wait(sheet: Sheet, books: Books) -> None:
    """For who is not heard of, is not active yet, or is of another institution, from where she may have come before it is told;
    and for an account that profiles has not told yet.
    """
    for field, member_id in _not_here(sheet, books):
        raise Waiting("MEMBER_WAITING", "This member is not active here yet; the meeting waits for her.", field=field, awaited=member_id)
    known = books.institution.banks if books.institution else {}
    for bank_id in sorted(named_banks(sheet) - known.keys()):
        raise Waiting("BANK_WAITING", "This account is not among the institution's yet; the meeting waits for it.", awaited=bank_id)


def _check_loans(sheet: Sheet, books: Books) -> None:
    taken_back = payments_taken_back(sheet, books.reversible)
    for name, key in (("loans", "loan_id"), ("borrowings", "borrowing_id"), ("loans_in", "loan_id")):
        for place, given in enumerate(getattr(sheet, name)):
            if getattr(given, key) in books.loans:
                raise Conflict("LOAN_EXISTS", "A loan of this id was given already.", field=f"{name}[{place}].{key}")
    _check_borrowers(sheet, books)
    _check_agreed_anew(sheet, books, taken_back)
    for place, repaid in enumerate(sheet.repayments):
        _check_repayment(f"repayments[{place}]", repaid.loan_id, repaid.principal_paise, sheet, books, taken_back)
    check_set_offs(sheet, books)
    for place, off in enumerate(sheet.set_offs):
        _check_repayment(f"set_offs[{place}]", off.loan_id, off.principal_paise, sheet, books, taken_back)
    for place, one in enumerate(sheet.borrowing_repayments):
        _check_repayment(f"borrowing_repayments[{place}]", one.borrowing_id, one.principal_paise, sheet, books, taken_back)


def _check_borrowers(sheet: Sheet, books: Books) -> None:
    """An SHG lends to its members, a federation to the institutions directly below it."""
    of_members = books.institution is None or books.institution.kind == "SHG"
    lent: Sequence[LoanGiven | ActiveLoan] = sheet.cut_off.active_loans if sheet.cut_off else sheet.loans
    name = "cut_off.active_loans" if sheet.cut_off else "loans"
    for place, given in enumerate(lent):
        if bool(given.member_id) != of_members or bool(given.borrower_id) == of_members:
            sentence = "An SHG lends to one of its members." if of_members else "A VO or CLF lends to an institution: say which."
            raise Invalid("BORROWER_MISSING", sentence, field=f"{name}[{place}].{'member_id' if of_members else 'borrower_id'}")
        if given.borrower_id and given.borrower_id not in books.below:
            sentence = "A federation lends to active institutions directly below it; this is none of them."
            raise Conflict("BORROWER_UNKNOWN", sentence, field=f"{name}[{place}].borrower_id")


def _check_agreed_anew(sheet: Sheet, books: Books, taken_back: Mapping[Id, tuple[int, int]]) -> None:
    """What is rescheduled, written off or given over is outstanding, and after a write-off or a transfer nothing is."""
    repaid = _repaid(sheet)
    for name in ("reschedules", "write_offs", "loans_out"):
        for place, one in enumerate(getattr(sheet, name)):
            loan = books.loans.get(one.loan_id)
            if loan is None or loan.institution_id != sheet.institution_id or (name == "write_offs" and loan.head not in LENT):
                raise Conflict("LOAN_UNKNOWN", "This institution has no such loan.", field=f"{name}[{place}].loan_id")
            left = loan.standing.outstanding_paise + taken_back.get(one.loan_id, (0, 0))[0] - repaid.get(one.loan_id, 0)
            if left <= 0:
                raise Conflict("NOTHING_OUTSTANDING", "Of this loan nothing is outstanding.", field=f"{name}[{place}].loan_id")
            if isinstance(one, WriteOff) and one.principal_paise != left:
                sentence = "Of this loan {outstanding} is outstanding: all of it is written off, or nothing."
                raise Conflict("WRITE_OFF_PARTIAL", sentence, field=f"{name}[{place}].principal_paise", outstanding=rupees(left))
            if isinstance(one, LoanOut) and one.outstanding_paise != left:
                sentence = "Of this loan {outstanding} is outstanding: all of it goes to the other group, or nothing."
                raise Conflict("TRANSFER_PARTIAL", sentence, field=f"{name}[{place}].outstanding_paise", outstanding=rupees(left))


def _repaid(sheet: Sheet) -> Counter[Id]:
    """Of each loan and borrowing the principal that this meeting repays, in money or set off."""
    paid = [(one.loan_id, one.principal_paise) for one in sheet.repayments]
    paid += [(off.loan_id, off.principal_paise) for off in sheet.set_offs]
    paid += [(back.borrowing_id, back.principal_paise) for back in sheet.borrowing_repayments]
    repaid: Counter[Id] = Counter()
    for loan_id, paise in paid:
        repaid[loan_id] += paise
    return repaid


def _check_repayment(field: str, loan_id: Id, principal_paise: int, sheet: Sheet, books: Books, taken_back: Mapping[Id, tuple[int, int]]) -> None:
    """A repayment that was too large is taken back and entered anew in one meeting."""
    loan = books.loans.get(loan_id)
    given = not field.startswith("borrowing")
    key = "loan_id" if given else "borrowing_id"
    if loan is None or loan.institution_id != sheet.institution_id or (loan.head in LENT) != given:
        raise Conflict("LOAN_UNKNOWN", "This institution has no such loan.", field=f"{field}.{key}")
    outstanding_paise = loan.standing.outstanding_paise + taken_back.get(loan_id, (0, 0))[0]
    if principal_paise and _repaid(sheet)[loan_id] > outstanding_paise:
        raise Conflict(
            "REPAYMENT_TOO_LARGE",
            "Of this loan {outstanding} is outstanding; no more can be repaid.",
            field=f"{field}.principal_paise",
            outstanding=rupees(outstanding_paise),
        )


def _check_reversals(sheet: Sheet, books: Books) -> None:
    """Only what is final is taken back, and once; what is not final yet is handed back instead."""
    seen: set[tuple[Id, int]] = set()
    for place, one in enumerate(sheet.reversals):
        field, was = f"reversals[{place}]", books.reversible.get((one.meeting_id, one.line))
        if was is None or was.institution_id != sheet.institution_id:
            raise Conflict("LINE_UNKNOWN", "There is no such line in these books.", field=field)
        if was.status is not MeetingStatus.APPROVED:
            raise Conflict("LINE_NOT_FINAL", "Only an approved line is taken back; ask for the meeting to be handed back.", field=field)
        if was.takes_back:
            raise Conflict("LINE_IS_REVERSAL", "This line takes another one back; enter that one's amount anew instead.", field=field)
        if is_transfer(was.line):
            sentence = "What went to another group, or came from one, is given back by a transfer of its own."
            raise Conflict("LINE_OF_TRANSFER", sentence, field=field)
        if was.reversed_by or (one.meeting_id, one.line) in seen:
            raise Conflict("LINE_REVERSED", "This line was taken back already.", field=field)
        seen.add((one.meeting_id, one.line))


def _check_levels(posted: tuple[Line, ...], books: Books) -> None:
    kind = books.institution.kind if books.institution else ""
    for head in (head for line in posted for head in (line.debit, line.credit)):
        if kind not in CHART[head].levels:
            raise Conflict("HEAD_NOT_HERE", "The books of a {kind} have no head {head}, {title}.", kind=kind, head=head, title=CHART[head].title)


def _check_signs(sheet: Sheet, balances: Balances, change: Balances) -> None:
    """Nothing falls below nothing: no cash, no account, no savings (domain 4.1), and no loan below what is repaid."""
    for account in change:
        if balances[account] >= 0 or CHART[account.head].may_be_negative:
            continue
        missing, head, of = rupees(-balances[account]), account.head, account.of
        if head == Head.CASH:
            raise Conflict("CASH_NEGATIVE", "{missing} more is paid out or deposited than there was cash.", field=_spender(sheet), missing=missing)
        if head == Head.BANK and of:
            raise Conflict("BANK_NEGATIVE", "{missing} more is taken from this account than it held.", field=_bank_field(sheet, of), missing=missing)
        if head == Head.SETTLEMENT_PAYABLE and of:
            raise overdrawn(sheet, of, -balances[account])
        if CHART[head].sub_ledger is SubLedger.MEMBER and of:
            field = _paid_to_her(sheet, head, of)
            raise Conflict("SAVINGS_NEGATIVE", "{missing} more is paid back to this member than she had.", field=field, missing=missing)
        if not of and account.head in (Head.BANK, *_WITH_MEMBERS):
            continue  # One of its accounts is what is told.
        raise Conflict("BALANCE_NEGATIVE", "{title} would fall {missing} below nothing.", title=CHART[head].title, missing=missing)


def _paid_to_her(sheet: Sheet, head: Head, member_id: Id) -> str:
    """Where what she had under that head was paid back to her; if nowhere, it is that a line was taken back."""
    for name in ("settlements", "transfers_out"):
        for place, one in enumerate(getattr(sheet, name)):
            key = next((key for key, of in HERS.items() if of == head and one.member_id == member_id and getattr(one, key)), "")
            if key:
                return f"{name}[{place}].{key}"
    if head == Head.SHARE_CAPITAL:
        name, of_her = "entries", [one.member_id == member_id and ITEMS[one.item].debit == head for one in sheet.entries]
    else:
        name, of_her = "withdrawals", [one.member_id == member_id for one in sheet.withdrawals]
    return f"{name}[{of_her.index(True)}]" if any(of_her) else "reversals"


_WITH_MEMBERS = tuple(head for head, about in CHART.items() if about.sub_ledger is SubLedger.MEMBER)


def _spender(sheet: Sheet) -> str:
    """The list in which most cash was paid out."""
    spent = {
        "bank_moves": sum(one.amount_paise for one in sheet.bank_moves if one.kind in {"DEPOSIT", "SENT"}),
        "loans": sum(one.principal_paise for one in sheet.loans if not one.paid.bank_id),
        "withdrawals": sum(one.compulsory_paise + one.voluntary_paise for one in sheet.withdrawals if not one.paid.bank_id),
        "entries": sum(one.amount_paise for one in sheet.entries if ITEMS[one.item].credit == MONEY and not one.paid.bank_id),
        "borrowing_repayments": sum(one.principal_paise + one.interest_paise for one in sheet.borrowing_repayments if not one.paid.bank_id),
        "settlements": sum(one.paid_paise for one in sheet.settlements if not one.paid.bank_id),
    }
    most = max(spent, key=lambda name: spent[name])
    return most if spent[most] else "reversals"


def _check_ended(sheet: Sheet, posted: tuple[Line, ...], balances: Balances, books: Books) -> None:
    """Nothing comes into an account after its last day. What the bank paid out when it was closed is entered at the meeting after: all of it."""
    banks = books.institution.banks if books.institution else {}
    ended = {bank_id: ended_on for bank_id, ended_on in banks.items() if ended_on and ended_on < sheet.held_on}
    for line in posted if ended else ():
        for head, of, comes_in in ((line.debit, line.debit_of, True), (line.credit, line.credit_of, False)):
            if head == Head.BANK and of in ended and (comes_in or balances[Account(head, of)]):
                sentence = "This account was in use until {ended_on}: nothing more comes into it, and what was left in it is taken out whole."
                raise Conflict("BANK_ENDED", sentence, field=_moved_by(sheet, of), ended_on=ended[of].isoformat())


def _moved_by(sheet: Sheet, bank_id: Id) -> str:
    """Where the account is first named as moved; if nowhere, it is that a line was taken back."""
    for name in PAID_LISTS:
        for place, entry in enumerate(getattr(sheet, name)):
            if entry.paid.bank_id == bank_id:
                return f"{name}[{place}].paid.bank_id"
    for place, move in enumerate(sheet.bank_moves):
        if bank_id in {move.bank_id, move.to_bank_id}:
            return f"bank_moves[{place}].{'bank_id' if move.bank_id == bank_id else 'to_bank_id'}"
    return _bank_field(sheet, bank_id) if sheet.cut_off else "reversals"


def _bank_field(sheet: Sheet, bank_id: Id) -> str:
    place = next((place for place, one in enumerate(sheet.bank_statements) if one.bank_id == bank_id), None)
    return "bank_statements" if place is None else f"bank_statements[{place}]"


def _check_money(sheet: Sheet, balances: Balances) -> None:
    """Cash counted and passbooks read agree with the book, to the paisa (domain 4.1, R-MTG-6)."""
    cash = balances.get(Account(Head.CASH), 0)
    if (counted := sheet.counted_cash_paise) != cash:
        sentence = "The cash counted is {counted}, and the book says {book}: {gap} is {way}."
        raise Conflict("CASH_UNBALANCED", sentence, field="counted_cash_paise", **_gap(counted, cash))
    read = {one.bank_id: one for one in sheet.bank_statements}
    held = {of: paise for (head, of), paise in balances.items() if head == Head.BANK and of}
    for bank_id in sorted({of for of, paise in held.items() if paise} | named_banks(sheet)):
        field = _bank_field(sheet, bank_id)
        if bank_id not in read:
            sentence = "The book has {book} in an account whose passbook was not read; read it and enter what it says."
            raise Conflict("BANK_NOT_STATED", sentence, field=field, book=rupees(held.get(bank_id, 0)), bank_id=bank_id)
        said, book = read[bank_id].book_paise, held.get(bank_id, 0)
        if said != book:
            sentence = "The passbook, with the cheques still on their way, says {counted}, and the book says {book}: {gap} is {way}."
            raise Conflict("BANK_UNBALANCED", sentence, field=field, **_gap(said, book))


def _gap(counted: int, book: int) -> dict[str, object]:
    way = "missing" if counted < book else "too much"
    return {"counted": rupees(counted), "book": rupees(book), "gap": rupees(abs(counted - book)), "way": way}


def _check_closing(sheet: Sheet, balances: Balances) -> None:
    """The device and these books agree on every balance, not only on money."""
    if sheet.closing_hash != closing_hash(sheet, balances):
        sentence = "The device's books differ from these, though cash and bank agree. Pull, and enter the meeting again."
        raise Conflict("CLOSING_DIFFERS", sentence, field="closing_hash")


def _unlisted(sheet: Sheet, books: Books) -> int:
    listed, of, on = {one.member_id for one in sheet.attendance}, sheet.institution_id, sheet.held_on
    here = {one for one, member in books.members.items() if member.active and (member.has_stay(of, on) or member.had_stay(of, on))}
    return len(here - listed)


def _of_members(sheet: Sheet, books: Books) -> Iterator[int]:
    """What else members paid in or were paid that nothing bounds; interest only where it is more than was owed."""
    yield from (entry.amount_paise for entry in sheet.entries if entry.member_id)
    for repaid in sheet.repayments:
        loan = books.loans[repaid.loan_id]
        if repaid.interest_paise > interest_owed(loan.terms, loan.standing, sheet.held_on):
            yield repaid.interest_paise


def lent_while_absent(sheet: Sheet) -> list[tuple[int, LoanGiven]]:
    """The loans, by their places in the sheet, whose members the attendance does not have as present."""
    present = {one.member_id for one in sheet.attendance if one.present}
    return [(place, one) for place, one in enumerate(sheet.loans) if one.member_id and one.member_id not in present]


def lent_to(sheet: Sheet, members: Collection[Id]) -> list[tuple[int, LoanGiven]]:
    """The loans, by their places in the sheet, to any of these."""
    return [(place, one) for place, one in enumerate(sheet.loans) if one.member_id in members]


def _flags(sheet: Sheet, books: Books) -> tuple[str, ...]:
    """What an approver should look at before she approves."""
    slip_paise = (books.institution.compulsory_paise if books.institution else 0) * UNUSUAL_TIMES
    found = {
        "CUT_OFF": sheet.cut_off is not None,
        "ARREARS_DIFFER": arrears_differ(sheet),
        "MANUAL_BOOKS_DIFFER": bool(sheet.manual_books_differ),
        "REVERSAL": bool(sheet.reversals),
        "RESCHEDULED": bool(sheet.reschedules),
        "WRITTEN_OFF": bool(sheet.write_offs),
        "SETTLEMENT": bool(sheet.settlements),
        "TRANSFER": bool(sheet.transfers_out or sheet.transfers_in),
        "REVISED": sheet.revision > 1,
        "NOBODY_PRESENT": not any(one.present for one in sheet.attendance),
        "ATTENDANCE_INCOMPLETE": _unlisted(sheet, books) > 0,
        "LOAN_WHILE_ABSENT": bool(lent_while_absent(sheet)),
        "LOAN_CONTESTED": bool(lent_to(sheet, books.contested)),
        "SAVING_UNUSUAL": 0 < slip_paise <= max((max(one.compulsory_paise, one.voluntary_paise) for one in sheet.savings), default=0),
        "AMOUNT_UNUSUAL": 0 < slip_paise <= max(_of_members(sheet, books), default=0),
    }
    return tuple(flag for flag, raised in found.items() if raised)
