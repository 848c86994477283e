"""Changes what is known of people and what was found, and tells of each screening that came out otherwise than before.

A screening is always what the comparison with everybody on the books gives now: whenever a record comes, changes or is
rejected, all whom it concerns are screened again. So the order in which events come leaves no trace.

Locks are taken from wide to narrow, each kind in the order of its numbers, so that nobody waits in a circle: the member,
then every lookup that she could be found by, then the screenings that are written. Two records that could find each other
share a lookup; so whichever comes second sees the first, and no second screening after the commit is needed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, delete, func, text, update
from sqlalchemy.dialects.postgresql import Insert, insert

from protos import dedup_pb2
from services.chassis.mailbox import tell
from services.dedup import queries, rules
from services.dedup.rules import Artefact, Clue, Match, Override, Person, Record, Screening, model
from services.dedup.rules import institution as group_rules
from services.dedup.rules.institution import Group, GroupScreening
from services.dedup.tables import (
    contested,
    institution_matches,
    institution_screenings,
    institutions,
    labels,
    matches,
    models,
    people,
    screenings,
    statuses,
)
from services.kernel.approval import LIVE, Status

PAGE = 500

_LOCK = text("select pg_advisory_xact_lock(number) from (select unnest(cast(:numbers as bigint[])) as number offset 0) as numbers")


def _lock(connection: Connection, kind: str, keys: Iterable[object]) -> None:
    """Hold these names until the transaction ends."""
    digests = (hashlib.blake2b(f"{kind}/{key}".encode(), digest_size=8).digest() for key in keys)
    connection.execute(_LOCK, {"numbers": sorted(int.from_bytes(digest, "big", signed=True) for digest in digests)})


def _replacing(statement: Insert, *key: str, newer: bool = False) -> Insert:
    """Insert, or replace what has the same key; with `newer`, only what has a lower version."""
    excluded = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=key,
        set_={name: column for name, column in excluded.items() if name not in key},
        where=statement.table.c.version < excluded.version if newer else None,
    )


# --- What is heard.


def screen(connection: Connection, record: Record, version: int, *, identity_withdrawn: bool = False, papers_withdrawn: bool = False) -> None:
    """Note a submitted record and screen it, and again all whom it concerns.

    What is told again counts where it is keyed otherwise now, as when names are. What was withdrawn, the token or the
    signed papers, is forgotten first of what was told before, also where something newer is known already.
    """
    _lock(connection, "member", [record.member_id])
    decided = queries.decided(connection, record.member_id)
    person = rules.person(record, rules.status_of(record.revision, decided))
    forgot = (identity_withdrawn or papers_withdrawn) and _forget(connection, person, version, token=identity_withdrawn, papers=papers_withdrawn)
    held = queries.held(connection, [record.member_id]).get(record.member_id, [])
    newest = max((one.version for one in held), default=0)
    if newest > version or any(one.version == version and one.person == person for one in held):
        if forgot:
            _settle(connection, record.member_id)
        return
    live = decided is not None and decided[1] in LIVE and any(one.person.revision <= decided[0] < record.revision for one in held)
    waiting = live and person.status is Status.SUBMITTED
    _write(connection, person, version, waiting=waiting, before=held)
    _settle(connection, record.member_id)


def _forget(connection: Connection, person: Person, version: int, *, token: bool, papers: bool) -> bool:
    """Take it from what was told of her before this version; whether there was any. All that she could be found by stays held."""
    held = queries.held(connection, [person.member_id]).get(person.member_id, [])
    left = [(one, one.person.without(token=token, papers=papers)) for one in held if one.version < version]
    changed = [(one, kept) for one, kept in left if kept != one.person]
    if not changed:
        return False
    _lock_lookups(connection, [person, *(one.person for one in held)])
    for one, kept in changed:
        is_it = people.c.member_id == person.member_id, people.c.waiting == one.waiting
        connection.execute(update(people).where(*is_it).values(identity_token=kept.identity_token, documents=list(kept.documents)))
    return True


def decide(
    connection: Connection,
    member_id: UUID,
    revision: int,
    status: Status,
    decisions: Mapping[UUID, str],
    version: int,
    at: datetime | None = None,
) -> None:
    """Note an officer's decision on a record, with a label for each finding; a rejected record concerns nobody any more."""
    _lock(connection, "member", [member_id])
    label(connection, member_id, revision, decisions, version, at)
    decided = insert(statuses).values(member_id=member_id, version=version, revision=revision, status=status)
    connection.execute(_replacing(decided, "member_id", newer=True))
    held = queries.held(connection, [member_id]).get(member_id, [])
    if not held:
        return
    newest = held[-1]
    person = replace(newest.person, status=rules.status_of(newest.person.revision, queries.decided(connection, member_id)))
    waiting = newest.waiting and person.status is Status.SUBMITTED
    if (person, waiting) == (newest.person, newest.waiting):
        return
    _write(connection, person, newest.version, waiting=waiting, before=held)
    _settle(connection, member_id)


