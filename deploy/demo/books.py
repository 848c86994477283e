"""What a bookkeeper's device does with profiles and meetings: complete, hand in, wait for the duplicate check, add up, send."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from deploy.demo.answers import complete_institution, complete_member
from deploy.demo.client import Client, RefusedError
from deploy.demo.ledger import Ledger
from protos import profiles_pb2, transactions_pb2
from services.kernel.ids import uuid7

SETTLE_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.2


def wait_until(what: str, holds: Callable[[], Any], seconds: float = SETTLE_SECONDS_MAX) -> Any:  # noqa: ANN401 - whatever `holds` gives
    """Wait until something holds, and give it back; RuntimeError with `what` where it does not in time."""
    until = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > until:
            raise RuntimeError(f"waited {seconds:.0f} s for this in vain: {what}")
        time.sleep(LOOK_AGAIN_SECONDS)
    return found


# --- Profiles.


def _next(record: Any, changes: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a Member or an Institution
    """Its next revision: what was handed in last, else what is live, with what the bookkeeper changed."""
    held = record.waiting if record.HasField("waiting") else record
    document = type(record)()
    document.CopyFrom(held)
    for name, value in changes.items():
        setattr(document, name, value)
    document.revision = held.revision + 1
    return document


def submit(keeper: Client, member: Any, attestation: str = "", **changes: Any) -> Any:  # noqa: ANN401 - a Member
    """Hand a member in as her next revision, completed and with what the bookkeeper changed."""
    document = _next(member, changes)
    complete_member(document)
    return keeper(keeper.profiles.SubmitMember, profiles_pb2.SubmitMemberRequest(member=document, attestation=attestation), retry_seconds=30)


def screened(officer: Client, member_id: str, revision: int) -> Any:  # noqa: ANN401 - a Member
    """The member once the duplicate check of this very revision has come in."""

    def look() -> Any:  # noqa: ANN401 - a Member
        member = officer(officer.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=member_id), retry_seconds=30)
        return member if waiting_revision(member) == revision and member.verdict else None

    return wait_until(f"the duplicate check of member {member_id}", look)


def waiting_revision(record: Any) -> int:  # noqa: ANN401 - a Member or an Institution
    """Of what was handed in last."""
    return int(record.waiting.revision if record.HasField("waiting") else record.revision)


def approve(officer: Client, member: Any, reason: str = "", supervisor: Client | None = None) -> Any:  # noqa: ANN401 - a Member
    """Approve what waits of a member; a reason clears every finding that may be cleared, a supervisor's those that are hers to clear."""
    decisions = _cleared(member, reason)
    key = {"member_id": member.member_id, "revision": waiting_revision(member)}
    if supervisor and decisions and any(finding.override == profiles_pb2.OVERRIDE_SUPERVISOR for finding in member.findings):
        cleared = profiles_pb2.DecideFindingsRequest(**key, decisions=decisions)
        supervisor(supervisor.profiles.DecideFindings, cleared, retry_seconds=30)
    request = profiles_pb2.ApproveMemberRequest(**key, decisions=decisions)
    return officer(officer.profiles.ApproveMember, request, retry_seconds=30)


def submit_institution(keeper: Client, institution: Any, bearers: Mapping[str, str], **changes: Any) -> Any:  # noqa: ANN401 - an Institution
    """Hand an institution in as its next revision, completed and with what the bookkeeper changed."""
    document = _next(institution, changes)
    complete_institution(document, bearers)
    return keeper(keeper.profiles.SubmitInstitution, profiles_pb2.SubmitInstitutionRequest(institution=document), retry_seconds=30)


def screened_institution(officer: Client, institution: Any) -> Any:  # noqa: ANN401 - Institutions
    """The institution once the duplicate check of this very revision has come in."""
    request, revision = profiles_pb2.GetInstitutionRequest(institution_id=institution.institution_id), waiting_revision(institution)

    def look() -> Any:  # noqa: ANN401 - an Institution
        found = officer(officer.profiles.GetInstitution, request, retry_seconds=30)
        return found if waiting_revision(found) == revision and found.verdict else None

    return wait_until(f"the duplicate check of institution {institution.institution_id}", look)


def approve_institution(officer: Client, institution: Any, reason: str = "") -> Any:  # noqa: ANN401 - Institutions
    """Approve what waits of an institution once it is screened; a reason clears every finding that may be cleared."""
    found = screened_institution(officer, institution)
    request = profiles_pb2.ApproveInstitutionRequest(
        institution_id=found.institution_id, revision=waiting_revision(found), decisions=_cleared(found, reason)
    )
    return officer(officer.profiles.ApproveInstitution, request, retry_seconds=30)


def _cleared(record: Any, reason: str) -> list[Any]:  # noqa: ANN401 - a Member or an Institution; FindingDecisions
    cleared = profiles_pb2.DECISION_NOT_A_DUPLICATE
    return [profiles_pb2.FindingDecision(finding_id=one.finding_id, decision=cleared, reason=reason) for one in record.findings if reason]


# --- Meetings.


def position(keeper: Client, institution_id: str) -> Any:  # noqa: ANN401 - a Position
    """Where the books stand, provisional meetings included."""
    return keeper(keeper.transactions.Pull, transactions_pb2.PullRequest(institution_id=institution_id), retry_seconds=30)


def ledger(keeper: Client, institution_id: str) -> Ledger:
    """The group's books as her device keeps them, with nothing unsent in them."""
    chart = keeper(keeper.transactions.GetChart, transactions_pb2.GetChartRequest(), retry_seconds=30)
    kept = Ledger(institution_id, chart)
    kept.know(position(keeper, institution_id))
    return kept


def savings_meeting(kept: Ledger, held_on: date, member_ids: Iterable[str], savings_paise: int) -> Any:  # noqa: ANN401 - a MeetingSheet
    """The next meeting, closed: every member is present and saves the same. The ledger stands after it."""
    members = list(member_ids)
    sheet = kept.begin(
        str(uuid7()),
        held_on.isoformat(),
        attendance=[transactions_pb2.Attendance(member_id=member, present=True) for member in members],
        savings=[transactions_pb2.Saving(member_id=member, compulsory_paise=savings_paise) for member in members],
    )
    return kept.close(sheet)


def sync(keeper: Client, meetings: Sequence[Any], retry_seconds: float = 60.0) -> list[Any]:
    """Send closed meetings until the books answer for each; WAITING ones are sent again, as a device does."""
    until = time.monotonic() + retry_seconds
    while True:
        request = transactions_pb2.SyncMeetingsRequest(meetings=meetings)
        answers = list(keeper(keeper.transactions.SyncMeetings, request, retry_seconds=retry_seconds).answers)
        if all(answer.outcome != transactions_pb2.OUTCOME_WAITING for answer in answers) or time.monotonic() > until:
            return answers
        time.sleep(LOOK_AGAIN_SECONDS)


def approve_meeting(officer: Client, meeting_id: str, revision: int = 1) -> Any:  # noqa: ANN401 - a Meeting
    request = transactions_pb2.ApproveMeetingRequest(meeting_id=meeting_id, revision=revision)
    return officer(officer.transactions.ApproveMeeting, request, retry_seconds=60)


def refusal_of(call: Callable[[], Any]) -> RefusedError:
    """What a call that must be refused is refused with."""
    try:
        answer = call()
    except RefusedError as error:
        return error
    raise RuntimeError(f"this should have been refused, and was answered with {type(answer).__name__}")
