"""Whatever a group does over the years, in whatever order it is heard of: its books are those that were kept by hand (model.py)."""

import random
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from services.kernel.approval import MeetingStatus
from services.kernel.errors import NotFound, Refused
from services.kernel.policies import Period, Policies
from services.transactions import queries
from services.transactions.commands import decide, sync, take
from services.transactions.rules import loan, packed, statements
from services.transactions.rules.agreed import AS_USUAL, Agreed, months_of, shown
from services.transactions.rules.journal import effect
from services.transactions.rules.meeting import Waiting, closing_hash, lines
from services.transactions.rules.record import Handback, Outcome
from services.transactions.rules.schedule import MONTHS, DayCount, Frequency, Method, MonthEnd, Moratorium, Rounding, schedule
from services.transactions.rules.sheet import (
    EFFECTIVE_AHEAD_DAYS_MAX,
    ActiveBorrowing,
    ActiveLoan,
    Attendance,
    BankMove,
    BankStatement,
    Borrowing,
    BorrowingRepayment,
    CutOff,
    Entry,
    LoanGiven,
    LoanOut,
    LoanRequest,
    OpeningFund,
    OpeningInvestment,
    OpeningMember,
    Paid,
    Plan,
    Repayment,
    Reschedule,
    Reversal,
    Saving,
    SetOff,
    Settlement,
    Sheet,
    Transfer,
    Withdrawal,
    WriteOff,
    content,
    named_loans,
)
from services.transactions.servicer import showing
from services.transactions.tables import meetings
from tests.transactions import model
from tests.transactions.builders import FORMED_ON, RUPEE, Group, closed, hear_institution, hear_member, upload
from tests.transactions.builders import drawn_id as new_id
from tests.transactions.model import Meeting

SERVICE = "transactions"
ROUNDS_MAX = 6  # Of examples: two or three come to all that is asked.
EXAMPLES = 12
STEPS = 100
UNSENT_MAX = 4
LONG_AGO = date(2020, 1, 1)
# So that whole years may be entered; what these policies refuse has its own tests.
POLICIES = Policies({name: (Period(3650, LONG_AGO),) for name in ("meeting_entry_days_max", "year_closes_after_days")})
BOOKKEEPERS = ("IUP_BK1", "IUP_BK2")

SCREENS = {
    *("COMPULSORY_SAVING", "VOLUNTARY_SAVING", "COMPULSORY_WITHDRAWN", "VOLUNTARY_WITHDRAWN", "PRINCIPAL_REPAID", "INTEREST_RECEIVED"),
    *("LOAN_GIVEN", "BORROWED_FROM_BANK", "BORROWED_FROM_VO", "BORROWED_FROM_CLF", "BANK_REPAID", "VO_REPAID", "CLF_REPAID", "INTEREST_PAID"),
    *("DEPOSIT", "WITHDRAWAL", "SENT", "ARRIVED", "TRANSFER", "LOAN_REQUEST", "PLAN", "CHEQUES_ON_THEIR_WAY", "BORROWED_EARLIER", "BORROWED_LATER"),
    *("MODE_CASH", "MODE_CHEQUE", "MODE_TRANSFER"),
    *("RESCHEDULED", "BORROWING_RESCHEDULED", "WRITTEN_OFF", "repaid after it was rescheduled"),
    *Frequency,
    *Method,
    *("MORATORIUM PAID", "MORATORIUM ACCRUED"),
}
TAKEN_BACK = {("reversed", head) for head in ("A01", "A05", "E09", "I01", "L01", "L02", "L06")}
ANSWERS = {
    *("APPLIED", "ALREADY_APPLIED", "REVISION_OLD", "REVISION_CONTENT", "LOCK_LOST", "LOCK_INVALID", "MEETING_WAITING"),
    *("MEMBER_WAITING", "BANK_WAITING"),
    *("CASH_UNBALANCED", "BANK_UNBALANCED", "BANK_NOT_STATED", "CLOSING_DIFFERS", "MEETING_OUT_OF_SEQUENCE", "HELD_TOO_EARLY", "HELD_IN_FUTURE"),
    *("SAVINGS_NEGATIVE", "CASH_NEGATIVE", "BANK_NEGATIVE", "BALANCE_NEGATIVE", "REPAYMENT_TOO_LARGE", "LOAN_EXISTS", "LOAN_UNKNOWN"),
    *("LINE_REVERSED", "LINE_IS_REVERSAL", "LINE_UNKNOWN", "LINE_NOT_FINAL", "MEMBER_LEFT", "INSTITUTION_NOT_YOURS", "AMOUNT_NEGATIVE", "BOOKS_HELD"),
    *("APPROVAL_OUT_OF_SEQUENCE", "MOVE_NOT_ALLOWED", "OWN_ENTRY", "MEETING_UNKNOWN", "MEETING_FLAGGED", "REMARK_MISSING"),
}
DONE = {
    *("batch of 4", "sent twice", "out of order", "revision", "revision of the same", "revision ahead", "abandoned", "first handed back"),
    "begun at another number",
    *("approved", "approved again", "approved many", "handed back", "handed back again", "taken", "taken by another", "sent by who lost them"),
    *("somebody was left out", "left", "came back", "joined", "account opened", "paid by who left", "held on one day"),
    *("cut off", "cut off with a loan", "cut off with a borrowing", "cut off with interest alone", "cut off with savings of who left"),
    "met after the cut-off",
    *("settled", "settled who left", "settled who died", "set off", "set off in part", "settlement paid later", "surplus shared"),
    *("went with her loans", "went without", "the group's own went", "a borrowing went", "taken in by another group"),
}
REACHED = {*model.RECEIVED, *model.PAID_OUT, *SCREENS, *TAKEN_BACK, *ANSWERS, *DONE}
TIMES_MIN = {"APPLIED": 60, "approved": 25, "handed back": 8, "revision": 10, "ALREADY_APPLIED": 20, "LOCK_LOST": 3}


def new_group():
    ids = [new_id() for _ in range(9)]
    return Group(*map(UUID, ids[:2]), [UUID(one) for one in ids[2:7]], ids[7:])


_BOUNDED = {name for name, head in model.OWN.items() if head != "L10"}  # By what there is.


class Draft(NamedTuple):
    """A meeting that is to be entered anew, as the revision that is due."""

    sheet: Sheet
    revision: int


class Known(NamedTuple):
    """The newest revision that was taken in, and what became of it."""

    sheet: Sheet
    status: MeetingStatus
    maker: str


