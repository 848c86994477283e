"""Members handed in, screened, and let in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, and_, delete, update
from sqlalchemy.dialects import postgresql

from protos import dedup_pb2
from services.chassis import audit
from services.kernel.approval import OVER, Act, Status, outcome
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Refused
from services.kernel.month import today as this_day
from services.profiles import queries
from services.profiles.commands import evidence as verified
from services.profiles.commands import finding, record
from services.profiles.commands.account import ask_for_checks, has_doubtful_account
from services.profiles.commands.consent import PHOTO
from services.profiles.commands.cutover import must_be_cut_over
from services.profiles.commands.events import member_changed, member_decided, member_submitted, tell_all
from services.profiles.commands.image import name_images
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules import member as rules
from services.profiles.rules import review
from services.profiles.rules.account import Branches, must_be_known
from services.profiles.rules.evidence import ONLINE, Evidence, Verified
from services.profiles.rules.form import Facts, Held, day_of, live, rows_of, word
from services.profiles.rules.institution import Kind
from services.profiles.rules.revision import is_repeat, is_withdrawn, must_stay
from services.profiles.tables import findings, members, submissions


@dataclass(frozen=True, slots=True)
class Weighed:
    """The decisions on a member's findings, those of them that are new, and the record of hers that stays, where one does."""

    decisions: Sequence[review.Decided]
    news: Sequence[review.Decided]
    stays: UUID | None


def shg_of(shg: Subject) -> rules.InstitutionFacts:
    return institution_facts(shg.row.id, shg.content)


def institution_facts(institution_id: UUID, content: Held) -> rules.InstitutionFacts:
    """What a member's form needs to know of her SHG."""
    formed_on = date.fromisoformat(word(content, "formed_on"))
    return rules.InstitutionFacts(institution_id, formed_on, word(content, "type"), Kind(word(content, "kind")), day_of(content, "revived_on"))


def submit(  # noqa: PLR0913 - a submission is that much
    connection: Connection,
    caller: Caller,
    member_id: UUID,
    revision: int,
    said: Mapping[str, Any],
    evidence: Evidence | Refused | None,
    today: date,
    *,
    branches: Branches | None = None,
    source: str = "FORM",
) -> Subject:
    """Hand a member in, or a change of her, to the checker and to the duplicate check; as she then stands.

    `evidence` may be a refusal, of an attestation that has grown too old: it does not matter to a submission that is
    stored already, and refuses every other. `branches` is the list of all IFSC, None where there is none.
    """
    shg = queries.institution_held(connection, rules.institution_id(said))
    if shg is None:
        raise queries.unknown_institution()
    caller.must_see(shg.row.id, shg.row.region)

    withdrawn = _withdrawn(connection, member_id, said, evidence)
    evidence = _standing(evidence, withdrawn)
    before = queries.member_for_update(connection, member_id)
    if before:
        caller.must_see(before.row.institution_id, before.row.region)
    facts = Facts(today, lists(connection))
    content = rules.read(said, shg_of(shg), facts, before.row.content if before else None)
    moved = (*_moved(connection, before, shg.row.id), *(("photo",) if PHOTO in withdrawn else ()))
    if is_repeat(before.held if before else None, revision, Act.PROFILE, content, moved):
        assert before is not None
        if isinstance(evidence, Evidence):
            _must_be_same_evidence(before, evidence)
        return before
    if isinstance(evidence, Refused):
        raise evidence
    _must_be_allowed(connection, content, withdrawn)
    if shg.row.status in OVER:
        raise Conflict("INSTITUTION_INACTIVE", "This SHG is closed or withdrawn; nobody joins it.", field="institution_id")
    must_be_known(rows_of(content, "accounts"), rows_of(before.row.content or {}, "accounts") if before else [], branches)
    if before and before.live:  # Who is live moves by an act of her own; an entry under the wrong SHG is put right.
        must_stay(before.content, content, "institution_id")
    outcome(before.live if before else None, Act.PROFILE)
    must_be_cut_over(connection, shg.row.region, today)
    row = _entered(connection, member_id, before, shg, source, today)
    if row is None:  # Another call with the same id was quicker; what it stored is now to be compared with.
        return submit(connection, caller, member_id, revision, said, evidence, today, branches=branches, source=source)
    waiting = record.hand_in(
        connection,
        caller,
        before,
        record.waiting_row(member_id, MEMBER, shg.row.id, shg.row.region, content),
        act=Act.PROFILE,
        revision=revision,
        open_questions=True,  # Until the duplicate check says that there are none.
        # Without a new attestation what was verified of her before stays verified.
        **verified.columns(content, _held(before).having(evidence)),
        verdict=None,  # A screening of an earlier revision does not count.
        screening_version=0,
    )
    made = Subject(MEMBER, row, waiting)
    name_images(connection, member_id, shg.row.id, [made.content, content])
    ask_for_checks(connection, member_id, word(content, "name"), live(rows_of(content, "accounts")))
    audit.changed(connection, caller, "member.submit", member_id, revision=revision, verified=_modes(waiting))
    # Also of one who is live, of whom nothing has changed but her version: copies are counted by it.
    tell_all(connection, [member_submitted(made), member_changed(connection, made)])
    return made