def rescreen(connection: Connection, member_id: UUID) -> None:
    """Screen a member again, as when the rules have changed, or somebody asks."""
    _lock(connection, "member", [member_id])
    held = queries.held(connection, [member_id]).get(member_id, [])
    if held:
        _lock_lookups(connection, [one.person for one in held])
        _settle(connection, member_id)


def _write(connection: Connection, person: Person, version: int, *, waiting: bool, before: Sequence[queries.Held]) -> None:
    """Hold a member's lookups, those of before too, and store what is compared of her: beside what is live, or in place of all there was."""
    _lock_lookups(connection, [person, *(one.person for one in before)])
    if not waiting:
        connection.execute(delete(people).where(people.c.member_id == person.member_id, people.c.waiting))
    connection.execute(_replacing(insert(people).values(**asdict(person), version=version, waiting=waiting), "member_id", "waiting"))


def _lock_lookups(connection: Connection, persons: Iterable[Person]) -> None:
    _lock(connection, "lookup", set[str]().union(*map(rules.lookups, persons)))


# --- What is found.


def _settle(connection: Connection, member_id: UUID) -> None:
    """Screen a member whose lookups are held, and again all whom her records concerned before or concern now."""
    by = queries.yardstick(connection)
    mine = queries.held(connection, [member_id])[member_id]
    screened = [queries.screen(connection, one.person, by) for one in mine if one.person.status is not Status.REJECTED]
    concerned = queries.concerned(connection, member_id) | {match.other_id for screening in screened for match in screening.matches}
    concerned.discard(member_id)
    _lock(connection, "screening", concerned | {member_id})
    _note(connection, mine, screened)
    others = queries.held(connection, concerned) if concerned else {}
    for other_id in sorted(concerned):
        records = others[other_id]  # Only who is held can be found.
        _note(connection, records, [queries.screen(connection, one.person, by) for one in records if one.person.status is not Status.REJECTED])


def _note(connection: Connection, held: Sequence[queries.Held], screened: Sequence[Screening]) -> None:
    """A submitted record's screening follows what is known; an active one's stays, and a proof against it is a case of its own."""
    member_id = held[0].person.member_id
    if not screened:
        _contest(connection, held[0].person, {})
        return
    newest, screening = held[-1].person, screened[-1]
    told = queries.screening(connection, member_id)
    if told is None or told[0].revision != newest.revision or (newest.status is Status.SUBMITTED and told[0] != screening):
        _tell(connection, screening, told[1] + 1 if told else 1)
    elif told[0].region != newest.region:  # She was moved as she is: what was found stands, and is another block's to see.
        connection.execute(update(screenings).where(screenings.c.member_id == member_id).values(region=newest.region))
    live = screened[0].proofs if held[0].person.status is Status.ACTIVE else {}
    _contest(connection, held[0].person, live)


def _tell(connection: Connection, screening: Screening, version: int) -> None:
    """Store a screening and tell it."""
    of_member = {"member_id": screening.member_id, "revision": screening.revision, "version": version}
    lists = {
        "supervisor": any(match.override is Override.SUPERVISOR for match in screening.matches),
        "fraud": any(rules.is_fraud(match.clues) for match in screening.matches),
    }
    row = insert(screenings).values(**of_member, region=screening.region, verdict=screening.verdict, **lists)
    connection.execute(_replacing(row, "member_id"))
    if screening.matches:
        rows = [{**of_member, **asdict(match), "clues": [astuple(clue) for clue in match.clues]} for match in screening.matches]
        connection.execute(_replacing(insert(matches).values(rows), "finding_id"))
    tell(connection, _message(screening), subject=screening.member_id, version=version)