class Sitting:
    """The screens of one meeting, filled in by chance; what would leave less than nothing anywhere is not entered."""

    def __init__(self, chance, before, sheet, members, banks, reached, elsewhere):
        self.chance, self.before, self.sheet, self.members, self.banks = chance, before, sheet, members, banks
        self.elsewhere = elsewhere  # The other group.
        self.reached = reached
        self.at = defaultdict(int, model.position(before))
        self.lent = model.lent(before)
        self.screens = defaultdict(tuple)
        self.taken_back = {(one.meeting_id, one.line) for meeting in before for one in meeting.sheet.reversals}

    def enter(self, screen, entry):
        """Whether it could be entered."""
        made = model.postings(replace(self.sheet, **{screen: (entry,)}), self.before)
        moved = model.position([Meeting(self.sheet, made)])
        if any(self.at[account] + paise < 0 for account, paise in moved.items() if account[0] not in model.MAY_TURN):
            return False
        for account, paise in moved.items():
            self.at[account] += paise
        self.screens[screen] += (entry,)
        return True

    def amount(self, most=500 * RUPEE):
        """Mostly whole rupees; now and then to the paisa, and all there is."""
        if most <= 0 or self.chance.random() < 0.1:
            return max(most, 0)
        most = min(most, 500 * RUPEE)
        return self.chance.randint(1, most) if self.chance.random() < 0.3 else min(self.chance.randint(1, 500) * RUPEE, most)

    def paid(self, by_bank=False):
        mode = self.chance.choice(("CHEQUE", "TRANSFER") if by_bank else ("", "", "CASH", "CHEQUE", "TRANSFER"))
        if mode in {"", "CASH"}:
            return Paid(mode)
        return Paid(mode, self.chance.choice(self.banks), "123456" if mode == "CHEQUE" else "", "UTR7" if mode == "TRANSFER" else "")

    def fill(self, final):
        """`final` are the approved meetings, of which lines may be taken back."""
        chance = self.chance
        absent = chance.random() < 0.05
        self.screens["attendance"] = tuple(Attendance(one, not absent and chance.random() < 0.9) for one in self.members)
        for fill in chance.sample([self.save, self.repay, self.draw, self.lend, self.borrow, self.repay_lenders, self.note, self.move, self.ask], 9):
            fill()
        self.agree_anew()
        if final and chance.random() < 0.45:
            self.take_back(final)
        self.part()
        if chance.random() < 0.03:
            self.sheet = replace(self.sheet, manual_books_differ="The old cash book says more")

    def refill(self, old):
        """The same once more, as far as it still can be."""
        for screen in ("attendance", "requests", "plans"):
            self.screens[screen] = tuple(one for one in getattr(old, screen) if one.member_id in self.members)
        for screen in ("savings", "borrowings", "entries", "repayments", "bank_moves", "withdrawals", "loans", "borrowing_repayments"):
            for was in getattr(old, screen):
                entry = self.on_its_day(was)
                if getattr(entry, "member_id", "") in {"", *self.members} and self.may_be_paid(screen, entry):
                    self.enter(screen, entry)
        for one in old.reversals:
            if (one.meeting_id, one.line) not in self.taken_back and any(one.meeting_id == meeting.sheet.meeting_id for meeting in self.before):
                self.enter("reversals", one)

    def on_its_day(self, entry):
        """It may be held on another day, which changes from when things count."""
        if isinstance(entry, LoanGiven | Borrowing):
            entry = entry._replace(agreed=entry.agreed._replace(first_due_on=""))
        return entry._replace(effective_on="") if isinstance(entry, Borrowing) and entry.effective_on > self.sheet.held_on.isoformat() else entry

    def may_be_paid(self, screen, entry):
        if isinstance(entry, Entry) and entry.item == "SETTLEMENT_PAID":
            return False  # She may owe something again.
        if screen == "repayments":
            return entry.loan_id in self.lent and entry.principal_paise <= model.standing(entry.loan_id, self.before).outstanding_paise
        if screen == "borrowing_repayments":
            return entry.borrowing_id in self.lent and entry.principal_paise <= model.standing(entry.borrowing_id, self.before).outstanding_paise
        if screen == "borrowings" and entry.effective_on:  # The meeting may be on another day now.
            return entry.effective_on <= (self.sheet.held_on + timedelta(days=EFFECTIVE_AHEAD_DAYS_MAX)).isoformat()
        return True

    def save(self):
        for one in self.members:
            if self.chance.random() < 0.8:
                unusual = 100 if self.chance.random() < 0.005 else 1
                voluntary = self.amount() if self.chance.random() < 0.3 else 0
                self.enter("savings", Saving(one, 50 * RUPEE * unusual, voluntary, self.paid()))

    def draw(self):
        for one in self.members:
            if self.chance.random() < 0.15:
                compulsory, voluntary = (self.amount(self.at[head, one]) if self.chance.random() < 0.6 else 0 for head in ("L01", "L02"))
                self.enter("withdrawals", Withdrawal(one, compulsory, voluntary, self.paid()))

    def repay(self):
        for loan_id, lent in self.lent.items():
            if lent.head == "A01" and self.chance.random() < 0.5:
                stands = model.standing(loan_id, self.before)
                principal, owed = self.amount(stands.outstanding_paise), loan.interest_owed(lent.terms, stands, self.sheet.held_on)
                interest = self.chance.choice((owed, 0, self.amount(2 * owed + RUPEE)))
                self.enter("repayments", Repayment(loan_id, principal, interest, self.paid()))

    def note(self):
        items = [one for one in (*model.RECEIVED, *model.PAID_OUT) if one not in {"SETTLEMENT_PAID", "GROUP_PAID", "GROUP_RECEIVED"}]
        for item in self.chance.sample(items, self.chance.randint(0, 9)):
            sharers = [one for one in self.members if self.at["L03", one]] if item == "SHARE_RETURNED" else []
            member_id = self.chance.choice(sharers or self.members) if item in model.OF_MEMBER else ""
            head = model.RECEIVED.get(item) or model.PAID_OUT[item]
            gives_back = (item in model.RECEIVED) == (head[0] == "A")
            most = self.at[head, member_id if head == "L03" else ""] if gives_back and head[0] in "AL" and head != "L09" else 500 * RUPEE
            if most > 0:
                party = "" if member_id else self.chance.choice(("", "the bus", "Collector's office"))
                self.enter("entries", Entry(item, self.amount(most), member_id, party, self.paid(item in model.BY_BANK)))

    def part(self):
        """Last of all: whoever goes leaves nothing behind."""
        for head, of in [one for one in self.at if one[1] and one[0] in {"L08", "L11"}]:
            paise = self.at[head, of]
            owes = {self.lent[loan_id].member_id for loan_id in self.lent if self.at["A01", loan_id]} | {
                one.member_id for one in self.screens["loans"]
            }
            if paise and of not in owes and self.chance.random() < 0.6:
                amount = self.amount(abs(paise)) if head == "L08" or self.chance.random() < 0.2 else min(abs(paise), 10**8)
                item = "SETTLEMENT_PAID" if head == "L08" else "GROUP_PAID" if paise > 0 else "GROUP_RECEIVED"
                whose = {"member_id": of} if head == "L08" else {"institution_id": of}
                self.enter("entries", Entry(item, amount, paid=self.paid(), **whose))
        touched = {one.loan_id for name in ("reschedules", "write_offs") for one in self.screens[name]}
        touched |= {one.loan_id for one in self.screens["loans"]} | {one.borrowing_id for one in self.screens["borrowings"]}
        for member_id in sorted({of for (head, of), paise in self.at.items() if head in {"L01", "L02", "L03"} and of and paise}):
            hers = [loan_id for loan_id in self.lent if self.lent[loan_id].member_id == member_id and self.at["A01", loan_id]]
            new = {one.member_id for one in self.screens["loans"]}
            paid = any(one.item == "SETTLEMENT_PAID" and one.member_id == member_id for one in self.screens["entries"])
            # More often one who owes: that her savings do not cover it is what is rarest of all.
            if not paid and member_id not in new and not touched & set(hers) and self.chance.random() < (0.06 if hers else 0.02):
                self.settle(member_id, hers)
            elif member_id not in new and not touched & set(hers) and self.chance.random() < (0.08 if hers else 0.02):
                self.go(member_id, hers)
        if self.chance.random() < 0.06:
            goes = self.chance.choice((("investments_paise", "savings_with_federation_paise", "deficit_paise"), ("funds_paise", "surplus_paise")))
            own = {name: self.amount(self.at[model.OWN[name], ""]) if name in _BOUNDED else self.amount() for name in goes}
            borrowed = [one for one, of in self.lent.items() if of.head != "A01" and self.at[of.head, one] and one not in touched]
            self.go("", [one for one in borrowed if self.chance.random() < 0.8], **own)

    def settle(self, member_id, loan_ids):
        """By what she has first her loans, one after the other, and what then is left to her, all or some of it."""
        has = {name: self.at[head, member_id] for name, head in model.HERS.items()}
        stands = model.position(self.before)
        earned = surplus({account: paise for account, paise in stands.items() if account[0] != "L09"})
        shared = self.amount(min(earned, 100 * RUPEE)) if self.chance.random() < 0.3 else 0
        other = self.amount(sum(has.values()) // 10) if self.chance.random() < 0.3 else 0
        rest, offs = sum(has.values()) + shared - other + self.at["L08", member_id], []
        for loan_id in loan_ids:
            stands = model.standing(loan_id, self.before)
            interest = self.chance.choice((0, min(rest, loan.interest_owed(self.lent[loan_id].terms, stands, self.sheet.held_on))))
            principal = min(rest - interest, self.at["A01", loan_id])
            offs.append(SetOff(loan_id, principal, interest))
            rest -= principal + interest
        reason = self.chance.choice(("LEFT", "EXPELLED", "DIED"))
        paid = {"paid_paise": self.chance.choice((rest, self.amount(rest))), "paid": self.paid(), "receiver_name": "Ram", "receiver_relation": "son"}
        why = {"surplus_share_paise": shared, "other_paise": other, "other_reason": "a fine"}
        if self.enter("settlements", Settlement(member_id, reason, **has, **why, **(paid if rest else {}))):
            for off in offs:
                assert self.enter("set_offs", off)

    def go(self, member_id, loan_ids, **own):
        has = {name: self.at[head, member_id] for name, head in model.HERS.items()} if member_id else own
        transfer = Transfer(new_id(), self.elsewhere, member_id, **has)
        if any(has.values()) and self.enter("transfers_out", transfer):
            for loan_id in loan_ids:
                head = self.lent[loan_id].head
                out = LoanOut(loan_id, transfer.transfer_id, self.at[head, loan_id])
                made = model.postings(replace(self.sheet, transfers_out=(transfer,), loans_out=(out,)), self.before)
                self.screens["loans_out"] += (out,)
                for posting in made[-2:]:
                    self.at[posting.head, ""] += model.grown(posting)
                    self.at[posting.head, posting.whose] += model.grown(posting)

    def lend(self):
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            months, agreed = self.agreed(self.chance.randint(1, 24))
            terms = (self.amount() + RUPEE, self.chance.choice((0, 1200, 1850, 2400)), months)
            self.enter("loans", LoanGiven(new_id(), self.chance.choice(self.members), *terms, "A goat", "OWN", "", self.paid(), agreed))

    def borrow(self):
        if self.chance.random() < 0.25:
            lender, days = self.chance.choice(("BANK", "VO", "CLF")), self.chance.choice((None, -70, -20, 20, 70))
            begun = "" if days is None else (self.sheet.held_on + timedelta(days)).isoformat()
            months, agreed = self.agreed(self.chance.randint(1, 36))
            if begun > self.sheet.held_on.isoformat():  # By then the first may be past.
                agreed = agreed._replace(first_due_on="")
            terms = (20 * self.amount() + RUPEE, self.chance.choice((0, 700, 1000)), months)
            self.enter("borrowings", Borrowing(new_id(), lender, *terms, effective_on=begun, paid=self.paid(), agreed=agreed))

    def agreed(self, months):
        """Mostly as usual; else any other way to repay. With the months that it then runs, 0 where weeks are counted."""
        if self.chance.random() < 0.5:
            return months, AS_USUAL
        frequency = self.chance.choice(list(Frequency))
        first = self.sheet.held_on + timedelta(self.chance.randint(32, 100))
        agreed = Agreed(
            self.chance.choice(("", *Method)),
            self.chance.choice((frequency, "")) if frequency is Frequency.MEETING else frequency,
            self.chance.choice(("", *DayCount)),
            self.chance.choice(("", "", first.isoformat())),
            self.chance.choice(("", *MonthEnd)),
            self.chance.choice((0, 0, 1, 3)),
            self.chance.choice(("", *Moratorium)),
            self.chance.choice(("", *Rounding)),
        )
        if step := MONTHS.get(frequency):
            return -(-months // step) * step, agreed
        return 0, agreed._replace(instalments=months)

    def agree_anew(self):
        """Of a loan that is neither repaid in this meeting nor settled: a new schedule, or the end of all hope."""
        repaid = {one.loan_id for one in self.screens["repayments"]} | {one.borrowing_id for one in self.screens["borrowing_repayments"]}
        for loan_id, lent in self.lent.items():
            left = model.standing(loan_id, self.before).outstanding_paise
            if left and loan_id not in repaid and self.chance.random() < 0.2:
                if lent.head == "A01" and self.chance.random() < 0.5:
                    self.enter("write_offs", WriteOff(loan_id, left, "She has nothing"))
                else:
                    months, agreed = self.agreed(self.chance.randint(1, 12))
                    self.screens["reschedules"] += (Reschedule(loan_id, self.chance.choice((0, 1200)), months, agreed, "A drought"),)

    def repay_lenders(self):
        for loan_id, lent in self.lent.items():
            if lent.head != "A01" and self.chance.random() < 0.5:
                stands = model.standing(loan_id, self.before)
                owed = loan.interest_owed(lent.terms, stands, self.sheet.held_on)
                interest = self.chance.choice((owed, 0, self.amount(2 * owed + RUPEE)))
                self.enter("borrowing_repayments", BorrowingRepayment(loan_id, self.amount(stands.outstanding_paise), interest, self.paid()))

    def move(self):
        for _ in range(self.chance.choice((0, 1, 2, 3))):
            kind = self.chance.choice(("DEPOSIT", "WITHDRAWAL", "SENT", "ARRIVED", "TRANSFER"))
            bank_id, to_bank_id = self.chance.sample(self.banks, 2)
            source = {"WITHDRAWAL": ("A05", bank_id), "TRANSFER": ("A05", bank_id), "ARRIVED": ("A04", "")}.get(kind, ("A03", ""))
            if amount := self.amount(self.at[source]):
                to = to_bank_id if kind == "TRANSFER" else ""
                self.enter("bank_moves", BankMove(kind, amount, "" if kind == "SENT" else bank_id, to, "slip 7"))

    def ask(self):
        for one in self.members:
            if self.chance.random() < 0.1:
                plan_id = new_id()
                self.screens["plans"] += (Plan(plan_id, one, self.amount() + 1, "A cow", proposed_instalment_paise=RUPEE),)
                self.screens["requests"] += (LoanRequest(new_id(), one, self.amount() + 1, "A cow", priority=1, plan_id=plan_id),)

    def take_back(self, final):
        """Of the kinds of lines that were taken back least, or it would be savings and little else."""
        kinds = defaultdict(list)
        anew = {one.loan_id for name in ("reschedules", "write_offs") for one in self.screens[name]}
        for meeting in final:
            for number in range(1, meeting.lines + 1 - len(meeting.sheet.reversals)):
                debit, credit = meeting.line(number)
                is_transfer = "L11" in {debit.head, credit.head} and not {debit.head, credit.head} & model.PLACES
                if not {debit.whose, credit.whose} & anew and not is_transfer:
                    kinds[debit.head, credit.head].append((meeting.sheet.meeting_id, number))
        rarest = sorted(kinds, key=lambda kind: (min(self.reached["reversed", head] for head in kind), self.chance.random()))
        for kind in rarest[:5]:
            key = self.chance.choice(kinds[kind])
            if key not in self.taken_back:
                self.enter("reversals", Reversal(*key))

    def close(self):
        """Now and then with cheques on their way, which the passbook does not know yet."""
        meeting, read = model.closed(replace(self.sheet, **self.screens), self.before, self.banks), []
        for one in meeting.sheet.bank_statements:
            held = one.passbook_paise
            not_credited = self.chance.randint(0, held) if self.chance.random() < 0.2 else 0
            not_debited = self.chance.randint(1, 900) if self.chance.random() < 0.2 else 0
            read.append(BankStatement(one.bank_id, held - not_credited + not_debited, not_debited, not_credited))
        meeting.sheet = replace(meeting.sheet, bank_statements=tuple(read))
        return meeting


DUMP = """
select kind, md5(string_agg(line, chr(10) order by line)) from (
    select 'meetings' as kind, m::text as line from meetings m where institution_id = %(one)s
    union all select 'superseded', s::text from superseded s where institution_id = %(one)s
    union all select 'balances', b::text from balances b where institution_id = %(one)s
    union all select 'loans', l::text from loans l where institution_id = %(one)s
    union all select 'chains', c::text from chains c where institution_id = %(one)s
    union all select 'reversals', r::text from reversals r join meetings m using (meeting_id) where institution_id = %(one)s
    union all select 'audit', max(id)::text from audit
    union all select 'outbox', max(id)::text from outbox
) as rows group by kind
"""

# How often each, of what she and they may do next.
MOVES = {
    "hold": 10,
    "send": 9,
    "approve": 8,
    "approve_many": 2,
    "hand_back": 2,
    "decide_wrongly": 2,
    "spoil": 5,
    "take": 1,
    "send_what_is_lost": 1,
    "days_pass": 5,
    "member_leaves": 2,
    "member_comes": 2,
    "account_opens": 1,
    "news_comes": 3,
    "begin_with_a_cut_off": 2,
    "another_group_takes_in": 2,
}


class Life(RuleBasedStateMachine):
    """One group, a device that keeps its books by hand, and the checkers; each example is undone before the next."""

    def __init__(self, connection, reached, lives):
        super().__init__()
        self.connection, self.reached, self.lives = connection, reached, lives
        self.undone = connection.begin_nested()
        self.group, self.elsewhere = new_group(), new_group()
        self.today = FORMED_ON + timedelta(days=9)
        self.steps = 0
        self.base = 0  # The number of the last meeting on paper.
        self.kept, self.unsent, self.again = [], [], []
        self.known, self.sent, self.lost = {}, [], []
        self.user, self.holder, self.lock = BOOKKEEPERS[0], None, 0
        self.stays = {one: [[None, None]] for one in self.group.members}
        self.versions = dict.fromkeys(self.stays, 1)
        self.banks = list(self.group.bank_ids)
        self.institution_version = 1
        self.mirror, self.mirrored_loans, self.pulled = {}, {}, queries.Known()
        hear_institution(connection, self.group)
        hear_institution(connection, self.elsewhere)
        for one in self.group.members:
            hear_member(connection, self.group, one)
        self.dump, self.version = self.rows(), 0

    def teardown(self):
        self.undone.rollback()

    # What the two sides say.

    def rows(self):
        return dict(self.connection.exec_driver_sql(DUMP, {"one": self.group.institution_id}).all())

    @property
    def device(self):
        return self.kept + self.unsent

    @property
    def last_number(self):
        return self.kept[-1].sheet.number if self.kept else self.base

    @property
    def approved_through(self):
        return max((one.sheet.number for one in self.kept if one.approved), default=self.base)

    @property
    def undecided(self):
        return [one for one in self.kept if not one.approved]

    def bookkeeper(self, user=None, **changes):
        user = user or self.user
        return self.group.bookkeeper(**{"user_id": user, "person": f"person of {user}", **changes})

    def here(self, day):
        return [one for one, stays in self.stays.items() if any((not begun or begun <= day) and (not end or day <= end) for begun, end in stays)]

    @contextmanager
    def refused(self, code):
        """What is refused changes nothing."""
        with pytest.raises(Refused) as refused, self.connection.begin_nested():
            yield
        assert refused.value.code == code
        self.reached[code] += 1
        assert self.rows() == self.dump

    # Steps.

    @rule(number=st.integers(0, 2**64))
    def step(self, number):
        """Drawn evenly: Hypothesis by itself likes to do the same again."""
        self.steps += 1
        chance = random.Random(f"{self.lives} {number} {self.steps}")
        [move] = chance.choices(list(MOVES), list(MOVES.values()))
        getattr(self, move)(chance)

    def days_pass(self, chance):
        self.today += timedelta(days=chance.choice((1, 7, 30, 60, 150)))

    def news_comes(self, _chance):
        """Of whom and of what the service had not heard."""
        for one in self.stays.keys() - self.versions.keys():
            hear_member(self.connection, self.group, one)
            self.versions[one] = 1
        if set(self.banks) != set(self.group.bank_ids):
            self.group.bank_ids = list(self.banks)
            self.institution_version += 1
            hear_institution(self.connection, self.group, self.institution_version)

    def member_comes(self, chance):
        """A new one, of whom the books hear later; or one who had left."""
        away = [one for one in self.versions if self.stays[one][-1][1]]
        if away and chance.random() < 0.7:
            one = chance.choice(away)
            self.stays[one].append([self.today, None])
            self.tell(one)
            self.reached["came back"] += 1
        elif len(self.stays) < 9:
            self.stays[new_id()] = [[None, None]]
            self.reached["joined"] += 1

    def member_leaves(self, chance):
        there = [one for one in self.here(self.today) if one in self.versions and self.stays[one][-1][1] is None]
        if len(there) > 3:
            one = chance.choice(there)
            self.stays[one][-1][1] = self.today
            self.tell(one)
            self.reached["left"] += 1

    def tell(self, member_id):
        stays = self.stays[member_id]
        ended = [
            {"institution_id": self.group.id, "from_on": begun.isoformat() if begun else "", "to_on": end.isoformat()} for begun, end in stays if end
        ]
        since = stays[-1][0].isoformat() if stays[-1][0] and not stays[-1][1] else ""
        self.versions[member_id] += 1
        status = "STATUS_INACTIVE" if stays[-1][1] else "STATUS_ACTIVE"
        hear_member(self.connection, self.group, member_id, self.versions[member_id], ended_stays=ended, since_on=since, status=status)

    def account_opens(self, _chance):
        if len(self.banks) < 4:
            self.banks.append(new_id())
            self.reached["account opened"] += 1

    def hold(self, chance):
        if len(self.unsent) < UNSENT_MAX:
            if self.again and chance.random() < 0.1:
                self.again = []
                self.reached["abandoned"] += 1
            self.unsent.append(self.next_meeting(chance, self.again.pop(0) if self.again else None))

    def next_meeting(self, chance, draft=None):
        last = self.device[-1].sheet if self.device else None
        earliest = last.held_on if last else FORMED_ON
        held_on = chance.choice((earliest, self.today, earliest + (self.today - earliest) * chance.random()))
        self.reached["held on one day"] += bool(last) and held_on == last.held_on
        number = last.number + 1 if last else chance.randint(1, 12)
        plain = Sheet(new_id(), self.group.id, 1, number, held_on, last.meeting_id if last else "")
        if draft:
            self.reached["begun at another number"] += not last and draft.sheet.number != number
            plain = replace(plain, meeting_id=draft.sheet.meeting_id, revision=draft.revision)
        sitting = Sitting(chance, self.device, plain, self.here(held_on), self.banks, self.reached, self.elsewhere.id)
        if draft and chance.random() < 0.5:
            sitting.refill(draft.sheet)
        else:
            sitting.fill([one for one in self.kept if one.approved])
        return sitting.close()

    def send(self, chance):
        """What is unsent, all or some of it, with copies of what was taken in before, in any order."""
        mine = self.unsent if chance.random() < 0.7 else [one for one in self.unsent if chance.random() < 0.6]
        ids = {one.sheet.meeting_id for one in mine}
        copies = [one for one in self.sent if one.meeting_id not in ids and chance.random() < 0.5]
        copies = chance.sample(copies, min(len(copies), UNSENT_MAX - len(mine)))
        copies += [one.sheet for one in mine[:1] if len(mine) + len(copies) < UNSENT_MAX and chance.random() < 0.2]
        sheets = [*(one.sheet for one in mine), *copies]
        chance.shuffle(sheets)
        numbers = [one.number for one in sheets]
        self.reached["out of order"] += numbers != sorted(numbers)
        self.reached["batch of 4"] += len(mine) == UNSENT_MAX
        self.reached["sent twice"] += bool(copies)
        self.hand_in(sheets, self.lock, self.bookkeeper())

    def send_what_is_lost(self, chance):
        """Another device's old work, from before the books were taken from it."""
        if self.lost:
            user, lock, meetings = chance.choice(self.lost)
            self.reached["sent by who lost them"] += 1
            self.hand_in([one.sheet for one in meetings], lock, self.bookkeeper(user))

    def hand_in(self, sheets, lock, caller):
        if not sheets:
            return
        expected = self.expected(sheets, lock, caller.user_id)
        uploads = {place: upload(one, lock) for place, one in enumerate(sheets)}
        with self.connection.begin_nested():
            answers = sync.sync_meetings(self.connection, caller, uploads, POLICIES, self.today)
        said = [one if isinstance(one, Outcome) else one.code for _, one in sorted(answers.items())]
        assert said == expected, [str(one) for one in answers.values()]
        assert all(isinstance(one, Waiting) == one.code.endswith("_WAITING") for one in answers.values() if isinstance(one, Refused))
        self.reached.update(expected)
        if "APPLIED" not in expected:
            assert self.rows() == self.dump

    def expected(self, sheets, lock, user):
        """The answers, in the order sent; what is taken in counts from now on."""
        answers = {}
        for place, sheet in sorted(enumerate(sheets), key=lambda one: one[1].number):
            answers[place] = self.answer(sheet, lock)
            if answers[place] == "APPLIED":
                meeting = next(one for one in self.unsent if one.sheet.meeting_id == sheet.meeting_id)
                self.unsent.remove(meeting)
                self.keep(meeting, user)
        return [answers[place] for place in range(len(sheets))]

    def answer(self, sheet, lock):
        known = self.known.get(sheet.meeting_id)
        if known and known.sheet.revision == sheet.revision:
            return "ALREADY_APPLIED" if content(known.sheet) == content(sheet) else "REVISION_CONTENT"
        if known and known.sheet.revision > sheet.revision:
            return "ALREADY_APPLIED" if sheet in self.sent else "REVISION_OLD"
        if known and known.status != MeetingStatus.REJECTED:
            return "MOVE_NOT_ALLOWED"
        return self.answer_anew(sheet) if lock == self.lock else "LOCK_LOST"

    def answer_anew(self, sheet):
        if sheet.previous_meeting_id != (self.kept[-1].sheet.meeting_id if self.kept else ""):
            return "MEETING_WAITING"
        if {one.member_id for name in ("attendance", "savings", "entries") for one in getattr(sheet, name)} - self.versions.keys() - {""}:
            return "MEMBER_WAITING"
        return "BANK_WAITING" if {one.bank_id for one in sheet.bank_statements} - set(self.group.bank_ids) else "APPLIED"

    def keep(self, meeting, user):
        sheet = meeting.sheet
        if not self.kept:
            self.base = sheet.number - 1
        if was := self.known.get(sheet.meeting_id):
            self.reached["revision"] += 1
            self.reached["revision ahead"] += sheet.revision > was.sheet.revision + 1
            self.reached["revision of the same"] += sheet.savings == was.sheet.savings and sheet.entries == was.sheet.entries
        meeting.due = {one for one in self.here(sheet.held_on) if one in self.versions and self.stays[one][-1][1] is None}
        self.reached["somebody was left out"] += bool(meeting.due - {one.member_id for one in sheet.attendance})
        self.kept.append(meeting)
        self.sent.append(sheet)
        self.known[sheet.meeting_id] = Known(sheet, MeetingStatus.CLOSED, user)
        self.count(meeting)

    def count(self, meeting):
        sheet, before = meeting.sheet, self.kept[:-1]
        lent = model.lent(self.kept)
        for saved in sheet.savings:
            self.reached["COMPULSORY_SAVING"] += bool(saved.compulsory_paise)
            self.reached["VOLUNTARY_SAVING"] += bool(saved.voluntary_paise)
        for drawn in sheet.withdrawals:
            self.reached["COMPULSORY_WITHDRAWN"] += bool(drawn.compulsory_paise)
            self.reached["VOLUNTARY_WITHDRAWN"] += bool(drawn.voluntary_paise)
        for repaid in sheet.repayments:
            self.reached["PRINCIPAL_REPAID"] += bool(repaid.principal_paise)
            self.reached["INTEREST_RECEIVED"] += bool(repaid.interest_paise)
            self.reached["repaid after it was rescheduled"] += bool(lent[repaid.loan_id].anew)
            self.reached["paid by who left"] += lent[repaid.loan_id].member_id not in self.here(sheet.held_on)
        for back in sheet.borrowing_repayments:
            lender = next(name for name, head in model.LENDERS.items() if head == lent[back.borrowing_id].head)
            self.reached[f"{lender}_REPAID"] += bool(back.principal_paise)
            self.reached["INTEREST_PAID"] += bool(back.interest_paise)
        for taken in sheet.borrowings:
            self.reached[f"BORROWED_FROM_{taken.lender}"] += 1
            self.reached["BORROWED_EARLIER"] += bool(taken.effective_on) and taken.effective_on < sheet.held_on.isoformat()
            self.reached["BORROWED_LATER"] += taken.effective_on > sheet.held_on.isoformat()
        for one in (*sheet.loans, *sheet.borrowings, *sheet.reschedules):
            self.reached.update([one.agreed.frequency or Frequency.MEETING, one.agreed.method or Method.DECLINING])
            self.reached[f"MORATORIUM {one.agreed.moratorium_interest or 'PAID'}"] += bool(one.agreed.moratorium)
        for one in sheet.reschedules:
            self.reached["RESCHEDULED" if lent[one.loan_id].head == "A01" else "BORROWING_RESCHEDULED"] += 1
        self.reached["WRITTEN_OFF"] += len(sheet.write_offs)
        self.count_who_left(sheet)
        for back in sheet.reversals:
            line = next(one for one in before if one.sheet.meeting_id == back.meeting_id).line(back.line)
            self.reached.update(("reversed", posting.head) for posting in line)
        self.reached.update([*(one.item for one in sheet.entries), *(one.kind for one in sheet.bank_moves)])
        self.reached.update({"LOAN_GIVEN": len(sheet.loans), "LOAN_REQUEST": len(sheet.requests), "PLAN": len(sheet.plans)})
        self.reached["CHEQUES_ON_THEIR_WAY"] += any(one.not_debited_paise or one.not_credited_paise for one in sheet.bank_statements)
        paying = (*sheet.savings, *sheet.withdrawals, *sheet.repayments, *sheet.entries, *sheet.loans, *sheet.borrowings, *sheet.borrowing_repayments)
        self.reached.update(f"MODE_{one.paid.mode or 'CASH'}" for one in paying)

    def count_who_left(self, sheet):
        for one in sheet.settlements:
            self.reached["settled"] += 1
            self.reached["settled who died"] += one.reason == "DIED"
            self.reached["settled who left"] += one.member_id not in self.here(sheet.held_on)
            self.reached["surplus shared"] += bool(one.surplus_share_paise)
        for off in sheet.set_offs:
            left = model.standing(off.loan_id, self.kept).outstanding_paise
            self.reached["set off in part" if left else "set off"] += 1
        self.reached["settlement paid later"] += any(one.item == "SETTLEMENT_PAID" for one in sheet.entries)
        loans = Counter(one.transfer_id for one in sheet.loans_out)
        for one in sheet.transfers_out:
            with_loans = "went with her loans" if loans[one.transfer_id] else "went without"
            self.reached[with_loans if one.member_id else "the group's own went"] += 1
            self.reached["a borrowing went"] += bool(loans[one.transfer_id]) and not one.member_id

    def approve(self, chance):
        """The next; or one that is final already, which changes nothing."""
        final = [one for one in self.kept if one.approved]
        if self.undecided and (not final or chance.random() < 0.8):
            self.decide([self.undecided[0]], {}, unseen=False)
            self.reached["approved"] += 1
        elif final:
            self.decide([chance.choice(final)], {}, unseen=False)
            self.reached["approved again"] += 1
            assert self.rows() == self.dump

    def approve_many(self, chance):
        """Some of what is undecided, in any order: those that are clean and next."""
        asked = [one for one in self.undecided if chance.random() < 0.8]
        expected, through = {}, self.approved_through
        for one in asked:
            if one.sheet.number != through + 1:
                expected[one.sheet.meeting_id] = "APPROVAL_OUT_OF_SEQUENCE"
            elif model.flagged(one.sheet, self.group.compulsory_paise, one.due):
                expected[one.sheet.meeting_id] = "MEETING_FLAGGED"
            else:
                through += 1
        self.reached["approved many"] += len(asked) > len(expected) + 1
        self.decide(chance.sample(asked, len(asked)), expected, unseen=True)

    def decide(self, asked, expected, *, unseen):
        wanted = {UUID(one.sheet.meeting_id): one.sheet.revision for one in asked}
        with self.connection.begin_nested():
            answers = decide.approve_meetings(self.connection, self.group.approver(), wanted, POLICIES, self.today, unseen=unseen)
        assert {str(one): refused.code for one, refused in answers.items() if refused} == expected
        self.reached.update(expected.values())
        for one in asked:
            if one.sheet.meeting_id not in expected:
                one.approved = True
                self.known[one.sheet.meeting_id] = self.known[one.sheet.meeting_id]._replace(status=MeetingStatus.APPROVED)

    def hand_back(self, chance):
        if not self.undecided:
            return
        meeting = chance.choice((self.undecided[0], chance.choice(self.undecided)))
        said = chance.choice((Handback("The voucher is missing"), Handback("", ("AMOUNT_WRONG", "BANK_WRONG")), Handback("Why?", ("OTHER",))))
        arguments = (self.connection, self.group.approver(), UUID(meeting.sheet.meeting_id), meeting.sheet.revision)
        with self.connection.begin_nested():
            decide.reject_meeting(*arguments, said, POLICIES, self.today)
        back = [one for one in self.kept if one.sheet.number >= meeting.sheet.number]
        self.kept = self.kept[: -len(back)]
        if not self.kept:
            self.base = 0
        for one in back:
            self.known[one.sheet.meeting_id] = self.known[one.sheet.meeting_id]._replace(status=MeetingStatus.REJECTED)
        drafts = [Draft(one.sheet, one.sheet.revision + chance.choice((1, 1, 1, 2))) for one in back]
        self.again = [*drafts, *(Draft(one.sheet, one.sheet.revision) for one in self.unsent), *self.again]
        self.unsent = []
        self.reached["handed back"] += 1
        self.reached["first handed back"] += not self.kept
        if chance.random() < 0.3:
            before = self.rows()
            decide.reject_meeting(*arguments, said, POLICIES, self.today)
            assert self.rows() == before
            self.reached["handed back again"] += 1

    def decide_wrongly(self, chance):
        meetings = [one for one in self.known.values() if one.status != MeetingStatus.REJECTED]
        if not meetings:
            return
        sheet, status, user = chance.choice(meetings)
        approver, other = self.group.approver(), self.group.approver(institutions=frozenset({UUID(new_id())}))
        maker = self.group.approver(**chance.choice(({"person": f"person of {user}"}, {"user_id": user})))
        wrong = [
            ("MEETING_UNKNOWN", other, sheet, sheet.revision),
            ("REVISION_OLD", approver, sheet, sheet.revision + chance.choice((-1, 1))),
            ("OWN_ENTRY", maker, sheet, sheet.revision),
        ]
        if len(self.undecided) > 1:
            late = chance.choice(self.undecided[1:]).sheet
            wrong.append(("APPROVAL_OUT_OF_SEQUENCE", approver, late, late.revision))
        back = [one.sheet for one in self.known.values() if one.status == MeetingStatus.REJECTED]
        if back:
            handed_back = chance.choice(back)
            wrong.append(("MOVE_NOT_ALLOWED", approver, handed_back, handed_back.revision))
        code, caller, asked, revision = chance.choice(wrong)
        with self.refused(code):
            answers = decide.approve_meetings(self.connection, caller, {UUID(asked.meeting_id): revision}, POLICIES, self.today, unseen=False)
            [refused] = answers.values()
            if refused:
                raise refused
        arguments = (self.connection, approver, UUID(sheet.meeting_id), sheet.revision)
        with self.refused("REMARK_MISSING"):
            decide.reject_meeting(*arguments, Handback(" ", ("OTHER",)), POLICIES, self.today)
        if status == MeetingStatus.APPROVED:
            with self.refused("MOVE_NOT_ALLOWED"):
                decide.reject_meeting(*arguments, Handback("Too late"), POLICIES, self.today)

    def take(self, chance):
        """The books go to a device: to the same one, or to the other bookkeeper's, and what was unsent is lost there."""
        user = chance.choice(BOOKKEEPERS)
        if self.holder not in {None, user}:
            with self.refused("BOOKS_HELD"):
                take.take_books(self.connection, self.bookkeeper(user), self.group.institution_id, take_over=False)
        with self.connection.begin_nested():
            lock = take.take_books(self.connection, self.bookkeeper(user), self.group.institution_id, take_over=True)
        assert lock == self.lock if user == self.holder else lock > self.lock
        if user != self.user:
            if self.unsent:
                self.lost.append((self.user, self.lock, self.unsent))
            back = {one.sheet.number: one for one in self.known.values() if one.status == MeetingStatus.REJECTED}
            self.unsent, self.again, number = [], [], self.last_number + 1
            while number in back:
                self.again.append(Draft(back[number].sheet, back[number].sheet.revision + 1))
                number += 1
            self.reached["taken by another"] += 1
        self.user, self.holder, self.lock = user, user, lock
        self.reached["taken"] += 1

    def spoil(self, chance):
        """A meeting that is right but for one thing: the one that was tried least."""
        if not self.kept:
            return
        on, last = self.kept[-1].sheet.held_on, self.kept[-1].sheet
        plain = Sheet(new_id(), self.group.id, 1, self.last_number + 1, on, last.meeting_id)
        right = model.closed(plain, self.kept, self.group.bank_ids)
        spoiled = self.spoiled(chance, plain, right.sheet, last)
        code, sheet, lock, caller = min(spoiled, key=lambda one: (self.reached[one[0]], chance.random()))
        with self.refused(code):
            answers = sync.sync_meetings(self.connection, caller, {0: upload(sheet, lock)}, POLICIES, self.today)
            assert isinstance(answers[0], Refused), (code, answers[0])
            raise answers[0]

    def spoiled(self, chance, plain, right, last):
        """The code, the sheet, its lock, and who sends it."""
        stands, mine = model.position(self.kept), (self.lock, self.bookkeeper())
        cash = stands.get(("A03", ""), 0)
        held = [bank_id for bank_id in self.group.bank_ids if stands.get(("A05", bank_id))]

        def close(**screens):
            return model.closed(replace(plain, **screens), self.kept, self.group.bank_ids).sheet

        def came_in(paise):
            return Entry("OTHER_RECEIPT", paise, party="somebody")

        said = right.bank_statements
        yield "CASH_UNBALANCED", replace(right, counted_cash_paise=cash + 1), *mine
        yield "BANK_UNBALANCED", replace(right, bank_statements=(said[0]._replace(passbook_paise=said[0].passbook_paise + 1), *said[1:])), *mine
        yield "CLOSING_DIFFERS", replace(right, closing_hash="0" * 64), *mine
        yield "MEETING_OUT_OF_SEQUENCE", replace(right, number=right.number + 1), *mine
        yield "HELD_TOO_EARLY", replace(right, held_on=right.held_on - timedelta(days=1)), *mine
        yield "HELD_IN_FUTURE", replace(right, held_on=self.today + timedelta(days=1)), *mine
        yield "REVISION_CONTENT", replace(last, counted_cash_paise=last.counted_cash_paise + 1), *mine
        yield "LOCK_LOST", right, self.lock - 1, self.bookkeeper()
        yield "LOCK_INVALID", right, 2**62, self.bookkeeper()
        yield "INSTITUTION_NOT_YOURS", right, self.lock, self.bookkeeper(institutions=frozenset({UUID(new_id())}))
        yield "CASH_NEGATIVE", close(entries=(Entry("TRAVEL", cash + 1),)), *mine
        yield "BALANCE_NEGATIVE", close(entries=(came_in(10**8), Entry("FUND_RETURNED", stands.get(("L06", ""), 0) + 1))), *mine
        yield "LINE_UNKNOWN", replace(right, reversals=(Reversal(new_id(), 1),)), *mine
        yield "LOAN_UNKNOWN", close(repayments=(Repayment(new_id(), 1, 0),)), *mine
        if held:
            bank_id = chance.choice(held)
            taken = Entry("TRAVEL", stands["A05", bank_id] + 1, paid=Paid("TRANSFER", bank_id))
            yield "BANK_NOT_STATED", replace(right, bank_statements=tuple(one for one in said if one.bank_id != bank_id)), *mine
            yield "BANK_NEGATIVE", close(entries=(taken,)), *mine
        if there := [one for one in self.here(plain.held_on) if one in self.versions]:
            one = chance.choice(there)
            more = Withdrawal(one, stands.get(("L01", one), 0) + 1, 0)
            yield "SAVINGS_NEGATIVE", close(entries=(came_in(10**8),), withdrawals=(more,)), *mine
            yield "AMOUNT_NEGATIVE", replace(right, savings=(Saving(one, -1, 0),)), *mine
        for loan_id, lent in list(model.lent(self.kept).items())[-2:]:
            outstanding = model.standing(loan_id, self.kept).outstanding_paise
            if lent.head == "A01":
                yield "REPAYMENT_TOO_LARGE", close(repayments=(Repayment(loan_id, outstanding + 1, 0),)), *mine
                yield "LOAN_EXISTS", replace(right, loans=(LoanGiven(loan_id, "", 1, 0, 1),)), *mine
        gone = [one for one in self.stays if one in self.versions and one not in self.here(plain.held_on)]
        if gone:
            yield "MEMBER_LEFT", replace(right, attendance=(Attendance(gone[0], True),)), *mine
        taking_back = [one for one in self.kept if one.sheet.reversals]
        if taking_back:
            one = chance.choice(taking_back)
            yield "LINE_REVERSED", replace(right, reversals=(chance.choice(one.sheet.reversals),)), *mine
            code = "LINE_IS_REVERSAL" if one.approved else "LINE_NOT_FINAL"
            yield code, replace(right, reversals=(Reversal(one.sheet.meeting_id, one.lines),)), *mine
        if self.undecided and self.undecided[-1].lines:
            yield "LINE_NOT_FINAL", replace(right, reversals=(Reversal(self.undecided[-1].sheet.meeting_id, 1),)), *mine

    def another_group_takes_in(self, _chance):
        """All that went there with approved meetings: what the two have between them is nothing then, and each loan goes on as it stood."""
        gone = [(place, one) for place, held in enumerate(self.kept) if held.approved for one in held.sheet.transfers_out]
        found = queries.standing(self.connection, self.elsewhere.approver(), self.elsewhere.institution_id, queries.Known()).incoming
        assert sorted(one.said.transfer_id for one in found) == sorted(one.transfer_id for _, one in gone)
        if gone:
            undone = self.connection.begin_nested()
            try:
                self.take_in_elsewhere(gone, found)
            finally:
                undone.rollback()

    def take_in_elsewhere(self, gone, found):
        other, places = self.elsewhere, {one.transfer_id: place for place, one in gone}
        for one in {one.member_id for _, one in gone} - {""}:
            hear_member(self.connection, other, one, 10**6)
        came, loans = zip(*(one.comes(one.said.transfer_id) for one in found), strict=True)
        loans = tuple(one._replace(loan_id=new_id()) for of in loans for one in of)
        attendance = tuple(Attendance(one, True) for one in sorted({one.member_id for one in came} - {""}))
        # Of a member who went twice one is taken in at each meeting.
        before, books = [], None
        for number in range(1, 1 + max(Counter(one.member_id for one in came).values())):
            turns = Counter()
            now = [one for one in came if not turns.update([one.member_id]) and turns[one.member_id] == number]
            named = {one.transfer_id for one in now}
            place = {"previous_meeting_id": before[-1].meeting_id if before else "", "attendance": attendance}
            sheet = Sheet(new_id(), other.id, 1, number, self.today, **place, transfers_in=tuple(now))
            sheet = replace(sheet, loans_in=tuple(one for one in loans if one.transfer_id in named))
            books = queries.books(self.connection, [sheet])
            before.append(closed(sheet, books))
            answer = sync.sync_meetings(self.connection, other.bookkeeper(), {0: upload(before[-1])}, POLICIES, self.today)
            assert answer == {0: Outcome.APPLIED}, str(answer[0])
        stands = queries.standing(self.connection, other.approver(), other.institution_id, queries.Known())
        assert stands.incoming == []
        by_hand = model.position([one for one in self.kept if one.approved])
        paid = sum(
            posting.paise
            for held in self.kept
            if held.approved
            for entry in held.postings
            for posting in [entry]
            if posting.head == "L11" and {half.head for half in held.line(held.postings.index(entry) // 2 + 1)} & model.PLACES
        )
        assert stands.balances.get(("L11", self.group.id), 0) == -by_hand.get(("L11", other.id), 0) - paid
        assert queries.adrift(self.connection) == []
        for one in loans:
            place = places[one.transfer_id]
            was = model.lent(self.kept[:place])[one.of_loan_id]
            carried = stands.loans[one.loan_id][1]
            assert (carried.terms, carried.standing) == (was.terms, model.went(was, one.of_loan_id, self.kept[: place + 1]))
            assert (carried.head, carried.borrower_id) == (was.head, was.member_id)
        self.reached["taken in by another group"] += 1

    def begin_with_a_cut_off(self, chance):
        """Had the group begun today with all that it has, its books would be the same from now on, but for where its surplus came from.
        What is between it and another group is paid before.
        """
        if any(one.lines for one in self.kept) and not any(head == "L11" for head, _ in model.position(self.kept)):
            undone = self.connection.begin_nested()
            try:
                for table in ("meetings", "superseded", "balances", "loans", "chains"):
                    self.connection.execute(text(f"delete from {table} where institution_id = :one"), {"one": self.group.institution_id})
                self.go_on(chance, self.cut_off())
            finally:
                undone.rollback()

    def go_on(self, chance, opening):
        """The same meetings after the cut-off, and after all that was before it."""
        self.take_in(opening, self.today)
        self.stands_as(self.kept, self.today)
        kept, before, today = self.kept, opening, self.today
        for _ in range(chance.randint(1, 4)):
            today += timedelta(days=chance.choice((0, 7, 30, 90)))
            plain = Sheet(new_id(), self.group.id, 1, kept[-1].sheet.number + 1, today, kept[-1].sheet.meeting_id)
            here = [one for one in self.here(today) if one in self.versions]
            sitting = Sitting(chance, kept, plain, here, self.group.bank_ids, Counter(), self.elsewhere.id)
            sitting.fill([])
            # Interest is paid also of what was repaid long ago, of which the books that begin today know nothing.
            since = [held.sheet for held in kept[len(self.kept) :]]
            known = named_loans(opening).union(*(named_loans(one) for one in since))
            for screen, key in (("repayments", "loan_id"), ("borrowing_repayments", "borrowing_id")):
                sitting.screens[screen] = tuple(one for one in sitting.screens[screen] if getattr(one, key) in known)
            meeting = model.closed(replace(sitting.sheet, **sitting.screens), kept, self.group.bank_ids)
            if any(paise < 0 and account[0] not in model.MAY_TURN for account, paise in model.position([*kept, meeting]).items()):
                continue  # What was left out had brought the money.
            same = replace(meeting.sheet, number=before.number + 1, previous_meeting_id=before.meeting_id)
            # Of accounts that nothing moved the passbook is read too: a payment of nothing may name one.
            sealed = closed(same, queries.books(self.connection, [same]))
            kept, before = [*kept, meeting], replace(sealed, bank_statements=meeting.sheet.bank_statements)
            self.take_in(before, today)
            self.stands_as(kept, today)
            self.reached["met after the cut-off"] += 1

    def cut_off(self):
        """All that the group has, as its bookkeeper finds it in the books."""
        stands, on = model.position(self.kept), self.today
        names = (*model.HERS, "settlement_payable_paise")
        has = {one: {name: stands.get((head, one), 0) for name, head in zip(names, model.OF_MEMBERS, strict=True)} for one in self.stays}
        saved = [OpeningMember(one, **of) for one, of in has.items()]
        loans, borrowings, self.beyond = [], [], set()
        for loan_id, one in model.lent(self.kept).items():
            at = model.standing(loan_id, self.kept)
            # What was rescheduled, and of which a payment was then taken back, is owed beyond what was rescheduled: its schedule is another.
            self.beyond |= {loan_id} if at.outstanding_paise > one.terms.principal_paise else set()
            terms = (max(one.terms.principal_paise, at.outstanding_paise), at.outstanding_paise)
            falls = loan.dues(replace(one.terms, principal_paise=terms[0]), at, on)
            interest = loan.interest_owed(one.terms, at, loan.counted_through(one.terms, on))
            if not (at.outstanding_paise or interest):
                continue
            owed = (one.terms.annual_rate_basis_points, months_of(one.terms), falls.overdue_paise, interest)
            agreed, begun = Agreed(**shown(one.terms)), one.terms.given_on.isoformat()
            if one.head == "A01":
                loans.append(ActiveLoan(loan_id, one.member_id, *terms, begun, *owed, agreed=agreed))
            else:
                lender = next(name for name, head in model.LENDERS.items() if head == one.head)
                [day] = [held.sheet.held_on for held in self.kept if loan_id in {taken.borrowing_id for taken in held.sheet.borrowings}]
                given = ({"given_on": begun} if one.anew else {"given_on": day.isoformat(), "effective_on": begun}) | {"agreed": agreed}
                names = ("annual_rate_basis_points", "months", "arrears_paise", "interest_due_paise")
                borrowings.append(ActiveBorrowing(loan_id, lender, *terms, **given, **dict(zip(names, owed, strict=True))))
        invested = [("INVESTED", stands.get(("A06", ""), 0)), ("SAVED_WITH_FEDERATION", stands.get(("A07", ""), 0))]
        funds = stands.get(("L06", ""), 0)
        said = CutOff(
            len(self.kept),
            members=tuple(one for one in saved if any(one[2:])),
            active_loans=tuple(loans),
            active_borrowings=tuple(borrowings),
            investments=tuple(OpeningInvestment(*one) for one in invested if one[1]),
            funds=(OpeningFund("GRANT", funds),) if funds else (),
            cash_in_transit_paise=stands.get(("A04", ""), 0),
        )
        self.reached["cut off"] += 1
        self.reached["cut off with a loan"] += bool(loans)
        self.reached["cut off with a borrowing"] += bool(borrowings)
        self.reached["cut off with interest alone"] += any(not one.outstanding_paise for one in loans)
        self.reached["cut off with savings of who left"] += any(one.member_id not in self.here(on) for one in said.members)
        plain = Sheet(new_id(), self.group.id, 1, 12 + len(self.kept), on, cut_off=said)
        attendance = tuple(Attendance(one, True) for one in self.here(on) if one in self.versions)
        read = tuple(BankStatement(one, stands.get(("A05", one), 0)) for one in self.group.bank_ids)
        one = replace(plain, attendance=attendance, counted_cash_paise=stands.get(("A03", ""), 0), bank_statements=read)
        return replace(one, closing_hash=closing_hash(one, effect(lines(one, {}, {}))))

    def take_in(self, sheet, today):
        answers = sync.sync_meetings(self.connection, self.bookkeeper(), {0: upload(sheet)}, POLICIES, today)
        assert answers[0] is Outcome.APPLIED, (answers[0], getattr(answers[0], "field", ""))
        [flags] = self.connection.execute(select(meetings.c.flags).where(meetings.c.meeting_id == UUID(sheet.meeting_id))).scalars()
        assert "ARREARS_DIFFER" not in flags

    def stands_as(self, kept, on):
        """The books now in the store, beside these kept by hand: every balance, and every loan on days to come."""
        found = queries.standing(self.connection, self.group.approver(), self.group.institution_id, queries.Known())
        real = {(one.head, one.of): paise for one, paise in found.balances.items() if paise}
        by_hand = model.position(kept)
        assert {one: paise for one, paise in real.items() if not in_surplus(one)} == {
            one: paise for one, paise in by_hand.items() if not in_surplus(one)
        }
        assert surplus(real) == surplus(by_hand)
        assert queries.adrift(self.connection) == []
        days = [on + timedelta(days=after) for after in (32, 64, 200, 800)]
        for loan_id, one in model.lent(kept).items():
            at, carried = model.standing(loan_id, kept), found.loans.get(loan_id)
            if carried is None:
                assert not at.outstanding_paise
                assert not loan.interest_owed(one.terms, at, on)
                continue
            assert carried[1].standing.outstanding_paise == at.outstanding_paise
            if loan_id not in self.beyond and one.terms.principal_paise >= at.outstanding_paise:
                assert carried[1].terms == one.terms
                for day in days:
                    real, hand = loan.dues(carried[1].terms, carried[1].standing, day), loan.dues(one.terms, at, day)
                    assert (real.overdue_paise, real.due_paise) == (hand.overdue_paise, hand.due_paise)
                    # On paper is what interest fell due: not what a payment before that had counted, nor what former terms had.
                    usual = one.terms == replace(one.terms, frequency=Frequency.MEETING, method=Method.DECLINING, first_due_on=None, moratorium=0)
                    assert one.anew or not usual or real == hand

    # What must hold after every step.

    @invariant()
    def the_journal_is_that_of_the_hand(self):
        """Line by line; so the balances that it comes to are those of the hand, and none is adrift."""
        lines = self.connection.execute(
            text("select * from lines where institution_id = :one and status <> 'REJECTED' order by number, line"), {"one": self.group.institution_id}
        ).all()
        journal = [
            (str(one.meeting_id), one.line, one.debit, str(one.debit_of or ""), one.credit, str(one.credit_of or ""), one.amount_paise)
            for one in lines
        ]
        by_hand = [
            (meeting.sheet.meeting_id, number, debit.head, debit.whose, credit.head, credit.whose, debit.paise)
            for meeting in self.kept
            for number in range(1, meeting.lines + 1)
            for debit, credit in [meeting.line(number)]
        ]
        assert journal == by_hand
        assert queries.adrift(self.connection) == []

    @invariant()
    def the_position_is_that_of_the_hand(self):
        held = self.connection.execute(
            text("select head, of_id, paise from balances where institution_id = :one and paise <> 0"), {"one": self.group.institution_id}
        )
        stands = {(one.head, "" if one.of_id == queries.WHOLE else str(one.of_id)): one.paise for one in held}
        assert stands == model.position(self.kept)
        assert sum(paise if head[0] in "AE" else -paise for (head, of), paise in stands.items() if not of) == 0
        for head in model.WITH_ACCOUNTS:
            assert stands.get((head, ""), 0) == sum(paise for (whose_head, of), paise in stands.items() if whose_head == head and of)
        chain = queries.must_see(self.connection, self.group.approver(), self.group.institution_id)[1]
        last = self.kept[-1].sheet if self.kept else None
        assert (chain.last_number, chain.approved_through, chain.lock) == (self.last_number, self.approved_through, self.lock)
        assert (chain.last_meeting_id, chain.last_held_on) == ((last.meeting_id, last.held_on) if last else ("", None))

    @invariant()
    def a_device_that_pulls_knows_as_much(self):
        """Both one that holds nothing, and one that is told what has changed since it last asked."""
        whole, stands, provisional = self.pull(queries.Known()), model.position(self.kept), model.position(self.undecided)
        assert whole.closing_hash == (model.closing_hash(self.kept[-1].sheet, stands) if self.kept else "")
        told = {(one.head, one.of): (one.paise, one.provisional_paise) for one in whole.balances}
        accounts = {*stands, *provisional}
        assert {one: told[one] for one in accounts} == {one: (stands.get(one, 0), provisional.get(one, 0)) for one in accounts}
        assert not any(paise for account in told.keys() - accounts for paise in told[account])
        assert {one.loan_id: owed(one) for one in whole.loans} == self.owed()
        open_numbers = [one for one in self.known.values() if one.sheet.number > self.approved_through]
        assert sorted((one.meeting_id, one.revision, one.status) for one in whole.decisions) == sorted(
            (one.sheet.meeting_id, one.sheet.revision, {MeetingStatus.CLOSED: 1, MeetingStatus.REJECTED: 3}[one.status]) for one in open_numbers
        )
        assert {one.member_id for one in whole.members} == self.versions.keys()
        assert set(whole.bank_ids) == set(self.group.bank_ids)
        if self.steps % 3:  # It does not ask at once.
            return
        since = self.pull(self.pulled)
        self.mirror |= {(one.head, one.of): (one.paise, one.provisional_paise) for one in since.balances}
        assert {account: paise for account, paise in self.mirror.items() if any(paise)} == {one: paise for one, paise in told.items() if any(paise)}
        self.mirrored_loans |= {one.loan_id: owed(one) for one in since.loans if one.principal_paise}
        for settled in (one.loan_id for one in since.loans if not one.principal_paise):
            self.mirrored_loans.pop(settled, None)
        assert self.mirrored_loans == self.owed()
        self.pulled = queries.Known(whole.version, whole.approved_through, whole.roster)

    def pull(self, known):
        found = queries.standing(self.connection, self.group.approver(), self.group.institution_id, known)
        return showing.position(found, known.version, self.today, None, 1, loan.Order.INTEREST_FIRST)

    def owed(self):
        """Of every loan on which something is owed, its terms and what is owed today."""
        found = {}
        for loan_id, one in model.lent(self.kept).items():
            stands = model.standing(loan_id, self.kept)
            falls = loan.dues(one.terms, stands, self.today)
            if stands.outstanding_paise or falls.interest_due_paise:
                since = loan.unpaid_since(one.terms, stands)
                terms = (one.first.principal_paise, one.terms.annual_rate_basis_points, months_of(one.terms), one.first.given_on.isoformat())
                terms += (since.isoformat() if since else "", one.terms.given_on.isoformat() if one.anew else "")
                dues = (falls.overdue_paise, falls.due_paise, falls.interest_due_paise)
                found[loan_id] = (one.head, one.member_id, *terms, stands.outstanding_paise, *dues)
        return found

    @invariant()
    def what_is_told_of_due_dates_comes_to_the_loans_as_they_stand(self):
        """Of every due date what is unpaid, and how many loans are unpaid since then."""
        told, held = defaultdict(Counter), defaultdict(Counter)
        if self.steps % 3 == 0:
            where = text("select content from meetings where institution_id = :one and status <> 'REJECTED'")
            for row in self.connection.execute(where, {"one": self.group.institution_id}):
                for one in packed.ageing(row):
                    moved = {"unpaid": one.scheduled_paise - one.collected_paise, "loans": one.loans, "outstanding": one.outstanding_paise}
                    told[one.head, one.due_on].update(moved)
            for loan_id, one in model.lent(self.kept).items():
                stands = model.standing(loan_id, self.kept)
                if since := loan.unpaid_since(one.terms, stands):
                    held[one.head, since].update(loans=1, outstanding=stands.outstanding_paise)
                left = stands.outstanding_paise
                for row in reversed(schedule(one.terms)):
                    unpaid = min(row.principal_paise, left)
                    left -= unpaid
                    held[one.head, row.due_on].update(unpaid=unpaid)
                first = next(row.due_on for row in schedule(one.terms) if row.principal_paise)
                held[one.head, first].update(unpaid=left)
        assert {key: sums for key, one in told.items() if (sums := +one)} == {key: sums for key, one in held.items() if (sums := +one)}

    @invariant()
    def all_books_agree(self):
        """Of what is approved, in a range of days: with the hand, and with one another."""
        chance = random.Random(self.last_number * 7919 + self.today.toordinal())
        from_on, to_on = sorted(FORMED_ON + chance.random() * (self.today - FORMED_ON) for _ in range(2))
        final = [one for one in self.kept if one.approved]
        until = [one for one in final if one.sheet.held_on <= to_on]
        books = queries.approved_from(self.connection, self.group.approver(), self.group.institution_id, from_on)
        after = queries.approved_from(self.connection, self.group.approver(), self.group.institution_id, to_on + timedelta(days=1))
        balance = statements.trial_balance(after.now, after.meetings, after.chain.approved_through)
        assert balance.debit_total_paise == balance.credit_total_paise
        assert balance.through_number == (until[-1].sheet.number if until else self.base)
        trial = {one.head: (one.debit_paise - one.credit_paise) * (1 if one.head[0] in "AE" else -1) for one in balance.heads}
        stands, before = model.position(until), model.position([one for one in until if one.sheet.held_on < from_on])
        assert trial == {head: paise for (head, of), paise in stands.items() if not of}
        cash = statements.cash_book(books.now, books.meetings, from_on, to_on)
        shown = [model.Row(one.meeting_id, one.line, one.head, one.bank_id, one.in_paise, one.out_paise, one.balance_paise) for one in cash.entries]
        assert shown == model.book(final, lambda posting: posting.head in model.PLACES, 1, from_on, to_on)
        for place in cash.places:
            account = (place.head, place.bank_id)
            assert (place.opening_paise, place.closing_paise) == (before.get(account, 0), stands.get(account, 0))
            assert place.opening_paise + place.in_paise - place.out_paise == place.closing_paise
        assert sum(one.closing_paise for one in cash.places) == sum(trial.get(head, 0) for head in model.PLACES)
        self.receipts_less_payments_are_what_stays(statements.receipts_and_payments(books.now, books.meetings, from_on, to_on), cash, until, from_on)
        self.passbooks_come_to_the_group(books, final, before, stands, from_on, to_on)

    def receipts_less_payments_are_what_stays(self, sums, cash, until, from_on):
        came_in, went_out = Counter(), Counter()
        for meeting in until:
            for number in range(1, meeting.lines + 1):
                debit, credit = meeting.line(number)
                if meeting.sheet.held_on >= from_on and (debit.head in model.PLACES) != (credit.head in model.PLACES):
                    if debit.head in model.PLACES:
                        came_in[credit.head] += debit.paise
                    else:
                        went_out[debit.head] += debit.paise
        assert {one.head: one.paise for one in sums.receipts} == came_in
        assert {one.head: one.paise for one in sums.payments} == went_out
        stayed = sum(one.closing_paise - one.opening_paise for one in cash.places)
        assert sum(one.paise for one in sums.receipts) - sum(one.paise for one in sums.payments) == stayed

    def passbooks_come_to_the_group(self, books, final, before, stands, from_on, to_on):
        opened, closed_at = Counter(), Counter()
        lent = model.lent(self.kept)
        somebody = list(self.stays)[self.steps % len(self.stays)]
        try:
            of_somebody = queries.loans_of(self.connection, self.group.institution_id, UUID(somebody))
        except NotFound:  # She went elsewhere before anything here was hers.
            of_somebody = []
        assert set(of_somebody) == {loan_id for loan_id, loan_of in lent.items() if loan_of.member_id == somebody}
        for one in self.stays:
            hers = {one} | {loan_id for loan_id, loan_of in lent.items() if loan_of.member_id == one}
            book = statements.passbook(books.now, books.meetings, one, dict.fromkeys(hers - {one}, one), from_on, to_on)
            assert [(row.meeting_id, row.line, row.head, row.loan_id, row.in_paise, row.out_paise, row.balance_paise) for row in book.entries] == [
                row._replace(whose="" if row.whose == one else row.whose)
                for row in model.book(final, lambda posting, hers=hers: posting.whose in hers, -1, from_on, to_on)
            ]
            for account in book.accounts:
                opened[account.head] += account.opening_paise
                closed_at[account.head] += account.closing_paise
        for head in (*model.OF_MEMBERS, "A01"):
            assert (opened[head], closed_at[head]) == (before.get((head, ""), 0), stands.get((head, ""), 0))

    @invariant()
    def whatever_changes_grows_the_version(self):
        """By it a writer knows whether what it read still stands, and a device what it has seen."""
        rows, (_, chain) = self.rows(), queries.must_see(self.connection, self.group.approver(), self.group.institution_id)
        changed = {kind for kind in ("meetings", "balances", "loans", "reversals") if rows.get(kind) != self.dump.get(kind)}
        assert chain.version > self.version if changed else chain.version >= self.version
        self.dump, self.version = rows, chain.version


def in_surplus(account):
    """Whether it is of what a group has earned and spent, or cannot explain: on paper all that is one figure."""
    return account[0][0] in "IE" or account[0] in {"L09", "L10"}


def surplus(stands):
    return sum(-paise if head[0] == "E" else paise for (head, of), paise in stands.items() if in_surplus((head, of)))


def owed(one):
    terms = (one.principal_paise, one.annual_rate_basis_points, one.months, one.given_on, one.unpaid_since, one.rescheduled_on)
    return (one.head, one.member_id, *terms, one.outstanding_paise, one.overdue_paise, one.due_paise, one.interest_due_paise)


def test_a_borrowing_that_begins_later_owes_the_same_after_a_meeting_is_handed_back(connection):
    """What was repaid before its interest begins counts when its interest is worked out anew."""
    group, kept = Group(), []
    hear_institution(connection, group)
    borrowing_id, saved = new_id(), Entry("GRANT", 10**7)
    on_loan = (
        {"borrowings": (Borrowing(borrowing_id, "BANK", 10**6, 1200, 12, effective_on="2026-07-15"),)},
        {"borrowing_repayments": (BorrowingRepayment(borrowing_id, 6 * 10**5, 0),)},
        {"borrowing_repayments": (BorrowingRepayment(borrowing_id, 0, 1000),)},
        {"borrowing_repayments": (BorrowingRepayment(borrowing_id, 0, 500),)},
    )
    for number, (month, screens) in enumerate(zip((5, 6, 9, 10), on_loan, strict=True), 1):
        before = kept[-1].sheet.meeting_id if kept else ""
        plain = Sheet(new_id(), group.id, 1, number, date(2026, month, 1), before, entries=(saved,), **screens)
        kept.append(model.closed(plain, kept, group.bank_ids))
    answers = sync.sync_meetings(connection, group.bookkeeper(), {at: upload(one.sheet) for at, one in enumerate(kept)}, POLICIES, date(2026, 10, 1))
    assert set(answers.values()) == {Outcome.APPLIED}

    def owed(on):
        [found] = queries.standing(connection, group.approver(), group.institution_id, queries.Known()).loans.values()
        return loan.interest_owed(found[1].terms, found[1].standing, on)

    day = date(2026, 12, 1)
    terms = model.lent(kept)[borrowing_id].terms
    assert owed(day) == loan.interest_owed(terms, model.standing(borrowing_id, kept), day)
    decide.reject_meeting(connection, group.approver(), UUID(kept[3].sheet.meeting_id), 1, Handback("Again"), POLICIES, date(2026, 10, 1))
    assert owed(day) == loan.interest_owed(terms, model.standing(borrowing_id, kept[:3]), day)


def test_whatever_a_group_does_its_books_are_those_kept_by_hand(connection):
    plain = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # To make a failing life shorter would take longer than a test may.
        suppress_health_check=list(HealthCheck),
    )
    reached = Counter()
    for lives in range(ROUNDS_MAX):  # The same lives wherever it runs: whether they come to everything is not left to luck.
        run_state_machine_as_test(seed(lives)(lambda lives=lives: Life(connection, reached, lives)), settings=plain)
        if not (missed := {one for one in REACHED if reached[one] < TIMES_MIN.get(one, 1)}):
            break
    assert not missed, "what it never comes to it says nothing about"
