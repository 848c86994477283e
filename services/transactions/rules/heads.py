"""The chart as data: the heads of account (domain 3.6, decision 15), and what each item of a screen moves (domain 3.3)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType


class Head(StrEnum):
    """Codes as in domain 3.6: A an asset, L a liability, fund or equity, I an income, E an expense."""

    MEMBER_LOANS = "A01"
    INSTITUTION_LOANS = "A02"
    CASH = "A03"
    CASH_IN_TRANSIT = "A04"
    BANK = "A05"
    INVESTMENTS = "A06"
    SAVINGS_WITH_FEDERATION = "A07"
    COMPULSORY_SAVINGS = "L01"
    VOLUNTARY_SAVINGS = "L02"
    SHARE_CAPITAL = "L03"
    BORROWING_BANK = "L04"
    BORROWING_VO = "L05"
    FUNDS = "L06"
    BORROWING_CLF = "L07"
    SETTLEMENT_PAYABLE = "L08"
    SUSPENSE = "L09"
    RETAINED_SURPLUS = "L10"
    BETWEEN_GROUPS = "L11"
    LOAN_INTEREST = "I01"
    FINES = "I02"
    FEES = "I03"
    BANK_INTEREST = "I04"
    SUBSIDY = "I05"
    OTHER_INCOME = "I06"
    INTEREST_PAID = "E01"
    HONORARIUM = "E02"
    TRAVEL = "E03"
    STATIONERY = "E04"
    BANK_CHARGES = "E05"
    TRAINING = "E06"
    RENT = "E07"
    SAVINGS_INTEREST = "E08"
    WRITE_OFF = "E09"
    OTHER_EXPENSE = "E10"


class Side(StrEnum):
    """Assets and expenses grow by debits, the others by credits."""

    ASSET = "ASSET"
    LIABILITY = "LIABILITY"
    EQUITY = "EQUITY"
    INCOME = "INCOME"
    EXPENSE = "EXPENSE"

    @property
    def by_debit(self) -> bool:
        return self in {Side.ASSET, Side.EXPENSE}


class SubLedger(StrEnum):
    """Whose accounts a head is the sum of."""

    NONE = ""
    MEMBER = "MEMBER"
    LOAN = "LOAN"
    BORROWING = "BORROWING"
    BANK = "BANK"
    INSTITUTION = "INSTITUTION"


@dataclass(frozen=True, slots=True)
class About:
    """A head of account. `levels` are the kinds of institutions that have it; `may_be_negative` where a balance may turn."""

    title: str
    side: Side
    sub_ledger: SubLedger = SubLedger.NONE
    levels: tuple[str, ...] = ("SHG", "VO", "CLF")
    may_be_negative: bool = False


CHART: Mapping[Head, About] = MappingProxyType(
    {
        Head.MEMBER_LOANS: About("Loans to members", Side.ASSET, SubLedger.LOAN, ("SHG",)),
        Head.INSTITUTION_LOANS: About("Loans to SHGs and VOs", Side.ASSET, SubLedger.LOAN, ("VO", "CLF")),
        Head.CASH: About("Cash in hand", Side.ASSET),
        Head.CASH_IN_TRANSIT: About("Cash in transit", Side.ASSET),
        Head.BANK: About("Bank", Side.ASSET, SubLedger.BANK),
        Head.INVESTMENTS: About("Fixed deposits and investments", Side.ASSET),
        Head.SAVINGS_WITH_FEDERATION: About("Savings and shares with VO and CLF", Side.ASSET),
        Head.COMPULSORY_SAVINGS: About("Compulsory savings", Side.LIABILITY, SubLedger.MEMBER),
        Head.VOLUNTARY_SAVINGS: About("Voluntary savings", Side.LIABILITY, SubLedger.MEMBER, ("SHG", "VO")),
        Head.SHARE_CAPITAL: About("Share capital", Side.EQUITY, SubLedger.MEMBER),
        Head.BORROWING_BANK: About("Borrowing from banks", Side.LIABILITY, SubLedger.BORROWING, ("SHG",)),
        Head.BORROWING_VO: About("Borrowing from VO", Side.LIABILITY, SubLedger.BORROWING, ("SHG",)),
        Head.FUNDS: About("Funds and grants received", Side.EQUITY),
        Head.BORROWING_CLF: About("Borrowing from CLF", Side.LIABILITY, SubLedger.BORROWING, ("SHG", "VO")),
        Head.SETTLEMENT_PAYABLE: About("Settlement payable", Side.LIABILITY, SubLedger.MEMBER),
        Head.SUSPENSE: About("Suspense", Side.LIABILITY, may_be_negative=True),
        Head.RETAINED_SURPLUS: About("Retained surplus", Side.EQUITY, may_be_negative=True),
        Head.BETWEEN_GROUPS: About("Between groups", Side.LIABILITY, SubLedger.INSTITUTION, may_be_negative=True),
        Head.LOAN_INTEREST: About("Interest on loans", Side.INCOME),
        Head.FINES: About("Fines", Side.INCOME),
        Head.FEES: About("Membership and admission fees", Side.INCOME),
        Head.BANK_INTEREST: About("Interest from bank", Side.INCOME),
        Head.SUBSIDY: About("Interest subvention", Side.INCOME),
        Head.OTHER_INCOME: About("Other income", Side.INCOME),
        Head.INTEREST_PAID: About("Interest paid", Side.EXPENSE),
        Head.HONORARIUM: About("Honorarium", Side.EXPENSE),
        Head.TRAVEL: About("Travel", Side.EXPENSE),
        Head.STATIONERY: About("Stationery", Side.EXPENSE),
        Head.BANK_CHARGES: About("Bank charges", Side.EXPENSE),
        Head.TRAINING: About("Training", Side.EXPENSE),
        Head.RENT: About("Rent", Side.EXPENSE),
        Head.SAVINGS_INTEREST: About("Dividend and interest on savings", Side.EXPENSE),
        Head.WRITE_OFF: About("Loans written off", Side.EXPENSE),
        Head.OTHER_EXPENSE: About("Other expenses", Side.EXPENSE),
    }
)

# In the place of a head: cash in hand, or the account by which it was paid.
MONEY = None
# Where money lies; between these it only changes its place.
PLACES = (Head.CASH, Head.CASH_IN_TRANSIT, Head.BANK)


@dataclass(frozen=True, slots=True)
class Item:
    """What a screen enters: the head debited and the head credited, of which one may be MONEY. `of_member`, `of_institution`: which must be said."""

    title: str
    screen: str
    debit: Head | None
    credit: Head | None
    of_member: bool = False
    by_bank_only: bool = False
    of_institution: bool = False


def _in(title: str, screen: str, head: Head, *, of_member: bool = False, by_bank_only: bool = False, of_institution: bool = False) -> Item:
    return Item(title, screen, MONEY, head, of_member, by_bank_only, of_institution)


def _out(title: str, screen: str, head: Head, *, of_member: bool = False, by_bank_only: bool = False, of_institution: bool = False) -> Item:
    return Item(title, screen, head, MONEY, of_member, by_bank_only, of_institution)


def _hers(title: str, screen: str, debit: Head, credit: Head) -> Item:
    return Item(title, screen, debit, credit, of_member=True)


ITEMS: Mapping[str, Item] = MappingProxyType(
    {
        # Screens of their own in the sheet.
        "COMPULSORY_SAVING": _in("Compulsory saving", "SAVINGS", Head.COMPULSORY_SAVINGS, of_member=True),
        "VOLUNTARY_SAVING": _in("Voluntary saving", "SAVINGS", Head.VOLUNTARY_SAVINGS, of_member=True),
        "COMPULSORY_WITHDRAWN": _out("Compulsory savings withdrawn", "WITHDRAWALS", Head.COMPULSORY_SAVINGS, of_member=True),
        "VOLUNTARY_WITHDRAWN": _out("Voluntary savings withdrawn", "WITHDRAWALS", Head.VOLUNTARY_SAVINGS, of_member=True),
        "PRINCIPAL_REPAID": _in("Principal repaid", "REPAYMENTS", Head.MEMBER_LOANS),
        "INTEREST_RECEIVED": _in("Interest received", "REPAYMENTS", Head.LOAN_INTEREST),
        "LOAN_GIVEN": _out("Loan given", "LOANS", Head.MEMBER_LOANS, of_member=True),
        "LENT_TO_INSTITUTION": _out("Loan given to an SHG or VO", "LOANS", Head.INSTITUTION_LOANS),
        "INSTITUTION_REPAID": _in("Principal repaid by an SHG or VO", "REPAYMENTS", Head.INSTITUTION_LOANS),
        "WRITTEN_OFF": Item("Loan to a member written off", "WRITE_OFFS", Head.WRITE_OFF, Head.MEMBER_LOANS),
        "INSTITUTION_WRITTEN_OFF": Item("Loan to an SHG or VO written off", "WRITE_OFFS", Head.WRITE_OFF, Head.INSTITUTION_LOANS),
        "BORROWED_FROM_BANK": _in("Borrowed from a bank", "BORROWINGS", Head.BORROWING_BANK),
        "BORROWED_FROM_VO": _in("Borrowed from the VO", "BORROWINGS", Head.BORROWING_VO),
        "BORROWED_FROM_CLF": _in("Borrowed from the CLF", "BORROWINGS", Head.BORROWING_CLF),
        "BANK_REPAID": _out("Bank's principal repaid", "BORROWINGS", Head.BORROWING_BANK),
        "VO_REPAID": _out("VO's principal repaid", "BORROWINGS", Head.BORROWING_VO),
        "CLF_REPAID": _out("CLF's principal repaid", "BORROWINGS", Head.BORROWING_CLF),
        "INTEREST_PAID": _out("Interest paid", "BORROWINGS", Head.INTEREST_PAID),
        "DEPOSIT": Item("Cash put into the bank", "BANK", Head.BANK, Head.CASH),
        "WITHDRAWAL": Item("Cash taken from the bank", "BANK", Head.CASH, Head.BANK),
        "SENT": Item("Cash on its way to the bank", "BANK", Head.CASH_IN_TRANSIT, Head.CASH),
        "ARRIVED": Item("Cash arrived at the bank", "BANK", Head.BANK, Head.CASH_IN_TRANSIT),
        "TRANSFER": Item("From one account to another", "BANK", Head.BANK, Head.BANK),
        # Of who leaves.
        "COMPULSORY_SETTLED": _hers("Compulsory savings settled", "SETTLEMENTS", Head.COMPULSORY_SAVINGS, Head.SETTLEMENT_PAYABLE),
        "VOLUNTARY_SETTLED": _hers("Voluntary savings settled", "SETTLEMENTS", Head.VOLUNTARY_SAVINGS, Head.SETTLEMENT_PAYABLE),
        "SHARE_SETTLED": _hers("Share capital settled", "SETTLEMENTS", Head.SHARE_CAPITAL, Head.SETTLEMENT_PAYABLE),
        "SURPLUS_SHARED": _hers("Her part of the surplus", "SETTLEMENTS", Head.SAVINGS_INTEREST, Head.SETTLEMENT_PAYABLE),
        "KEPT_BACK": _hers("Her part of the deficit, or what else is kept back", "SETTLEMENTS", Head.SETTLEMENT_PAYABLE, Head.OTHER_INCOME),
        "PRINCIPAL_SET_OFF": _hers("Principal set off", "SETTLEMENTS", Head.SETTLEMENT_PAYABLE, Head.MEMBER_LOANS),
        "INTEREST_SET_OFF": _hers("Interest set off", "SETTLEMENTS", Head.SETTLEMENT_PAYABLE, Head.LOAN_INTEREST),
        # What goes to another group; what comes from one is the same the other way.
        "COMPULSORY_MOVED": _hers("Compulsory savings moved", "TRANSFERS", Head.COMPULSORY_SAVINGS, Head.BETWEEN_GROUPS),
        "VOLUNTARY_MOVED": _hers("Voluntary savings moved", "TRANSFERS", Head.VOLUNTARY_SAVINGS, Head.BETWEEN_GROUPS),
        "SHARE_MOVED": _hers("Share capital moved", "TRANSFERS", Head.SHARE_CAPITAL, Head.BETWEEN_GROUPS),
        "LOAN_MOVED": Item("Loan to a member moved", "TRANSFERS", Head.BETWEEN_GROUPS, Head.MEMBER_LOANS),
        "BANK_LOAN_MOVED": Item("Borrowing from a bank moved", "TRANSFERS", Head.BORROWING_BANK, Head.BETWEEN_GROUPS),
        "VO_LOAN_MOVED": Item("Borrowing from the VO moved", "TRANSFERS", Head.BORROWING_VO, Head.BETWEEN_GROUPS),
        "CLF_LOAN_MOVED": Item("Borrowing from the CLF moved", "TRANSFERS", Head.BORROWING_CLF, Head.BETWEEN_GROUPS),
        "FUNDS_MOVED": Item("Funds and grants moved", "TRANSFERS", Head.FUNDS, Head.BETWEEN_GROUPS),
        "INVESTMENTS_MOVED": Item("Investments moved", "TRANSFERS", Head.BETWEEN_GROUPS, Head.INVESTMENTS),
        "WITH_FEDERATION_MOVED": Item("Savings and shares with the federation moved", "TRANSFERS", Head.BETWEEN_GROUPS, Head.SAVINGS_WITH_FEDERATION),
        "SURPLUS_MOVED": Item("Surplus moved", "TRANSFERS", Head.RETAINED_SURPLUS, Head.BETWEEN_GROUPS),
        "DEFICIT_MOVED": Item("Deficit moved", "TRANSFERS", Head.BETWEEN_GROUPS, Head.RETAINED_SURPLUS),
        # Entries.
        "FINE": _in("Fine", "FINES", Head.FINES, of_member=True),
        "SHARE_CAPITAL": _in("Share capital", "MEMBER_RECEIPTS", Head.SHARE_CAPITAL, of_member=True),
        "MEMBERSHIP_FEE": _in("Membership fee", "MEMBER_RECEIPTS", Head.FEES, of_member=True),
        "ADMISSION_FEE": _in("Admission fee", "MEMBER_RECEIPTS", Head.FEES, of_member=True),
        "OTHER_FROM_MEMBER": _in("Other receipt from a member", "MEMBER_RECEIPTS", Head.OTHER_INCOME, of_member=True),
        "SHARE_RETURNED": _out("Share capital returned", "MEMBER_PAYMENTS", Head.SHARE_CAPITAL, of_member=True),
        "SAVINGS_INTEREST": _out("Dividend or interest on savings", "MEMBER_PAYMENTS", Head.SAVINGS_INTEREST, of_member=True),
        "OTHER_TO_MEMBER": _out("Other payment to a member", "MEMBER_PAYMENTS", Head.OTHER_EXPENSE, of_member=True),
        "SETTLEMENT_PAID": _out("Settlement paid", "MEMBER_PAYMENTS", Head.SETTLEMENT_PAYABLE, of_member=True),
        "INVESTED": _out("Fixed deposit or investment made", "INVESTMENTS", Head.INVESTMENTS),
        "INVESTMENT_ENDED": _in("Fixed deposit or investment ended", "INVESTMENTS", Head.INVESTMENTS),
        "SAVED_WITH_FEDERATION": _out("Saved with the VO or CLF", "INVESTMENTS", Head.SAVINGS_WITH_FEDERATION),
        "SHARE_IN_FEDERATION": _out("Share in the VO or CLF", "INVESTMENTS", Head.SAVINGS_WITH_FEDERATION),
        "RETURNED_BY_FEDERATION": _in("Savings or share returned by the VO or CLF", "INVESTMENTS", Head.SAVINGS_WITH_FEDERATION),
        "REVOLVING_FUND": _in("Revolving fund", "RECEIPTS", Head.FUNDS),
        "COMMUNITY_INVESTMENT_FUND": _in("Community investment fund", "RECEIPTS", Head.FUNDS),
        "VULNERABILITY_REDUCTION_FUND": _in("Vulnerability reduction fund", "RECEIPTS", Head.FUNDS),
        "STARTUP_FUND": _in("Startup fund", "RECEIPTS", Head.FUNDS),
        "GRANT": _in("Grant", "RECEIPTS", Head.FUNDS),
        "BANK_INTEREST": _in("Interest from the bank", "RECEIPTS", Head.BANK_INTEREST, by_bank_only=True),
        "INTEREST_SUBVENTION": _in("Interest subvention", "RECEIPTS", Head.SUBSIDY),
        "INVESTMENT_INCOME": _in("Income from investments", "RECEIPTS", Head.OTHER_INCOME),
        "GROUP_INCOME": _in("Income from the group's work", "RECEIPTS", Head.OTHER_INCOME),
        "OTHER_RECEIPT": _in("Other receipt", "RECEIPTS", Head.OTHER_INCOME),
        "UNEXPLAINED_RECEIPT": _in("Receipt not explained yet", "RECEIPTS", Head.SUSPENSE),
        "GROUP_RECEIVED": _in("Received from another group", "RECEIPTS", Head.BETWEEN_GROUPS, of_institution=True),
        "HONORARIUM": _out("Honorarium", "PAYMENTS", Head.HONORARIUM),
        "TRAVEL": _out("Travel", "PAYMENTS", Head.TRAVEL),
        "STATIONERY": _out("Stationery", "PAYMENTS", Head.STATIONERY),
        "BANK_CHARGES": _out("Bank charges", "PAYMENTS", Head.BANK_CHARGES, by_bank_only=True),
        "TRAINING": _out("Training", "PAYMENTS", Head.TRAINING),
        "RENT": _out("Rent", "PAYMENTS", Head.RENT),
        "FUND_RETURNED": _out("Fund returned", "PAYMENTS", Head.FUNDS),
        "GROUP_WORK_COST": _out("Cost of the group's work", "PAYMENTS", Head.OTHER_EXPENSE),
        "OTHER_PAYMENT": _out("Other payment", "PAYMENTS", Head.OTHER_EXPENSE),
        "GROUP_PAID": _out("Paid to another group", "PAYMENTS", Head.BETWEEN_GROUPS, of_institution=True),
        "UNEXPLAINED_PAYMENT": _out("Payment not explained yet", "PAYMENTS", Head.SUSPENSE),
    }
)

# What an Entry of a sheet may name; the others are entered in lists of their own.
ENTRY_SCREENS = frozenset({"FINES", "MEMBER_RECEIPTS", "MEMBER_PAYMENTS", "INVESTMENTS", "RECEIPTS", "PAYMENTS"})


@cache
def chart_version() -> str:
    """Changes with any head or item: by it a device knows whether its chart is the newest."""
    written = [[[code, *astuple(one)] for code, one in data.items()] for data in (CHART, ITEMS)]
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()[:16]
