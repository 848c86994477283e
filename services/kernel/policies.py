"""What a state may set by itself, each with its unit, its bounds and the value that holds where a state says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy that there is. The unit stands in its name; source: domain 4.2 and 7.2, CP where a state gives none."""

    about: str
    least: int
    most: int
    default: int


RULES = MappingProxyType(
    {
        "loan_rate_basis_points_max": Rule("The highest yearly interest that a group may ask of a member", 0, 6000, 6000),
        "session_hours": Rule("How long an online session lasts; then the user logs in anew (domain 7.2)", 1, 24, 24),
        "keep_logged_in_days": Rule("How long officers on the web are kept logged in who ask for it; 0 for nobody longer than others", 0, 30, 7),
        "otp_every_days": Rule("After how many days a login on the user's own device asks for a one-time password again; 0 at every login", 0, 35, 1),
        "bookkeeper_ids_apart": Rule("Whether the bookkeeper of SHGs and of a VO has a user id for each: 1 yes, 0 no (domain 7.1)", 0, 1, 1),
        "bookkeeper_shgs_max": Rule("How many SHGs a bookkeeper keeps without a warning (domain 7.1)", 1, 200, 20),
        "bookkeeper_vos_max": Rule("How many VOs a bookkeeper keeps without a warning (domain 7.1)", 1, 200, 1),
        "meeting_entry_days_max": Rule("Within how many days after it was held a meeting is entered (domain 11: back-dating)", 1, 3650, 365),
        "year_closes_after_days": Rule("How many days after 31 March the books of a year are closed (decision 12)", 0, 3650, 183),
        "shg_approver_side": Rule(
            "Whose approver decides on the meetings of an SHG: 0 the VO's or the CLF's, 1 the VO's, 2 the CLF's (domain 7.4)", 0, 2, 0
        ),
        "repayment_order": Rule(
            "To what a repayment goes first: 0 interest before principal, 1 what is overdue before what falls due now,"
            " 2 principal before interest (domain 4.2)",
            0,
            2,
            0,
        ),
        "loan_alerts": Rule("Whether a member is told by SMS of a loan given in her name: 1 yes, 0 no (domain 11: fake loans)", 0, 1, 1),
        "settlement_shares_surplus": Rule(
            "Whether a member who leaves has an equal part in her group's surplus or deficit: 1 yes, 0 no (domain 4.7)", 0, 1, 1
        ),
        "loan_months_max": Rule("The longest time in which a member repays a loan", 1, 120, 120),
        "leaving_needs_settlement": Rule(
            "Whether a member leaves, dies or moves in her record only once the books have settled her: 1 yes, 0 no (R-MEM-3)", 0, 1, 0
        ),
        # How long what identity keeps of members is kept: what the law asks for at least is the lowest that a state may set.
        "number_kept_days": Rule(
            "For how many days a member's Aadhaar number is kept after she left or her consent ran out (DPDP Act s.8(7))", 0, 1827, 365
        ),
        "ekyc_log_days": Rule("For how many days it is kept who asked for which e-KYC: 2 and 5 years (Aadhaar Regulations 2021)", 2557, 3653, 2557),
        "consent_kept_days": Rule("For how many days the record of a consent is kept after its end (DPDP Rules 2025: 7 years)", 2557, 3653, 2557),
        "message_log_days": Rule("For how many days it is kept that a member was sent a message (DPDP Rules 2025 r.8(3))", 365, 3653, 365),
        "evidence_reuse": Rule("Whether a signed Aadhaar paper that verified one member may verify another: 1 yes, 0 no (PROPOSED)", 0, 1, 0),
        "secure_qr_days_max": Rule("How many days old an Aadhaar QR may be; 0: of any age, as printed cards are (PROPOSED)", 0, 36500, 0),
        "offline_ekyc_days_max": Rule("How many days old a file of Paperless Offline e-KYC may be; 0: of any age (PROPOSED)", 0, 36500, 90),
        # Below -10 bits a pair is 1,000 times less likely than not; above 60 two records agree in all that there is to compare.
        "duplicate_shown_centibits": Rule(
            "From how many hundredths of a bit of evidence on officers are shown two records; 0 is as likely one woman's as not",
            -1000,
            6000,
            0,
        ),
        "duplicate_decided_centibits": Rule("From how many on an officer must decide on the two before she approves", -1000, 6000, 400),
        "duplicate_supervisor_centibits": Rule("From how many on a supervisor alone may say that they are two women", -1000, 6000, 800),
    }
)


@dataclass(frozen=True, slots=True)
class Period:
    """A value that holds from one date to another, both included; without an end it holds on."""

    value: int
    first: date
    last: date | None = None

    def holds(self, on: date) -> bool:
        return self.first <= on and (self.last is None or on <= self.last)


@dataclass(frozen=True, slots=True)
class Policies:
    """What one state has set. A day that no period covers has the default."""

    periods: Mapping[str, tuple[Period, ...]] = field(default_factory=dict)

    def value(self, name: str, on: date) -> int:
        """The value of a policy on a date: a meeting's rules are those of the day on which it was held."""
        set_here = (period.value for period in self.periods.get(name, ()) if period.holds(on))
        return next(set_here, RULES[name].default)
