"""What a checker may do with a member: every finding of a current screening decided, none of them CONFIRMED (decisions 2, 3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.profiles.rules.institution import one_line

REASON_LENGTH_MAX = 500
_CONFIRMED = "A confirmed duplicate cannot be overruled: reject her, or have her transferred."


class Verdict(StrEnum):
    CLEAR = "CLEAR"
    POTENTIAL = "POTENTIAL"
    CONFIRMED = "CONFIRMED"


class Decision(StrEnum):
    NOT_A_DUPLICATE = "NOT_A_DUPLICATE"
    DUPLICATE_REJECT = "DUPLICATE_REJECT"
    DUPLICATE_TRANSFER = "DUPLICATE_TRANSFER"
    FIELD_VERIFICATION = "FIELD_VERIFICATION"


class Reason(StrEnum):
    """Why a member is handed back; the first is the first on the screen too [E1]."""

    DUPLICATE = "DUPLICATE"
    NAME_WRONG = "NAME_WRONG"
    PHOTO_MISSING = "PHOTO_MISSING"
    DOCUMENT_WRONG = "DOCUMENT_WRONG"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Decided:
    """The checker's word on one finding."""

    finding_id: str
    decision: Decision
    reason: str


def must_not_be_maker(caller: Caller, maker_user: str, maker_person: str) -> None:
    """Nobody approves her own entry, whichever of her user ids she uses (decision 10)."""
    caller.must_not_be(maker_person)
    if caller.user_id == maker_user:
        raise Forbidden("OWN_ENTRY", "Nobody approves her own entry: another officer must.")


def check_decisions(findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> list[Decided]:
    """The decisions with their reasons trimmed; each on a finding of this screening, and one a finding."""
    checked: dict[str, Decided] = {}
    for decided in decisions:
        if decided.finding_id not in findings:
            raise Invalid("FINDING_UNKNOWN", "That finding is not of this screening; look at the member again.", field="decisions")
        if decided.finding_id in checked:
            raise Invalid("FINDING_TWICE", "A finding has one decision.", field="decisions")
        reason = one_line(decided.reason)
        if len(reason) > REASON_LENGTH_MAX:
            raise Invalid("REASON_TOO_LONG", "A reason has at most {most} characters.", field="decisions", most=REASON_LENGTH_MAX)
        if decided.decision == Decision.NOT_A_DUPLICATE:
            if findings[decided.finding_id] == Verdict.CONFIRMED:
                raise Conflict(
                    "FINDING_CONFIRMED", "A confirmed duplicate cannot be overruled: reject her, or have her transferred.", field="decisions"
                )
            if not reason:
                raise Invalid("REASON_MISSING", "Say why she is not the same woman.", field="decisions")
        checked[decided.finding_id] = Decided(decided.finding_id, decided.decision, reason)
    return list(checked.values())


def check_approval(*, screened: bool, findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> list[Decided]:
    """Refuse unless the screening is of this revision and each of its findings is decided as no duplicate."""
    if not screened:
        raise Conflict("NOT_SCREENED", "The duplicate check has not spoken of this revision yet; wait for it.")
    if Verdict.CONFIRMED in findings.values():
        raise Conflict("FINDING_CONFIRMED", _CONFIRMED, field="decisions")
    checked = check_decisions(findings, decisions)
    of = {decided.finding_id: decided.decision for decided in checked}
    for finding in findings:
        decision = of.get(finding, Decision.FIELD_VERIFICATION)
        if decision == Decision.FIELD_VERIFICATION:
            raise Conflict("FINDING_UNDECIDED", "Each finding needs a decision before she can be approved.", field="decisions")
        if decision != Decision.NOT_A_DUPLICATE:
            raise Conflict("FINDING_DUPLICATE", "Who is decided to be a duplicate is rejected, not approved.", field="decisions")
    return checked


def check_reasons(reasons: Iterable[str]) -> list[Reason]:
    """The reasons of a rejection in the order of the list, each once."""
    try:
        given = {Reason(reason) for reason in reasons}
    except ValueError:
        raise Invalid("REASON_UNKNOWN", "A reason is one of: {known}.", field="reasons", known=", ".join(Reason)) from None
    if not given:
        raise Invalid("REASON_MISSING", "Say why she is handed back.", field="reasons")
    return [reason for reason in Reason if reason in given]


def check_duplicate_reason(reasons: Sequence[Reason], findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> None:
    """DUPLICATE rests on a finding: a confirmed one, or one that the checker decides to be a duplicate."""
    if Reason.DUPLICATE not in reasons or Verdict.CONFIRMED in findings.values():
        return
    if not any(decided.decision in {Decision.DUPLICATE_REJECT, Decision.DUPLICATE_TRANSFER} for decided in decisions):
        raise Invalid("REASON_UNFOUNDED", "DUPLICATE needs the finding that it rests on, decided as a duplicate.", field="decisions")
