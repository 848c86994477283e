"""Institutions handed in, and let in."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text, update

from services.chassis import audit, places
from services.chassis.sight import among
from services.kernel.approval import Act, Status, outcome
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.kernel.region import Level, at_level
from services.profiles import queries
from services.profiles.commands import record
from services.profiles.commands.account import ask_for_checks
from services.profiles.commands.cutover import must_be_cut_over
from services.profiles.commands.events import institution_changed, tell_all
from services.profiles.commands.image import name_images
from services.profiles.commands.lists import lists
from services.profiles.queries import AnyRow, Subject
from services.profiles.rules import institution as rules
from services.profiles.rules import review
from services.profiles.rules.account import Branches, must_be_known
from services.profiles.rules.form import Facts, Held, live, rows_of
from services.profiles.rules.institution import Kind
from services.profiles.rules.revision import is_repeat, must_stay
from services.profiles.tables import institutions, mappings


def lock_names(connection: Connection, block: str, *, shared: bool = False) -> None:
    """Names are given one at a time within a block, so that the same list sent twice at once makes one institution.

    `shared` gives none, and keeps all institutions of the block as they are.
    """
    lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    connection.execute(text(f"select {lock}(hashtextextended(:block, 0))"), {"block": f"profiles names {block}"})


def columns(content: Held) -> dict[str, Any]:
    """What the table keeps of a content besides: what others are told, and find it by."""
    parent_id = content.get("parent_id")
    return {
        "kind": content["kind"],
        "name": content["name"],
        "name_key": rules.name_key(content),
        "region": content["region"],
        "parent_id": UUID(str(parent_id)) if parent_id else None,
    }


def submit(
    connection: Connection,
    caller: Caller,
    institution_id: UUID,
    revision: int,
    said: Mapping[str, Any],
    today: date,
    *,
    branches: Branches | None = None,
    source: str = "FORM",
) -> Subject:
    """Hand an institution in, or a change of it, to the checker; as it then stands. `branches` is the list of all IFSC, if there is one."""
    kind = rules.parse_kind(str(said["kind"]))
    # Where it lies was known once; a place that has ended since does not lock its institutions.
    region = queries.region_of(connection, institution_id) or places.geography().must_know(str(said["region"]), today)
    lock_names(connection, at_level(region, Level.BLOCK))
    before = queries.institution_for_update(connection, institution_id)
    _must_be_hers(caller, kind, region, before)
    facts = Facts(today, lists(connection))
    content = rules.read(said, facts, before.row.content if before else None)
    if is_repeat(before.held if before else None, revision, Act.PROFILE, content):
        assert before is not None
        return before
    if before:
        must_stay(before.content, content, "kind", "region")
    must_be_known(rows_of(content, "accounts"), rows_of(before.row.content or {}, "accounts") if before else [], branches)
    outcome(before.live if before else None, Act.PROFILE)
    must_be_cut_over(connection, region, today)
    check_others(connection, institution_id, content)
    row = _entered(connection, institution_id, before, content, source, today)
    if row is None:  # Another call with the same id was quicker; what it stored is now to be compared with.
        return submit(connection, caller, institution_id, revision, said, today, branches=branches, source=source)
    warned = bool(rules.warnings(kind, content, queries.member_counts(connection, institution_id).get(Status.ACTIVE, 0), facts))
    said_of_it = record.waiting_row(institution_id, kind.value, institution_id, region, content)
    waiting = record.hand_in(connection, caller, before, said_of_it, act=Act.PROFILE, revision=revision, open_questions=warned)
    made = Subject(kind.value, row, waiting)
    name_images(connection, institution_id, institution_id, [made.content, content])
    ask_for_checks(connection, institution_id, str(content["name"]), live(rows_of(content, "accounts")))
    audit.changed(connection, caller, "institution.submit", institution_id, revision=revision)
    if not made.live:
        tell_all(connection, [institution_changed(made)])
    return made


def _entered(connection: Connection, institution_id: UUID, before: Subject | None, content: Held, source: str, today: date) -> AnyRow | None:
    """Its record; one that is live stays as it is."""
    if before is None:
        return record.new(connection, institutions, institution_id, source, today, status=Status.SUBMITTED.value, **columns(content))
    if before.live:
        return before.row
    return record.change(connection, institutions, before.row, status=Status.SUBMITTED.value, **columns(content))


def _must_be_hers(caller: Caller, kind: Kind, region: str, before: Subject | None) -> None:
    """It must be mapped to her. What is new, or was made by her and is not mapped to her yet, must lie in her region and be of her own kind."""
    if before is None or (before.handed_in_by(caller) and before.row.id not in caller.institutions):
        caller.must_see_region(region if before is None else before.row.region)
        rules.check_maker(kind, caller.role)
    else:
        caller.must_see(before.row.id, before.row.region)


def check_others(connection: Connection, institution_id: UUID, content: Held) -> None:
    """The federation that it names, and that no other has its name in its place."""
    parent_id = columns(content)["parent_id"]
    parents = queries.institutions_among(connection, [parent_id]) if parent_id else []
    rules.check_parent(content, parents[0].content if parents else None)
    if parents and parents[0].live is Status.INACTIVE:
        raise Conflict("INSTITUTION_INACTIVE", "That federation is closed; choose another.", field="parent_id")
    named = queries.institution_named(connection, str(content["region"]), str(content["kind"]), rules.name_key(content))
    if named not in {None, institution_id}:
        raise name_taken()


def name_taken() -> Conflict:
    return Conflict("NAME_TAKEN", "There is an institution of that kind and name in this place; tell them apart by a number.", field="name")


def let_in(connection: Connection, caller: Caller, subject: Subject, today: date) -> Subject:
    """What waits of it is live from now on; what is new gets its code."""
    waiting = subject.waiting
    assert waiting is not None
    kind, content = Kind(subject.kind), dict(waiting.content)
    status = outcome(subject.live, Act.PROFILE)
    check_others(connection, subject.row.id, content)  # Others may have been let in since it was handed in.
    if subject.live is not Status.ACTIVE:  # Also of the old MIS: it is verified as a new one is.
        rules.check_members(kind, queries.member_counts(connection, subject.row.id))
    named = [UUID(member_id) for member_id in set(rules.named_members(content).values())]
    rules.check_seats(content, queries.active_below(connection, subject.row.id, named))
    record.let_in(connection, caller, subject)
    values = columns(content) | {"status": status.value, "revision": waiting.revision, "content": content}
    values |= {"code": subject.row.code or record.issue_code(connection, subject.kind), "activated_on": subject.row.activated_on or today}
    made = Subject(subject.kind, record.change(connection, institutions, subject.row, **values), None)
    name_images(connection, made.row.id, made.row.id, [content])
    map_to(connection, [made.row.id], made.row.parent_id, today)
    tell_all(connection, [institution_changed(made)])
    return made


def map_to(connection: Connection, child_ids: Sequence[UUID], parent_id: UUID | None, on: date) -> None:
    """Keep in which federation these are from a day on, and in which each was until then (R-SHG-7)."""
    open_ones = among(mappings.c.child_id, child_ids), mappings.c.to_on.is_(None)
    connection.execute(update(mappings).where(*open_ones, mappings.c.parent_id.is_distinct_from(parent_id)).values(to_on=on))
    if parent_id:
        made = text(
            "insert into mappings (child_id, from_on, parent_id) select child, :on, :parent from unnest(cast(:children as uuid[])) as child"
            " where not exists (select from mappings where child_id = child and to_on is null)"
            " on conflict (child_id, from_on) do update set parent_id = excluded.parent_id, to_on = null"
        )
        connection.execute(made, {"children": list(child_ids), "on": on, "parent": parent_id})


def hand_back(connection: Connection, subject: Subject, words: review.HandedBack) -> Subject:
    waiting = record.hand_back(connection, subject, words.reviews, words.reasons, words.remark)
    if subject.live:
        return Subject(subject.kind, subject.row, waiting)
    made = Subject(subject.kind, record.change(connection, institutions, subject.row, status=Status.REJECTED.value), waiting)
    tell_all(connection, [institution_changed(made)])
    return made