def put_to_use(connection: Connection, artefact: Artefact) -> None:
    """Weigh by this model from now on."""
    connection.execute(insert(models).values(content=model.dump(artefact)))


# --- What is told.


def show(match: Match) -> dedup_pb2.Match:
    """A match as it travels."""
    return dedup_pb2.Match(
        finding_id=str(match.finding_id),
        other_member_id=str(match.other_id),
        verdict=f"VERDICT_{match.verdict}",
        weight_centibits=match.weight_centibits,
        override=f"OVERRIDE_{match.override}",
        clues=[dedup_pb2.Clue(**asdict(clue)) for clue in match.clues],
    )


def _message(screening: Screening) -> dedup_pb2.MemberScreened:
    return dedup_pb2.MemberScreened(
        member_id=str(screening.member_id),
        revision=screening.revision,
        verdict=f"VERDICT_{screening.verdict}",
        matches=map(show, screening.matches),
    )


def restate(connection: Connection, hearer: str, after: UUID | None) -> list[UUID]:
    """Tell one hearer the screenings of the members after this one, a page of them; returns whose."""
    page = queries.screenings_after(connection, after, PAGE)
    for screening, version in page:
        tell(connection, _message(screening), subject=screening.member_id, version=version, to=hearer)
    return [screening.member_id for screening, _ in page]


# --- Contested cases (decision 4).


def _contest(connection: Connection, person: Person, proofs: Mapping[UUID, Sequence[Clue]]) -> None:
    """Open a contested case with each of the others, settle those with anybody else, and tell where she was contested and is no more, or
    the other way round.
    """
    member_id, others = person.member_id, set(proofs)
    known = queries.open_contests(connection, member_id)
    if not known and not others:
        return
    told = queries.contest_version(connection, member_id)
    version = told + (bool(known) != bool(others))
    if others - known:
        about = {"member_id": member_id, "region": person.region, "version": version}
        opened = [{**about, "other_id": other, "clues": [astuple(clue) for clue in proofs[other]]} for other in sorted(others - known)]
        connection.execute(_replacing(insert(contested).values(opened), "member_id", "other_id"))
    if known - others:
        gone = (contested.c.member_id == member_id) & contested.c.other_id.in_(known - others)
        connection.execute(update(contested).where(gone).values(settled_at=func.now(), version=version))
    if known & others:  # She may lie elsewhere by now.
        moved = (contested.c.member_id == member_id) & contested.c.settled_at.is_(None) & (contested.c.region != person.region)
        connection.execute(update(contested).where(moved).values(region=person.region))
    if version > told:
        tell(connection, _contested(member_id, is_open=bool(others)), subject=member_id, version=version)


def _contested(member_id: UUID, *, is_open: bool) -> dedup_pb2.MemberContested:
    return dedup_pb2.MemberContested(member_id=str(member_id), open=is_open)


def restate_contests(connection: Connection, hearer: str, after: UUID | None) -> list[UUID]:
    """Tell one hearer of the members after this one who are or were contested, a page of them; returns whom."""
    page = queries.contests_after(connection, after, PAGE)
    for member_id, is_open, version in page:
        tell(connection, _contested(member_id, is_open=is_open), subject=member_id, version=version, to=hearer)
    return [member_id for member_id, _, _ in page]


# --- Labels.


def label(connection: Connection, member_id: UUID, revision: int, decisions: Mapping[UUID, str], version: int, at: datetime | None = None) -> None:
    """Keep what officers said of findings, the newest word on each, with what they said it of."""
    if not decisions:
        return
    of = {"member_id": member_id, "revision": revision, "version": version, "decided_at": at or datetime.now(UTC)}
    about = queries.labelled(connection, member_id, decisions)
    rows = [{"finding_id": finding_id, "decision": decision, **of, **about[finding_id]} for finding_id, decision in decisions.items()]
    connection.execute(_replacing(insert(labels).values(rows), "finding_id", newer=True))


# --- Institutions: as with members. Their locks come after all of a member's, so that the two never wait for each other in a circle.