def _withdrawn(connection: Connection, member_id: UUID, said: Mapping[str, Any], evidence: Evidence | Refused | None) -> dict[str, AnyRow]:
    """What she withdrew, held until the transaction ends; nobody looks where nothing that is handed in needs a consent."""
    if evidence is None and not said.get("photo"):
        return {}
    queries.hold_withdrawals(connection, member_id)
    return queries.withdrawn(connection, member_id)


def _standing(evidence: Evidence | Refused | None, withdrawn: Mapping[str, AnyRow]) -> Evidence | Refused | None:
    """Evidence that was on its way when she withdrew is a refusal."""
    ended = {str(one) for row in withdrawn.values() for one in row.consent_ids}
    if isinstance(evidence, Evidence) and evidence.consent_id in ended:
        return Conflict("CONSENT_WITHDRAWN", "She has withdrawn her consent to this verification; send her without it.", field="attestation")
    return evidence


def _must_be_allowed(connection: Connection, content: Held, withdrawn: Mapping[str, AnyRow]) -> None:
    """A photograph that was on its way when she withdrew comes too late."""
    photo, row = content.get("photo"), withdrawn.get(PHOTO)
    if isinstance(photo, Mapping) and row is not None and row.withdrawn_at is not None:
        put_at = queries.put_at(connection, UUID(str(photo["image_id"])))
        if put_at is not None and put_at <= row.withdrawn_at:
            raise Conflict("CONSENT_WITHDRAWN", "She has withdrawn her consent to this photograph; send her without it.", field="photo")


def _moved(connection: Connection, before: Subject | None, shg_id: UUID) -> tuple[str, ...]:
    """What a split or a merge has changed of what is live of her, since she was in that SHG."""
    if before is None or before.waiting is not None or before.row.institution_id == shg_id:
        return ()
    return ("institution_id", "joined_on") if queries.was_in(connection, before.row.id, shg_id) else ()


def withdraw(connection: Connection, caller: Caller, member_id: UUID, revision: int) -> Subject:
    """Take back who was never live, as of a list's row that is wrong; again is the same answer.

    The duplicate check need not hear of it: who was rejected is nobody's double already, and of who is a list's alone it never heard.
    """
    subject = queries.member(connection, caller, member_id, for_update=True)
    if is_withdrawn(Status(subject.row.status), subject.held.revision, revision):
        return subject
    made = record.withdraw(connection, members, subject)
    audit.changed(connection, caller, "member.withdraw", member_id, revision=revision)
    tell_all(connection, [member_changed(connection, made)])
    return made


def _entered(connection: Connection, member_id: UUID, before: Subject | None, shg: Subject, source: str, today: date) -> AnyRow | None:
    """Her record; of one that is live nothing changes but that the duplicate check is told."""
    if before is None:
        at = {"status": Status.SUBMITTED.value, "institution_id": shg.row.id, "region": shg.row.region}
        return record.new(connection, members, member_id, source, today, submitted_version=1, **at)
    told = {"submitted_version": before.row.version + 1}
    if before.live:
        return record.change(connection, members, before.row, **told)
    at = {"status": Status.SUBMITTED.value, "institution_id": shg.row.id, "region": shg.row.region}
    return record.change(connection, members, before.row, merged_into=None, **at, **told)


