"""What is kept, as the contract shows it."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from google.protobuf import json_format
from sqlalchemy import Connection

from protos import profiles_pb2
from services.chassis import database
from services.chassis.interceptors import in_her_language
from services.kernel.approval import Act, Status
from services.kernel.canonical import Content
from services.kernel.month import today
from services.profiles import queries
from services.profiles.adapters import ifsc
from services.profiles.commands.evidence import verified_of
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules import compare, review
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import life as life_rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.evidence import Evidence
from services.profiles.rules.form import Facts, Form, Held, Notice, Section, rows_of
from services.profiles.rules.institution import Kind

SERVICE = "profiles"
transaction = database.of(SERVICE)

_ROWS = ("addresses", "phones", "accounts", "documents", "insurances", "cadre_posts", "external_ids", "seats", "duties")


def form_of(kind: str) -> Form:
    return member_rules.FORM if kind == MEMBER else institution_rules.FORM_OF[Kind(kind)]


def institutions(connection: Connection, found: Collection[Subject]) -> list[profiles_pb2.Institution]:
    ids = [subject.row.id for subject in found]
    checks, active, facts = queries.checks_of(connection, ids), queries.active_counts(connection, ids), Facts(today(), lists(connection))
    parents = {one.row.id: UUID(str(parent)) for one in found if (parent := _newest(one).get("parent_id"))}
    not_live = queries.not_live(connection, set(parents.values()))
    findings = queries.institution_findings_of(connection, found)
    shown = []
    for subject in found:
        made = _institution(subject, checks)
        made.MergeFrom(profiles_pb2.Institution(verdict=f"VERDICT_{subject.profile.verdict or 'UNSPECIFIED'}"))
        made.findings.extend(_institution_finding(row) for row in findings[subject.row.id])
        count, parent_live = active.get(subject.row.id, 0), parents.get(subject.row.id) not in not_live
        notices = institution_rules.warnings(Kind(subject.kind), _newest(subject), count, facts, parent_live=parent_live)
        made.warnings.extend(map(_warning, notices))
        shown.append(made)
    return shown


def members(connection: Connection, found: Collection[Subject]) -> tuple[list[profiles_pb2.Member], dict[UUID, list[AnyRow]]]:
    """With the findings of each, since whom they name was shown too."""
    findings = queries.findings_of(connection, found)
    checks = queries.checks_of(connection, [subject.row.id for subject in found])
    facts = Facts(today(), lists(connection))
    merged = queries.merged_into(connection, findings)
    goes = [one.row.institution_id for one in found if _goes(one)]
    active = queries.active_counts(connection, goes) if goes else {}
    shown = []
    for subject in found:
        made = _member(subject, findings[subject.row.id], checks)
        made.merged_from.extend(map(str, merged.get(subject.row.id, ())))
        if _goes(subject):
            made.warnings.extend(map(_warning, life_rules.warnings(active[subject.row.institution_id] - 1)))
        made.warnings.extend(map(_warning, member_rules.warnings(_newest(subject), facts)))
        shown.append(made)
    return shown, findings


def _goes(member: Subject) -> bool:
    """Whether what waits takes an active member away from her SHG."""
    return member.live is Status.ACTIVE and member.waiting is not None and member.waiting.act in life_rules.GOING


Checks = Mapping[queries.AccountKey, AnyRow]


def _institution(subject: Subject, checks: Checks) -> profiles_pb2.Institution:
    made = profiles_pb2.Institution(kind=f"KIND_{subject.kind}", institution_id=str(subject.row.id))
    _fill(made, subject, checks)
    if subject.live and subject.waiting is not None and subject.waiting.act == Act.PROFILE:
        made.waiting.CopyFrom(profiles_pb2.Institution(kind=made.kind, institution_id=made.institution_id))
        _fill_waiting(made.waiting, subject, checks)
    elif subject.live and subject.waiting is not None:
        made.waiting_event.CopyFrom(life_event(subject.waiting))
    return made


def _member(subject: Subject, findings: Iterable[AnyRow], checks: Checks) -> profiles_pb2.Member:
    row, waiting = subject.row, subject.waiting
    made = profiles_pb2.Member(member_id=str(row.id), region=row.region)
    _fill(made, subject, checks)
    made.institution_id = str(row.institution_id)
    if row.settled_on:
        made.settled_on, made.settled_with = row.settled_on.isoformat(), str(row.settled_with)
    made.merged_into = str(row.merged_into or "")
    spoken_of = subject.profile
    made.identity_verified = spoken_of.identity_token is not None
    made.aadhaar.CopyFrom(aadhaar(verified_of(spoken_of).strongest))
    made.MergeFrom(profiles_pb2.Member(verdict=f"VERDICT_{spoken_of.verdict or 'UNSPECIFIED'}"))
    made.identity_notes.extend(spoken_of.identity_notes)
    made.findings.extend(map(_finding, findings))
    if subject.live and waiting is not None and waiting.act == Act.PROFILE:
        made.waiting.CopyFrom(profiles_pb2.Member(member_id=made.member_id))
        _fill_waiting(made.waiting, subject, checks)
    elif subject.live and waiting is not None:
        made.waiting_event.CopyFrom(life_event(waiting))
    return made


def aadhaar(verified: Evidence | None) -> profiles_pb2.Aadhaar:
    if verified is None:
        return profiles_pb2.Aadhaar(status=profiles_pb2.AADHAAR_STATUS_NONE)
    masked = f"XXXX XXXX {verified.last4}" if verified.last4 else ""
    return profiles_pb2.Aadhaar(
        status=profiles_pb2.AADHAAR_STATUS_VERIFIED, mode=verified.mode, number_masked=masked, verified_on=verified.verified_on
    )


Profile = profiles_pb2.Institution | profiles_pb2.Member


def _newest(subject: Subject) -> Held:
    """What the checker is to look at, else what is live."""
    return dict(subject.profile.content)


def _content(made: Profile, content: Held) -> None:
    json_format.ParseDict({name: value for name, value in content.items() if name != "kind"}, made)


def _set_status(made: Profile, status: str) -> None:
    if isinstance(made, profiles_pb2.Member):
        made.MergeFrom(profiles_pb2.Member(status=f"STATUS_{status}"))
    else:
        made.MergeFrom(profiles_pb2.Institution(status=f"STATUS_{status}"))


def _fill(made: Profile, subject: Subject, checks: Checks) -> None:
    """The record itself. Of one that is not live, that is what waits."""
    row, waiting = subject.row, subject.waiting
    _content(made, subject.content)
    _set_status(made, row.status)
    made.code, made.version, made.source = row.code or "", row.version, row.source
    made.inactive_reason, made.inactive_on = row.inactive_reason, row.inactive_on.isoformat() if row.inactive_on else ""
    made.revision = row.revision if subject.live or waiting is None else waiting.revision
    _mark_rows(made, subject, checks, {} if waiting is None or subject.live else waiting.reviews)
    if waiting is not None:
        _said_by_checker(made, subject)


def _fill_waiting(made: Profile, subject: Subject, checks: Checks) -> None:
    waiting = subject.waiting
    assert waiting is not None
    _content(made, dict(waiting.content))
    _set_status(made, waiting.status)
    made.revision, made.remark = waiting.revision, waiting.remark
    made.reasons.extend(waiting.reasons)
    _mark_rows(made, subject, checks, waiting.reviews)


def _mark_rows(made: Profile, subject: Subject, checks: Checks, reviews: Mapping[str, Mapping[str, Content]]) -> None:
    """A row's status follows from whether it is live, and from what the checker said of its section."""
    form, record_id = form_of(subject.kind), subject.row.id
    live = {one["row_id"] for name in _ROWS for one in rows_of(subject.row.content or {}, name)}
    for name in _ROWS:
        for row in getattr(made, name, ()):
            handed_back = reviews.get(form.section_of(name).value, {}).get("accepted") is False
            if row.ended_on:
                row.status = profiles_pb2.ROW_STATUS_ENDED
            elif row.row_id in live:
                row.status = profiles_pb2.ROW_STATUS_ACTIVE
            else:
                row.status = profiles_pb2.ROW_STATUS_REJECTED if handed_back else profiles_pb2.ROW_STATUS_PENDING
            if name == "accounts" and (check := checks.get((record_id, row.row_id, row.ifsc, row.account_number))):
                row.check.CopyFrom(show_check(check))