def screen_institution(connection: Connection, group: Group, version: int) -> None:
    """Note what was said of an institution and screen it, and again all that it concerns."""
    _lock(connection, "institution", [group.institution_id])
    held = queries.institution(connection, group.institution_id)
    if held and held[1] >= version:
        return
    _lock(connection, "institution lookup", group_rules.lookups(group) | (group_rules.lookups(held[0]) if held else set()))
    row = insert(institutions).values(**asdict(group) | {"accounts": list(group.accounts)}, version=version)
    connection.execute(_replacing(row, "institution_id"))
    if held is None or held[0] != group:
        _settle_institutions(connection, {group.institution_id})


def rescreen_institution(connection: Connection, institution_id: UUID) -> None:
    """Screen an institution again, as when the rules have changed."""
    _lock(connection, "institution", [institution_id])
    held = queries.institution(connection, institution_id)
    if held:
        _lock(connection, "institution lookup", group_rules.lookups(held[0]))
        _settle_institutions(connection, {institution_id})


@contextmanager
def groups_following(connection: Connection, member_id: UUID) -> Iterator[None]:
    """While what is known of a member changes: whose members are how many of another's is counted again where she was and where she is."""
    _lock(connection, "member", [member_id])
    groups = queries.groups_of(connection, member_id)
    yield
    groups |= queries.groups_of(connection, member_id)
    # Of two women of one group who come at once, the second counts the first: so look once more when the groups are held.
    _lock(connection, "group", groups | _sharing(connection, groups))
    if sharing := _sharing(connection, groups):
        _settle_institutions(connection, sharing | groups)


def _sharing(connection: Connection, groups: set[UUID]) -> set[UUID]:
    """The groups that have women in common with these, or had by the last screening."""
    return {other for group in groups for other in queries.in_common(connection, group)} | queries.institutions_naming(connection, groups)


def _settle_institutions(connection: Connection, ids: set[UUID]) -> None:
    """Screen institutions again, and all that they concerned before or concern now."""
    concerned = ids | queries.institutions_naming(connection, ids)
    for institution_id in ids:
        held = queries.institution(connection, institution_id)
        if held and group_rules.in_being(held[0]):
            concerned |= {match.other_id for match in queries.screen_institution(connection, held[0]).matches}
    _lock(connection, "group", concerned)
    for institution_id in sorted(concerned):
        held = queries.institution(connection, institution_id)
        if held and group_rules.in_being(held[0]):
            _screen_group(connection, held[0])


def _screen_group(connection: Connection, group: Group) -> None:
    """What waits is screened by what is known; what was let in keeps the screening that it was let in with."""
    told = queries.institution_screening(connection, group.institution_id)
    if told and told[0].revision == group.revision and group.status is Status.ACTIVE:
        return
    screening = queries.screen_institution(connection, group)
    if told is None or told[0] != screening:
        _tell_institution(connection, screening, told[1] + 1 if told else 1)


def _tell_institution(connection: Connection, screening: GroupScreening, version: int) -> None:
    """Store a screening in place of the one before, and tell it."""
    of = {"institution_id": screening.institution_id}
    row = insert(institution_screenings).values(**of, version=version, revision=screening.revision, verdict=screening.verdict)
    connection.execute(_replacing(row, "institution_id"))
    connection.execute(delete(institution_matches).where(institution_matches.c.institution_id == screening.institution_id))
    if screening.matches:
        rows = [{**of, **asdict(match), "clues": [astuple(clue) for clue in match.clues]} for match in screening.matches]
        connection.execute(insert(institution_matches).values(rows))
    tell(connection, _institution_message(screening), subject=screening.institution_id, version=version)


def _institution_message(screening: GroupScreening) -> dedup_pb2.InstitutionScreened:
    return dedup_pb2.InstitutionScreened(
        institution_id=str(screening.institution_id),
        revision=screening.revision,
        verdict=f"VERDICT_{screening.verdict}",
        matches=[
            dedup_pb2.InstitutionMatch(
                finding_id=str(match.finding_id),
                other_institution_id=str(match.other_id),
                verdict=f"VERDICT_{match.verdict}",
                clues=[dedup_pb2.Clue(**asdict(clue)) for clue in match.clues],
            )
            for match in screening.matches
        ],
    )


def restate_institutions(connection: Connection, hearer: str, after: UUID | None) -> list[UUID]:
    """As restate, of institutions."""
    page = queries.institution_screenings_after(connection, after, PAGE)
    for screening, version in page:
        tell(connection, _institution_message(screening), subject=screening.institution_id, version=version, to=hearer)
    return [screening.institution_id for screening, _ in page]