def _held(before: Subject | None) -> Verified:
    """What was verified of her as she is live, and what of her as she waited since."""
    if before is None:
        return Verified()
    waited = verified.verified_of(before.waiting)
    return verified.verified_of(before.row).having(waited.online).having(waited.paper)


def _modes(row: AnyRow) -> list[str]:
    held = verified.verified_of(row)
    return [one.mode for one in (held.online, held.paper) if one]


def _must_be_same_evidence(held: Subject, evidence: Evidence) -> None:
    """What was said before with this revision; that the same paper was read again since is no difference."""
    row = held.waiting if held.waiting is not None else held.row
    known = verified.verified_of(row)
    same = known.online if evidence.mode == ONLINE else known.paper
    if same is None or (evidence.identity_token, evidence.fingerprint) != (same.identity_token, same.fingerprint):
        raise Conflict("REVISION_CONTENT", "Revision {revision} was sent before with another {field}.", field="attestation", revision=row.revision)


def note_screening(connection: Connection, version: int, screened: dedup_pb2.MemberScreened) -> None:
    """Keep what the duplicate check says, if it speaks of her as she now is, or as she waits, and is news."""
    subject = queries.member_for_update(connection, UUID(screened.member_id))
    if subject is None:
        raise LookupError("a screening of a member whom nobody submitted")
    verdict = review.Verdict(dedup_pb2.Verdict.Name(screened.verdict).removeprefix("VERDICT_"))
    facts = Facts(this_day(), lists(connection))
    for spoken_of in (subject.waiting, subject.row):
        if spoken_of is not None and spoken_of.revision == screened.revision:
            break
    else:
        return
    if version <= spoken_of.screening_version:
        return
    _store_findings(connection, subject.row.id, screened.revision, screened.matches)
    noted = {"verdict": verdict.value, "screening_version": version}
    waiting = subject.waiting
    row = subject.row
    if spoken_of is waiting:
        of_her = submissions.c.record_id == row.id
        seen = bool(waiting.identity_notes or rules.warnings(waiting.content, facts)) or has_doubtful_account(connection, row.id, waiting.content)
        noted["open_questions"] = verdict is not review.Verdict.CLEAR or seen
        noted["for_supervisor"] = finding.of(connection, subject).for_supervisor
        waiting = connection.execute(update(submissions).where(of_her).values(noted).returning(submissions)).one()
    news = verdict != spoken_of.verdict and (spoken_of is subject.row or not subject.live)
    if spoken_of is subject.row:
        row = connection.execute(
            update(members).where(members.c.id == row.id).values(noted | {"version": row.version + news}).returning(members)
        ).one()
    elif news:
        row = record.change(connection, members, row)
    if news:
        tell_all(connection, [member_changed(connection, Subject(MEMBER, row, waiting))])


def _store_findings(connection: Connection, member_id: UUID, revision: int, matches: Sequence[dedup_pb2.Match]) -> None:
    """The findings of this screening replace those of the one before; what was decided on one stays."""
    of_her = and_(findings.c.member_id == member_id, findings.c.member_revision == revision)
    gone = findings.c.finding_id.not_in([match.finding_id for match in matches])
    connection.execute(delete(findings).where(of_her, findings.c.decision.is_(None), gone))
    connection.execute(update(findings).where(of_her, gone).values(gone=True))
    if not matches:
        return
    made = postgresql.insert(findings).values(
        [
            {
                "member_id": member_id,
                "member_revision": revision,
                "finding_id": match.finding_id,
                "verdict": dedup_pb2.Verdict.Name(match.verdict).removeprefix("VERDICT_"),
                "other_member_id": UUID(match.other_member_id),
                "override": _override(match),
                "clues": [clue.words for clue in match.clues],
                "clue_codes": [clue.code for clue in match.clues],
                "clue_weights": [clue.weight_centibits for clue in match.clues],
                "weight_centibits": match.weight_centibits,
                "gone": False,
            }
            for match in matches
        ]
    )
    found_again = ("verdict", "other_member_id", "override", "clues", "clue_codes", "clue_weights", "weight_centibits", "gone")
    newer = {name: made.excluded[name] for name in found_again}
    connection.execute(made.on_conflict_do_update(index_elements=["member_id", "member_revision", "finding_id"], set_=newer))