def _said_by_checker(made: Profile, subject: Subject) -> None:
    """What she said of what waits, and what has changed since she saw it."""
    waiting = subject.waiting
    assert waiting is not None
    if not subject.live:
        made.remark = waiting.remark
        made.reasons.extend(waiting.reasons)
    if waiting.act != Act.PROFILE:
        return
    changes = form_of(subject.kind).differences(dict(waiting.previous), dict(waiting.content)) if waiting.previous else []
    for one in changes:
        made.changes.add(section=f"SECTION_{one.section}", field=one.field, before=one.before_text, after=one.after_text)
    same = review.unchanged(waiting.reviews, {one.section for one in changes})
    for name, one in waiting.reviews.items():
        made.reviews.add(
            section=f"SECTION_{name}",
            accepted=one["accepted"],
            reasons=one.get("reasons", ()),
            remark=one.get("remark", ""),
            unchanged=Section(name) in same,
        )


def life_event(waiting: AnyRow) -> profiles_pb2.LifeEvent:
    """An act of life that waits."""
    made = _event(waiting)
    made.MergeFrom(profiles_pb2.LifeEvent(status=f"STATUS_{waiting.status}", reasons=waiting.reasons, remark=waiting.remark))
    return made


def _event(row: AnyRow) -> profiles_pb2.LifeEvent:
    """As it was handed in."""
    content = dict(row.content)
    new = content.pop("new_institution", None)
    made = profiles_pb2.LifeEvent(record_id=str(row.record_id), revision=row.revision, act=f"ACT_{row.act}")
    json_format.ParseDict(content, made)
    if new:
        made.new_institution.CopyFrom(profiles_pb2.Institution(kind=f"KIND_{new['kind']}"))
        _content(made.new_institution, new)
    return made


