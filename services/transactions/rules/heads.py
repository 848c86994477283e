"""The chart of heads (domain 3.6, decision 15), and which two heads each item of a meeting moves."""

from enum import StrEnum


class Head(StrEnum):
    """A is an asset and E an expense, which debits add to; L a liability or fund and I an income, which credits add to."""

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


TITLES: dict[Head, str] = {
    Head.MEMBER_LOANS: "Loans to members",
    Head.INSTITUTION_LOANS: "Loans to SHGs and VOs",
    Head.CASH: "Cash in hand",
    Head.CASH_IN_TRANSIT: "Cash in transit",
    Head.BANK: "Bank",
    Head.INVESTMENTS: "Fixed deposits and investments",
    Head.SAVINGS_WITH_FEDERATION: "Savings and shares with VO and CLF",
    Head.COMPULSORY_SAVINGS: "Compulsory savings",
    Head.VOLUNTARY_SAVINGS: "Voluntary savings",
    Head.SHARE_CAPITAL: "Share capital",
    Head.BORROWING_BANK: "Borrowing from banks",
    Head.BORROWING_VO: "Borrowing from VO",
    Head.FUNDS: "Funds and grants received",
    Head.BORROWING_CLF: "Borrowing from CLF",
    Head.SETTLEMENT_PAYABLE: "Settlement payable",
    Head.SUSPENSE: "Suspense",
    Head.RETAINED_SURPLUS: "Retained surplus",
    Head.LOAN_INTEREST: "Interest on loans",
    Head.FINES: "Fines",
    Head.FEES: "Membership and admission fees",
    Head.BANK_INTEREST: "Interest from bank",
    Head.SUBSIDY: "Interest subvention",
    Head.OTHER_INCOME: "Other income",
    Head.INTEREST_PAID: "Interest paid",
    Head.HONORARIUM: "Honorarium",
    Head.TRAVEL: "Travel",
    Head.STATIONERY: "Stationery",
    Head.BANK_CHARGES: "Bank charges",
    Head.TRAINING: "Training",
    Head.RENT: "Rent",
    Head.SAVINGS_INTEREST: "Dividend and interest on savings",
    Head.WRITE_OFF: "Loans written off",
    Head.OTHER_EXPENSE: "Other expenses",
}


class Item(StrEnum):
    """What a meeting's screens enter, each with one pair of heads."""

    COMPULSORY_SAVING = "COMPULSORY_SAVING"
    VOLUNTARY_SAVING = "VOLUNTARY_SAVING"
    PRINCIPAL_REPAID = "PRINCIPAL_REPAID"
    INTEREST_RECEIVED = "INTEREST_RECEIVED"
    FINE = "FINE"
    LOAN_GIVEN = "LOAN_GIVEN"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


# Debit, credit. Receipts and payments are in cash.
HEADS_OF: dict[Item, tuple[Head, Head]] = {
    Item.COMPULSORY_SAVING: (Head.CASH, Head.COMPULSORY_SAVINGS),
    Item.VOLUNTARY_SAVING: (Head.CASH, Head.VOLUNTARY_SAVINGS),
    Item.PRINCIPAL_REPAID: (Head.CASH, Head.MEMBER_LOANS),
    Item.INTEREST_RECEIVED: (Head.CASH, Head.LOAN_INTEREST),
    Item.FINE: (Head.CASH, Head.FINES),
    Item.LOAN_GIVEN: (Head.MEMBER_LOANS, Head.CASH),
    Item.DEPOSIT: (Head.BANK, Head.CASH),
    Item.WITHDRAWAL: (Head.CASH, Head.BANK),
}
