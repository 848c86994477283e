"""Members submitted, screened, approved, rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, delete, func, update
from sqlalchemy.dialects import postgresql

from protos import dedup_pb2
from services.chassis import audit
from services.kernel.approval import Status, Step, move
from services.kernel.caller import Caller
from services.kernel.canonical import content_hash
from services.kernel.errors import Conflict, Invalid
from services.profiles import queries
from services.profiles.commands.events import member_changed, member_decided, member_submitted, tell_all
from services.profiles.commands.institution import issue_code
from services.profiles.queries import AnyRow
from services.profiles.rules import member as rules
from services.profiles.rules import review
from services.profiles.rules.institution import Kind, check_remark
from services.profiles.rules.revision import Held, is_repeat, must_be_current, must_stay
from services.profiles.tables import findings, members


@dataclass(frozen=True, slots=True)
class Evidence:
    """What identity attests of a member: a token that stands for her number, and what her document says."""

    identity_token: str
    birth_year: int = 0
    gender: str = ""


def columns(member: rules.Member) -> dict[str, Any]:
    """What the maker says, as the table keeps it."""
    return {field.name: getattr(member, field.name) for field in fields(member)} | {"content_hash": content_hash(member.content())}


def content_of(row: AnyRow) -> rules.Member:
    return rules.Member(**{field.name: getattr(row, field.name) for field in fields(rules.Member)})


def submit(
    connection: Connection,
    caller: Caller,
    member_id: UUID,
    revision: int,
    said: dict[str, str],
    evidence: Evidence | Invalid | None,
    today: date,
) -> AnyRow:
    """Hand a member to the checker and to the duplicate check; the row as it then stands. `said` are her fields as texts.

    `evidence` may be a refusal, of an attestation that has grown too old: it does not matter to a submission that is
    stored already, and refuses every other.
    """
    institution = queries.institution_held(connection, rules.institution_id(said))
    if institution is None:
        raise queries.unknown_institution()
    caller.must_see(institution.id, institution.region)
    if institution.kind != Kind.SHG:
        raise Invalid("INSTITUTION_KIND", "Members belong to an SHG.", field="institution_id")
    member = rules.parse(said, institution.id, institution.formed_on, today)
    row = queries.member_for_update(connection, member_id)
    if row:
        caller.must_see(row.institution_id, row.region)
    held = Held(Status(row.status), row.revision, content_of(row).content()) if row else None
    if is_repeat(held, revision, member.content()):
        assert row is not None
        if isinstance(evidence, Evidence):
            _must_be_same_evidence(row, evidence)
        return row
    if isinstance(evidence, Invalid):
        raise evidence
    if held:
        must_stay(held.content, member.content(), "institution_id")
    # Without a new attestation what was verified of her before stays verified.
    values = (
        columns(member)
        | _evidence(member, evidence or _held_evidence(row))
        | {
            "region": institution.region,
            "revision": revision,
            "status": Status.SUBMITTED.value,
            "reasons": [],
            "remark": "",
            "verdict": None,  # A screening of an earlier revision does not count.
            "maker_user": caller.user_id,
            "maker_person": caller.person,
        }
    )
    changed = _store(connection, member_id, values, row, today)
    if changed is None:  # Another call with the same id was quicker; what it stored is now to be compared with.
        return submit(connection, caller, member_id, revision, said, evidence, today)
    audit.changed(connection, caller, "member.submit", member_id, revision=revision, verified=changed.identity_token is not None)
    tell_all(connection, [member_submitted(changed), member_changed(changed)])
    return changed


def _held_evidence(row: AnyRow | None) -> Evidence | None:
    return Evidence(row.identity_token, row.attested_birth_year, row.attested_gender) if row and row.identity_token else None


def _evidence(member: rules.Member, evidence: Evidence | None) -> dict[str, object]:
    """What is kept of it; a revision that tells of another woman than the evidence does is noted for the checker."""
    if evidence is None:
        return {}
    return {
        "identity_token": evidence.identity_token,
        "attested_birth_year": evidence.birth_year,
        "attested_gender": evidence.gender,
        "identity_notes": rules.identity_notes(member, evidence.birth_year, evidence.gender),
    }


def _must_be_same_evidence(row: AnyRow, evidence: Evidence) -> None:
    if evidence.identity_token != row.identity_token:
        raise Conflict("REVISION_CONTENT", "Revision {revision} was sent before with another {field}.", field="attestation", revision=row.revision)


def _store(connection: Connection, member_id: UUID, values: dict[str, object], held: AnyRow | None, today: date) -> AnyRow | None:
    """Insert or update her; None where she was to be new and is not any more."""
    if held is None:
        made = postgresql.insert(members).values(id=member_id, version=1, submitted_version=1, entered_on=today, **values)
        return connection.execute(made.on_conflict_do_nothing(index_elements=["id"]).returning(members)).one_or_none()
    version = held.version + 1
    changed = update(members).where(members.c.id == member_id).values(version=version, submitted_version=version, **values)
    return connection.execute(changed.returning(members)).one()


def note_screening(connection: Connection, version: int, screened: dedup_pb2.MemberScreened) -> None:
    """Keep what the duplicate check says, if it speaks of her as she now is and is news."""
    row = queries.member_for_update(connection, UUID(screened.member_id))
    if row is None:
        raise LookupError("a screening of a member whom nobody submitted")
    if screened.revision != row.revision or version <= row.screening_version:
        return
    _store_findings(connection, row, screened.matches)
    verdict = review.Verdict(dedup_pb2.Verdict.Name(screened.verdict).removeprefix("VERDICT_"))
    news = verdict != row.verdict
    changed = connection.execute(
        update(members)
        .where(members.c.id == row.id)
        .values(verdict=verdict.value, screening_version=version, version=row.version + news)
        .returning(members)
    ).one()
    if news:
        tell_all(connection, [member_changed(changed)])


def _store_findings(connection: Connection, row: AnyRow, matches: Sequence[dedup_pb2.Match]) -> None:
    """The findings of this screening replace those of the one before; what was decided on one stays."""
    of_her = and_(findings.c.member_id == row.id, findings.c.member_revision == row.revision)
    gone = findings.c.finding_id.not_in([match.finding_id for match in matches])
    connection.execute(delete(findings).where(of_her, findings.c.decision.is_(None), gone))
    if not matches:
        return
    made = postgresql.insert(findings).values(
        [
            {
                "member_id": row.id,
                "member_revision": row.revision,
                "finding_id": match.finding_id,
                "verdict": dedup_pb2.Verdict.Name(match.verdict).removeprefix("VERDICT_"),
                "other_member_id": UUID(match.other_member_id),
                "clues": [clue.words for clue in match.clues],
                "weight_centibits": match.weight_centibits,
            }
            for match in matches
        ]
    )
    newer = {name: made.excluded[name] for name in ("verdict", "other_member_id", "clues", "weight_centibits")}
    connection.execute(made.on_conflict_do_update(index_elements=["member_id", "member_revision", "finding_id"], set_=newer))


def approve(connection: Connection, caller: Caller, member_id: UUID, revision: int, decisions: Sequence[review.Decided], today: date) -> AnyRow:
    """Activate a member and issue her code; again is the same answer."""
    row = queries.member(connection, caller, member_id, for_update=True)  # Locked: of two checkers at once the second sees what the first decided.
    review.must_not_be_maker(caller, row.maker_user, row.maker_person)
    must_be_current(row.revision, revision)
    if row.status == Status.ACTIVE:
        return row
    status = move(Status(row.status), Step.APPROVE)
    checked = review.check_approval(screened=row.verdict is not None, findings=_verdicts(connection, row), decisions=decisions)
    code = issue_code(connection, "MEMBER")
    return _decide(connection, caller, "member.approve", row, checked, status=status.value, code=code, reasons=[], remark="", activated_on=today)


def reject(
    connection: Connection,
    caller: Caller,
    member_id: UUID,
    revision: int,
    reasons: Sequence[str],
    remark: str,
    decisions: Sequence[review.Decided],
) -> AnyRow:
    """Hand a member back to her maker; again with the same words is the same answer."""
    checked_reasons = review.check_reasons(reasons)
    words = [reason.value for reason in checked_reasons]
    remark = check_remark(remark)
    row = queries.member(connection, caller, member_id, for_update=True)
    must_be_current(row.revision, revision)
    if row.status == Status.REJECTED and (row.reasons, row.remark) == (words, remark):
        return row
    status = move(Status(row.status), Step.REJECT)
    verdicts = _verdicts(connection, row)
    checked = review.check_decisions(verdicts, decisions)
    review.check_duplicate_reason(checked_reasons, verdicts, checked)
    return _decide(
        connection, caller, "member.reject", row, checked, status=status.value, reasons=[reason.value for reason in checked_reasons], remark=remark
    )


def _verdicts(connection: Connection, row: AnyRow) -> dict[str, review.Verdict]:
    return {finding.finding_id: review.Verdict(finding.verdict) for finding in queries.findings_of(connection, [row])[row.id]}


def _decide(connection: Connection, caller: Caller, action: str, row: AnyRow, decisions: Sequence[review.Decided], **values: object) -> AnyRow:
    if decisions:
        one = (
            update(findings)
            .where(findings.c.member_id == row.id, findings.c.member_revision == row.revision, findings.c.finding_id == bindparam("finding"))
            .values(decision=bindparam("decided"), reason=bindparam("why"), decided_by=caller.user_id, decided_at=func.now())
        )
        connection.execute(one, [{"finding": d.finding_id, "decided": d.decision.value, "why": d.reason} for d in decisions])
    changed = connection.execute(update(members).where(members.c.id == row.id).values(version=row.version + 1, **values).returning(members)).one()
    said = {decided.finding_id: decided.decision.value for decided in decisions}
    audit.changed(connection, caller, action, row.id, revision=row.revision, reasons=changed.reasons, decisions=said)
    tell_all(connection, [member_changed(changed), member_decided(changed, decisions)])
    return changed