def history(life: queries.Life) -> profiles_pb2.GetHistoryResponse:
    made = profiles_pb2.GetHistoryResponse()
    for row in life.acts:
        who = {name: getattr(row, name) for name in ("maker_user", "released_by", "decided_by")}
        entry = made.entries.add(revision=row.revision, act=f"ACT_{row.act}", **who)
        entry.decided_at.FromDatetime(row.decided_at)
        if row.act != Act.PROFILE:
            entry.event.CopyFrom(_event(row))
    made.stays.extend(map(_stay, life.stays))
    made.decisions.extend(map(_past, life.decisions))
    return made


def _stay(one: queries.Stay) -> profiles_pb2.Stay:
    to = one.to_on.isoformat() if one.to_on else ""
    return profiles_pb2.Stay(institution_id=str(one.institution_id), to=to, reason=one.reason, **{"from": one.from_on.isoformat()})


def show_check(row: AnyRow) -> profiles_pb2.AccountCheck:
    branches = ifsc.branches()
    branch = branches.find(row.ifsc) if branches else None
    return profiles_pb2.AccountCheck(
        outcome=row.outcome,
        name_at_bank=row.name_at_bank,
        name_match=row.name_match,
        checked_at=row.checked_at,
        bank=branch.bank if branch else "",
        branch=branch.name if branch else "",
    )


def _warning(one: Notice) -> profiles_pb2.Notice:
    return profiles_pb2.Notice(code=one.code, words=one.words)


