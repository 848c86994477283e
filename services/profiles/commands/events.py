"""The events of this service, made from rows: what each hearer is told, and nothing more."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from google.protobuf.message import Message
from sqlalchemy import Connection, insert

from protos import profiles_pb2
from services.chassis.mailbox import outbox, outbox_row
from services.kernel.approval import Act, Status
from services.kernel.month import month_of
from services.profiles import queries
from services.profiles.commands.evidence import verified_of
from services.profiles.commands.lists import lists
from services.profiles.queries import AnyRow, Subject
from services.profiles.rules import member as rules
from services.profiles.rules.form import live, rows_of, whole, word
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


def institutions_changed(connection: Connection, institutions: Collection[Subject]) -> list[Told]:
    """What all who keep institutions are told, the duplicate check too: whatever changes one may change what it is compared by."""
    return [*institutions_copied(connection, institutions), *institutions_submitted(institutions)]


def institutions_submitted(institutions: Iterable[Subject]) -> list[Told]:
    """What the duplicate check is to know; nothing of what only a list names."""
    return [Told(_institution_submitted(checked), one.row.id, _version_checked(one)) for one in institutions if (checked := as_checked(one))]


def _version_checked(institution: Subject) -> int:
    """Others are told when the record changes; the duplicate check also when something is handed in beside what is live, or handed back.

    A revision that is handed in is higher than the one before, which was decided since.
    """
    held = institution.held
    return int(institution.row.version) + 2 * held.revision + (held.status is not Status.SUBMITTED)


def _institution_submitted(institution: Subject) -> profiles_pb2.InstitutionSubmitted:
    """What waits of it, else what is live."""
    row, spoken_of = institution.row, institution.profile
    content, waits = spoken_of.content, spoken_of is not row and spoken_of.status == Status.SUBMITTED
    return profiles_pb2.InstitutionSubmitted(
        institution_id=str(row.id),
        revision=spoken_of.revision,
        kind=f"KIND_{row.kind}",
        name=str(content["name"]),
        # An edit may have it lie elsewhere; what is not live yet lies where its record says.
        region=str(content["region"]) if waits and institution.live else row.region,
        formed_on=str(content["formed_on"]),
        accounts=[
            profiles_pb2.AccountNumber(ifsc=word(account, "ifsc"), account_number=word(account, "account_number"))
            for account in live(rows_of(content, "accounts"))
        ],
        status=f"STATUS_{Status.SUBMITTED if waits else row.status}",
    )


def institutions_copied(connection: Connection, institutions: Collection[Subject]) -> list[Told]:
    """As those who keep a copy are told."""
    acts = queries.ends_and_returns(connection, [one.row.id for one in institutions if one.live])
    return [_institution_changed(one, acts.get(one.row.id, ())) for one in institutions]


def _institution_changed(institution: Subject, acts: Sequence[AnyRow]) -> Told:
    row, content = institution.row, institution.content
    ended: list[profiles_pb2.EndedPeriod] = []
    since: date | None = None
    for act in acts:
        if act.act == Act.REVIVE:
            since = act.on
        else:
            ended.append(profiles_pb2.EndedPeriod(from_on=_written(since), to_on=act.on.isoformat()))
            since = None
    message = profiles_pb2.InstitutionChanged(
        institution_id=str(row.id),
        kind=f"KIND_{row.kind}",
        name=row.name,
        region=row.region,
        parent_id=str(row.parent_id) if row.parent_id else "",
        status=f"STATUS_{row.status}",
        code=row.code or "",
        month=month_of(row.activated_on or row.entered_on),
        formed_on=str(content["formed_on"]),
        ended_periods=ended,
        since_on=_written(since),
        accounts=[
            profiles_pb2.BankAccountTold(row_id=word(account, "row_id"), ended_on=word(account, "ended_on"))
            for account in rows_of(content, "accounts")
        ],
        compulsory_savings_paise=whole(content, "compulsory_savings_paise"),
        savings_frequency=word(content, "savings_frequency"),
    )
    return Told(message, row.id, row.version)


def _written(day: date | None) -> str:
    return day.isoformat() if day else ""


def member_changed(connection: Connection, member: Subject) -> Told:
    return members_changed(connection, [member])[0]


def members_changed(connection: Connection, members: Collection[Subject]) -> list[Told]:
    """Of one who is not live yet, what waits of her."""
    known = lists(connection)
    ended = queries.ended_stays(connection, [one.row.id for one in members if one.live])
    return [_member_changed(known, one, ended.get(one.row.id, ())) for one in members]


def _member_changed(known: Lists, member: Subject, ended: Sequence[AnyRow]) -> Told:
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
        activated=row.activated_on is not None,
    )
    since: date | None = None
    for stay in ended:
        # Nobody is in two places: a day of joining that was corrected since does not reach back into the stay before.
        begun = max(stay.from_on, since) if since else None
        said = {"institution_id": str(stay.institution_id), "region": stay.region}
        message.ended_stays.add(**said, from_on=_written(begun), to_on=stay.to_on.isoformat())
        since = stay.to_on
    if since and member.live is not Status.INACTIVE:
        message.since_on = max(queries.since(row, ended[-1], since), since).isoformat()
    return Told(message, row.id, row.version)


def member_submitted(member: Subject, *, identity_withdrawn: bool = False, papers_withdrawn: bool = False) -> Told:
    """What waits of her, else what is live. What was withdrawn goes from what was told before of who she is, of the other record too."""
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
        documents=[*rules.personal_documents(content), *verified_of(spoken_of).documents],
        identity_withdrawn=identity_withdrawn,
        papers_withdrawn=papers_withdrawn,
    )
    return Told(message, row.id, row.submitted_version)


def as_checked(one: Subject) -> Subject | None:
    """As the duplicate check is to know her, or it: by what waits, else by what is live; None where only a list names it."""
    held = one.held
    if one.live and held.status is not Status.SUBMITTED:
        return Subject(one.kind, one.row, None)
    return one if one.live or held.revision else None


def member_decided(member: Subject, revision: int, status: Status, decisions: Iterable[Decided]) -> Told:
    """What she is once a revision of hers was decided. Who was ended for another record of hers is nobody's double, as who was rejected."""
    message = profiles_pb2.MemberDecided(
        member_id=str(member.row.id),
        revision=revision,
        status=f"STATUS_{Status.REJECTED if member.row.merged_into else status}",
        decisions=_decisions(decisions),
    )
    return Told(message, member.row.id, member.row.version)


def findings_decided(member: Subject, revision: int, decisions: Iterable[Decided]) -> Told:
    """What stands decided on the findings of a revision, while that is not decided itself."""
    message = profiles_pb2.FindingsDecided(member_id=str(member.row.id), revision=revision, decisions=_decisions(decisions))
    return Told(message, member.row.id, member.row.version)


def _decisions(decisions: Iterable[Decided]) -> list[profiles_pb2.FindingDecision]:
    return [profiles_pb2.FindingDecision(finding_id=one.finding_id, decision=f"DECISION_{one.decision}", reason=one.reason) for one in decisions]
