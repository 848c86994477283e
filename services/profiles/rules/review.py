"""What a checker may do with what waits: let it in, every finding decided and none CONFIRMED (decisions 2, 3), or hand it back."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.kernel.caller import Caller, Role
from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.profiles.rules.form import Section, one_line
from services.profiles.rules.institution import check_remark
from services.profiles.rules.lists import Lists

REASON_LENGTH_MAX = 500


class Verdict(StrEnum):
    CLEAR = "CLEAR"
    POTENTIAL = "POTENTIAL"
    CONFIRMED = "CONFIRMED"


class Override(StrEnum):
    """Who may say of a finding that it is no duplicate (decision 2)."""

    OFFICER = "OFFICER"
    SUPERVISOR = "SUPERVISOR"
    NOBODY = "NOBODY"


SUPERVISORS = frozenset({Role.STATE_PROGRAM_MANAGER, Role.DISTRICT_PROGRAM_MANAGER})


class Decision(StrEnum):
    NOT_A_DUPLICATE = "NOT_A_DUPLICATE"
    DUPLICATE_REJECT = "DUPLICATE_REJECT"
    DUPLICATE_TRANSFER = "DUPLICATE_TRANSFER"
    FIELD_VERIFICATION = "FIELD_VERIFICATION"


DUPLICATE = "DUPLICATE"  # Of the list REJECTION_REASON, on which it stands first [E1].


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


def _confirmed() -> Conflict:
    return Conflict("FINDING_CONFIRMED", "A confirmed duplicate cannot be overruled: reject it, or have the two made one.", field="decisions")


def unknown_finding(field: str) -> Invalid:
    return Invalid("FINDING_UNKNOWN", "That finding is not of this screening; look at the record again.", field=field)


def check_decisions(findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> list[Decided]:
    """The decisions with their reasons trimmed; each on a finding of this screening, and one a finding."""
    checked: dict[str, Decided] = {}
    for decided in decisions:
        if decided.finding_id not in findings:
            raise unknown_finding("decisions")
        if decided.finding_id in checked:
            raise Invalid("FINDING_TWICE", "A finding has one decision.", field="decisions")
        reason = one_line(decided.reason)
        if len(reason) > REASON_LENGTH_MAX:
            raise Invalid("REASON_TOO_LONG", "A reason has at most {most} characters.", field="decisions", most=REASON_LENGTH_MAX)
        if decided.decision == Decision.NOT_A_DUPLICATE:
            if findings[decided.finding_id] == Verdict.CONFIRMED:
                raise _confirmed()
            if not reason:
                raise Invalid("REASON_MISSING", "Say why the two are not the same.", field="decisions")
        checked[decided.finding_id] = Decided(decided.finding_id, decided.decision, reason)
    return list(checked.values())


def stands(override: Override, decided: Decided, role: str) -> bool:
    """Whether what was decided before counts: a clearing does not, of a finding that has come to be above her who gave it."""
    if decided.decision is not Decision.NOT_A_DUPLICATE or override is Override.OFFICER:
        return True
    return override is Override.SUPERVISOR and role in SUPERVISORS


def within_tier(caller: Caller, overrides: Mapping[str, Override], standing: Mapping[str, Decided], decisions: Iterable[Decided]) -> list[Decided]:
    """What the caller herself decides: a supervisor's clearing is not hers to give, but she may say again that it was given."""
    hers = []
    for one in decisions:
        before = standing.get(one.finding_id)
        supervised = overrides.get(one.finding_id) is Override.SUPERVISOR and one.decision is Decision.NOT_A_DUPLICATE
        if not supervised or caller.role in SUPERVISORS:
            hers.append(one)
        elif before is None or before.decision is not Decision.NOT_A_DUPLICATE:
            raise Conflict(
                "FINDING_NEEDS_SUPERVISOR",
                "This says so much that a District or State Program Manager alone may clear it; refer it, and it is in her tasks.",
                field="decisions",
            )
    return hers


def together(standing: Mapping[str, Decided], hers: Sequence[Decided]) -> list[Decided]:
    """What stands, and what she decides now instead or besides."""
    anew = {one.finding_id for one in hers}
    return [*(one for one in standing.values() if one.finding_id not in anew), *hers]


