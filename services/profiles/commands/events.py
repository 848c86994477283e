"""The events of this service, made from rows: what each hearer is told, and nothing more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from sqlalchemy import Connection, insert

from protos import profiles_pb2
from services.chassis.mailbox import outbox, outbox_row
from services.kernel.approval import Status
from services.kernel.month import month_of
from services.profiles.commands.lists import lists
from services.profiles.queries import Subject
from services.profiles.rules import member as rules
from services.profiles.rules.lists import Lists
from services.profiles.rules.review import Decided


@dataclass(frozen=True, slots=True)
class Told:
    """An event about a subject as it stood at a version."""

    message: Message
    subject: object
    version: int


def tell_all(connection: Connection, told: Sequence[Told], to: str | None = None) -> None:
    """Put many events into the outbox in one statement."""
    if told:
        connection.execute(insert(outbox), [outbox_row(one.message, one.subject, one.version, to=to) for one in told])


def institution_changed(institution: Subject) -> Told:
    row = institution.row
    message = profiles_pb2.InstitutionChanged(
        institution_id=str(row.id),
        kind=f"KIND_{row.kind}",
        name=row.name,
        region=row.region,
        parent_id=str(row.parent_id) if row.parent_id else "",
        status=f"STATUS_{row.status}",
        code=row.code or "",
        month=month_of(row.activated_on or row.entered_on),
        formed_on=str(institution.content["formed_on"]),
    )
    return Told(message, row.id, row.version)


def member_changed(connection: Connection, member: Subject) -> Told:
    return members_changed(connection, [member])[0]


def members_changed(connection: Connection, members: Iterable[Subject]) -> list[Told]:
    """Of one who is not live yet, what waits of her."""
    known = lists(connection)
    return [_member_changed(known, member) for member in members]


def _member_changed(known: Lists, member: Subject) -> Told:
    row, content = member.row, member.content
    spoken_of = row if member.live or member.waiting is None else member.waiting
    message = profiles_pb2.MemberChanged(
        member_id=str(row.id),
        institution_id=str(row.institution_id),
        region=row.region,
        status=f"STATUS_{row.status}",
        verdict=f"VERDICT_{spoken_of.verdict or 'UNSPECIFIED'}",
        gender=str(content.get("gender", "")),
        # The nation's code: what a state calls its categories, the nation cannot add up.
        social_category=known.national("SOCIAL_CATEGORY", str(content.get("social_category", ""))),
        birth_year=rules.birth_year(content),
        identity_verified=spoken_of.identity_token is not None,
        account_known=rules.default_account(content) is not None,
        month=month_of(row.activated_on or row.entered_on),
    )
    return Told(message, row.id, row.version)


def member_submitted(member: Subject) -> Told:
    """What waits of her, else what is live."""
    row, spoken_of = member.row, member.profile
    content = spoken_of.content
    account = rules.default_account(content) or {}
    message = profiles_pb2.MemberSubmitted(
        member_id=str(row.id),
        revision=spoken_of.revision,
        institution_id=str(row.institution_id),
        region=row.region,
        **{name: str(content.get(name, "")) for name in ("name", "name_local", "gender", "born_on", "relation_name")},
        birth_year=rules.birth_year(content),
        mobile=str((rules.default_phone(content) or {}).get("number", "")),
        account_number=str(account.get("account_number", "")),
        ifsc=str(account.get("ifsc", "")),
        account_holding=str(account.get("holding", "")),
        identity_token=spoken_of.identity_token or "",
    )
    return Told(message, row.id, row.submitted_version)


def as_checked(member: Subject) -> Subject | None:
    """As the duplicate check is to know her: by what waits, else by what is live; None where only a list names her."""
    held = member.held
    if member.live and held.status is not Status.SUBMITTED:
        return Subject(member.kind, member.row, None)
    return member if member.live or held.revision else None


def member_decided(member: Subject, revision: int, status: Status, decisions: Iterable[Decided]) -> Told:
    """What she is once a revision of hers was decided."""
    message = profiles_pb2.MemberDecided(
        member_id=str(member.row.id),
        revision=revision,
        status=f"STATUS_{status}",
        decisions=[
            profiles_pb2.FindingDecision(finding_id=decided.finding_id, decision=f"DECISION_{decided.decision}", reason=decided.reason)
            for decided in decisions
        ],
    )
    return Told(message, member.row.id, member.row.version)
