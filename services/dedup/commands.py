"""Changes what is known of people and what was found, and tells of each screening that came out otherwise than before.

A screening is always what the comparison with everybody on the books gives now: whenever a record comes, changes or is
rejected, all whom it concerns are screened again. So the order in which events come leaves no trace.

Locks are taken from wide to narrow, each kind in the order of its numbers, so that nobody waits in a circle: the member,
then every lookup that she could be found by, then the screenings that are written. Two records that could find each other
share a lookup; so whichever comes second sees the first, and no second screening after the commit is needed.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, replace
from uuid import UUID

from sqlalchemy import Connection, func, text, update
from sqlalchemy.dialects.postgresql import Insert, insert

from protos import dedup_pb2
from services.chassis.mailbox import tell
from services.dedup import queries, rules
from services.dedup.rules import Match, Person, Record, Screening, Verdict
from services.dedup.tables import contested, labels, matches, people, screenings, statuses
from services.kernel.approval import Status

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


def screen(connection: Connection, record: Record, version: int) -> None:
    """Note a submitted record and screen it, and again all whom it concerns."""
    _lock(connection, "member", [record.member_id])
    held = queries.person(connection, record.member_id)
    if held and held[1] >= version:
        return
    person = rules.person(record, rules.status_of(record.revision, queries.decided(connection, record.member_id)))
    _lock(connection, "lookup", rules.lookups(person) | (rules.lookups(held[0]) if held else set()))
    connection.execute(_replacing(insert(people).values(**asdict(person), version=version), "member_id"))
    _settle(connection, person)


def decide(connection: Connection, member_id: UUID, revision: int, status: Status, decisions: Mapping[UUID, str], version: int) -> None:
    """Note an officer's decision on a record, with a label for each finding; a rejected record concerns nobody any more."""
    _lock(connection, "member", [member_id])
    if decisions:
        about = {"member_id": member_id, "revision": revision, "version": version}
        rows = [{"finding_id": finding_id, "decision": decision, **about} for finding_id, decision in decisions.items()]
        connection.execute(_replacing(insert(labels).values(rows), "finding_id", newer=True))
    decided = insert(statuses).values(member_id=member_id, version=version, revision=revision, status=status)
    connection.execute(_replacing(decided, "member_id", newer=True))
    held = queries.person(connection, member_id)
    if held is None:
        return
    person = replace(held[0], status=rules.status_of(held[0].revision, queries.decided(connection, member_id)))
    if person == held[0]:
        return
    _lock(connection, "lookup", rules.lookups(person))
    connection.execute(update(people).where(people.c.member_id == member_id).values(status=person.status))
    _settle(connection, person)


def rescreen(connection: Connection, member_id: UUID) -> None:
    """Screen a member again, as when the rules have changed."""
    _lock(connection, "member", [member_id])
    held = queries.person(connection, member_id)
    if held:
        _lock(connection, "lookup", rules.lookups(held[0]))
        _settle(connection, held[0])


# --- What is found.


def _settle(connection: Connection, person: Person) -> None:
    """Screen a member whose lookups are held, and again all whom her record concerned before or concerns now."""
    concerned = queries.concerned(connection, person.member_id)
    if person.status is not Status.REJECTED:
        concerned |= {match.other_id for match in queries.screen(connection, person).matches}
    concerned.add(person.member_id)
    _lock(connection, "screening", concerned)
    for member_id in sorted(concerned):
        held = queries.person(connection, member_id)
        assert held, "only who is held can be found"
        _screen_one(connection, held[0])


def _screen_one(connection: Connection, person: Person) -> None:
    """A submitted record's screening follows what is known; an active one's stays, and a proof against it is a case of its own."""
    if person.status is Status.REJECTED:
        _contest(connection, person.member_id, set())
        return
    screening = queries.screen(connection, person)
    told = queries.screening(connection, person.member_id)
    if told is None or told[0].revision != person.revision or (person.status is Status.SUBMITTED and told[0] != screening):
        _tell(connection, screening, told[1] + 1 if told else 1)
    proofs = {match.other_id for match in screening.matches if match.verdict is Verdict.CONFIRMED}
    _contest(connection, person.member_id, proofs if person.status is Status.ACTIVE else set())


def _tell(connection: Connection, screening: Screening, version: int) -> None:
    """Store a screening and tell it."""
    of_member = {"member_id": screening.member_id, "revision": screening.revision, "version": version}
    row = insert(screenings).values(**of_member, region=screening.region, verdict=screening.verdict)
    connection.execute(_replacing(row, "member_id"))
    if screening.matches:
        rows = [{**of_member, **asdict(match), "clues": [astuple(clue) for clue in match.clues]} for match in screening.matches]
        connection.execute(_replacing(insert(matches).values(rows), "finding_id"))
    tell(connection, _message(screening), subject=screening.member_id, version=version)


def _contest(connection: Connection, member_id: UUID, others: set[UUID]) -> None:
    """Open a contested case with each of the others, and settle those with anybody else."""
    known = queries.open_contests(connection, member_id)
    if others - known:
        opened = insert(contested).values([{"member_id": member_id, "other_id": other} for other in sorted(others - known)])
        connection.execute(_replacing(opened, "member_id", "other_id"))
    if known - others:
        gone = (contested.c.member_id == member_id) & contested.c.other_id.in_(known - others)
        connection.execute(update(contested).where(gone).values(settled_at=func.now()))


# --- What is told.


def show(match: Match) -> dedup_pb2.Match:
    """A match as it travels."""
    return dedup_pb2.Match(
        finding_id=str(match.finding_id),
        other_member_id=str(match.other_id),
        verdict=f"VERDICT_{match.verdict}",
        weight_centibits=match.weight_centibits,
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