def for_supervisor(overrides: Mapping[str, Override], standing: Mapping[str, Decided]) -> bool:
    """Whether a finding waits for a supervisor: nobody has decided yet, or somebody referred it."""
    decided = {one.finding_id for one in standing.values() if one.decision is not Decision.FIELD_VERIFICATION}
    return any(override is Override.SUPERVISOR and finding not in decided for finding, override in overrides.items())


def check_approval(*, screened: bool, findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> list[Decided]:
    """Refuse unless the screening is of this revision and each of its findings is decided as no duplicate."""
    if not screened:
        raise Conflict("NOT_SCREENED", "The duplicate check has not spoken of this revision yet; wait for it.")
    if Verdict.CONFIRMED in findings.values():
        raise _confirmed()
    checked = check_decisions(findings, decisions)
    of = {decided.finding_id: decided.decision for decided in checked}
    for finding in findings:
        decision = of.get(finding, Decision.FIELD_VERIFICATION)
        if decision == Decision.FIELD_VERIFICATION:
            raise Conflict("FINDING_UNDECIDED", "Each finding needs a decision before the record can be approved.", field="decisions")
        if decision != Decision.NOT_A_DUPLICATE:
            raise Conflict("FINDING_DUPLICATE", "What is decided to be a duplicate is rejected, not approved.", field="decisions")
    return checked


@dataclass(frozen=True, slots=True)
class SectionReview:
    """What the checker says of one section of a profile."""

    section: Section
    accepted: bool
    reasons: Sequence[str] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class HandedBack:
    """Why a record goes back to its maker: the reasons in the list's order, and what was said of each section, as it is kept."""

    reasons: list[str]
    remark: str
    reviews: dict[str, dict[str, Content]]


def hand_back(reasons: Iterable[str], remark: str, sections: Sequence[SectionReview], lists: Lists, today: date) -> HandedBack:
    """Check why it goes back: there is a reason, for the whole or for a section; what is not spoken of is left open."""
    reviews: dict[str, dict[str, Content]] = {}
    every = set(reasons)
    for place, one in enumerate(sections):
        if one.section.value in reviews:
            raise Invalid("SECTION_TWICE", "A section is accepted or handed back once.", field=f"sections[{place}]")
        if one.accepted:
            reviews[one.section.value] = {"accepted": True}
            continue
        why = _reasons(one.reasons, lists, today, f"sections[{place}].reasons")
        reviews[one.section.value] = {"accepted": False, "reasons": why, "remark": check_remark(one.remark, needed=False)}
        every.update(why)
    return HandedBack(_reasons(every, lists, today, "reasons"), check_remark(remark), reviews)


def _reasons(given: Iterable[str], lists: Lists, today: date, field: str) -> list[str]:
    """In the order of the list, each once."""
    known = list(lists.values["REJECTION_REASON"])
    found = {lists.must_know("REJECTION_REASON", reason, field, today) for reason in given}
    if not found:
        raise Invalid("REASON_MISSING", "Say why it is handed back.", field=field)
    return sorted(found, key=known.index)


def unchanged(reviews: Mapping[str, Mapping[str, Content]], changed: Collection[Section]) -> set[Section]:
    """The sections that were accepted before and have not changed since."""
    return {Section(name) for name, one in reviews.items() if one.get("accepted")} - set(changed)


def record_that_stays(decisions: Iterable[Decided]) -> str:
    """The finding that names the record by which she goes on, where it is decided that she does; empty where not."""
    found = [one.finding_id for one in decisions if one.decision is Decision.DUPLICATE_TRANSFER]
    if len(found) > 1:
        raise Invalid("TRANSFER_ONE", "She goes on by one record: decide the others to be duplicates of another kind.", field="decisions")
    return found[0] if found else ""


def check_duplicate_reason(reasons: Sequence[str], findings: Mapping[str, Verdict], decisions: Sequence[Decided]) -> None:
    """DUPLICATE rests on a finding: a confirmed one, or one that the checker decides to be a duplicate."""
    if DUPLICATE not in reasons or Verdict.CONFIRMED in findings.values():
        return
    if not any(decided.decision in {Decision.DUPLICATE_REJECT, Decision.DUPLICATE_TRANSFER} for decided in decisions):
        raise Invalid("REASON_UNFOUNDED", "DUPLICATE needs the finding that it rests on, decided as a duplicate.", field="decisions")