def _override(match: dedup_pb2.Match) -> str:
    """An older duplicate check says none: then it is the officer's, but for a proof."""
    if match.override:
        return dedup_pb2.Override.Name(match.override).removeprefix("OVERRIDE_")
    return (review.Override.NOBODY if match.verdict == dedup_pb2.VERDICT_CONFIRMED else review.Override.OFFICER).value


# What a checker's decision on a profile does to a member; commands/review.py has asked who she is and what she saw.


def let_in(connection: Connection, caller: Caller, subject: Subject, decisions: Sequence[review.Decided], today: date) -> Subject:
    """What waits of her is live from now on; who is new gets her code."""
    waiting = subject.waiting
    assert waiting is not None
    status = outcome(subject.live, Act.PROFILE)
    found = finding.of(connection, subject)
    hers = review.within_tier(caller, found.overrides, found.standing, decisions)
    said = review.together(found.standing, hers)
    checked = review.check_approval(screened=waiting.verdict is not None, findings=found.verdicts, decisions=said)
    finding.keep(connection, caller, subject, [one for one in checked if found.standing.get(one.finding_id) != one])
    record.let_in(connection, caller, subject)
    row = record.change(
        connection,
        members,
        subject.row,
        status=status.value,
        revision=waiting.revision,
        content=waiting.content,
        code=subject.row.code or record.issue_code(connection, MEMBER),
        activated_on=subject.row.activated_on or today,
        **{name: getattr(waiting, name) for name in _FACTS},
    )
    made = Subject(MEMBER, row, None)
    name_images(connection, row.id, row.institution_id, [made.content])
    tell_all(connection, [member_changed(connection, made), member_decided(made, waiting.revision, status, checked)])
    return made


_FACTS = (*verified.NAMES, "verdict", "screening_version")


def weigh(connection: Connection, caller: Caller, subject: Subject, decided: review.HandedBack, decisions: Sequence[review.Decided]) -> Weighed:
    """What is decided on her findings, now and before, as she is handed back."""
    found = finding.of(connection, subject)
    hers = review.within_tier(caller, found.overrides, found.standing, decisions)
    checked = review.check_decisions(found.verdicts, review.together(found.standing, hers))
    review.check_duplicate_reason(decided.reasons, found.verdicts, checked)
    stays = review.record_that_stays(checked) if subject.live is None else ""
    news = [one for one in checked if found.standing.get(one.finding_id) != one]
    return Weighed(checked, news, found.rows[stays].other_member_id if stays else None)


def hand_back(connection: Connection, caller: Caller, subject: Subject, decided: review.HandedBack, weighed: Weighed) -> Subject:
    """She goes back to her maker; who is live stays as she was, and the duplicate check hears that she does."""
    checked = weighed.decisions
    finding.keep(connection, caller, subject, weighed.news)
    waiting = record.hand_back(connection, subject, decided.reviews, decided.reasons, decided.remark)
    if subject.live:
        row = record.change(connection, members, subject.row, submitted_version=subject.row.version + 1)
        made = Subject(MEMBER, row, waiting)
        told_again = member_submitted(Subject(MEMBER, row, None))
        tell_all(connection, [told_again, member_changed(connection, made), member_decided(made, waiting.revision, subject.live, checked)])
        return made
    row = record.change(connection, members, subject.row, status=Status.REJECTED.value, merged_into=weighed.stays)
    made = Subject(MEMBER, row, waiting)
    tell_all(connection, [member_changed(connection, made), member_decided(made, waiting.revision, Status.REJECTED, checked)])
    return made