def _institution_finding(row: AnyRow) -> profiles_pb2.Finding:
    made = _found(row)
    made.other_institution_id = str(row.other_institution_id)
    return made


def _finding(row: AnyRow) -> profiles_pb2.Finding:
    made = _found(row)
    of_member = profiles_pb2.Finding(
        other_member_id=str(row.other_member_id),
        override=f"OVERRIDE_{row.override}",
        clue_list=[_clue(one) for one in compare.clues_of(row.clues, row.clue_codes, row.clue_weights)],
        weight_centibits=row.weight_centibits,
        decided_role=row.decided_role or "",
    )
    made.MergeFrom(of_member)
    return made


def _found(row: AnyRow) -> profiles_pb2.Finding:
    return profiles_pb2.Finding(
        finding_id=row.finding_id,
        verdict=f"VERDICT_{row.verdict}",
        clues=map(in_her_language, row.clues),
        decision=f"DECISION_{row.decision or 'UNSPECIFIED'}",
        reason=row.reason,
        decided_by=row.decided_by or "",
        decided_at=row.decided_at,
    )


def _clue(one: compare.Clue) -> profiles_pb2.Clue:
    return profiles_pb2.Clue(code=one.code, words=in_her_language(one.words), weight_centibits=one.weight_centibits)


def _past(row: AnyRow) -> profiles_pb2.PastDecision:
    return profiles_pb2.PastDecision(
        member_id=str(row.member_id),
        revision=row.member_revision,
        finding_id=row.finding_id,
        other_member_id=str(row.other_member_id),
        decision=f"DECISION_{row.decision}",
        reason=row.reason,
        decided_by=row.decided_by,
        decided_role=row.decided_role,
        decided_at=row.decided_at,
    )


# Two records side by side. Whoever looks need not see the other woman's record: of both she is shown what tells two women apart, and that much
# only. Numbers by which somebody could be called or paid are their last four digits, and an identity is said to be the same or another.


def comparison(connection: Connection, pair: queries.Pair) -> profiles_pb2.Comparison:
    both = pair.member, pair.other
    clues = compare.clues_of(pair.finding.clues, pair.finding.clue_codes, pair.finding.clue_weights)
    of_shg = {one.row.id: one.row.name for one in queries.institutions_among(connection, [one.row.institution_id for one in both])}
    hers, others = (
        compare.Side(_newest(one), one.row.region, one.profile.identity_token or "", "".join(verified_of(one.profile).documents)) for one in both
    )
    made = profiles_pb2.Comparison(
        finding=_finding(pair.finding),
        member=_compared(connection, pair.member, of_shg[pair.member.row.institution_id]),
        other=_compared(connection, pair.other, of_shg[pair.other.row.institution_id]),
        decisions=map(_past, queries.decisions_on(connection, pair.member.row.id, pair.other.row.id)),
    )
    for field in compare.compare(hers, others, clues):
        made.fields.add(
            field=field.name,
            member=field.one,
            other=field.other,
            agreement=f"AGREEMENT_{field.agreement}",
            clue=_clue(field.clue) if field.clue else None,
        )
    return made


def _compared(connection: Connection, subject: Subject, institution_name: str) -> profiles_pb2.Compared:
    row, spoken_of = subject.row, subject.profile
    days = {name: day.isoformat() for name in ("entered_on", "activated_on", "inactive_on") if (day := getattr(row, name))}
    return profiles_pb2.Compared(
        member_id=str(row.id),
        revision=spoken_of.revision,
        status=f"STATUS_{row.status}",
        waits=spoken_of is subject.waiting,
        code=row.code or "",
        institution_id=str(row.institution_id),
        institution_name=institution_name,
        region=row.region,
        inactive_reason=row.inactive_reason,
        merged_into=str(row.merged_into or ""),
        stays=map(_stay, queries.stays(connection, row)) if subject.live else (),
        **days,
    )
