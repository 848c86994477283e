"""Institutions handed in, and let in."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, literal, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from protos import dedup_pb2
from services.chassis import audit, places
from services.chassis.sight import among
from services.kernel.approval import IN_BOOKS, LIVE, OVER, Act, Status, outcome
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.kernel.month import today as this_day
from services.kernel.region import Level, at_level
from services.profiles import queries
from services.profiles.commands import record
from services.profiles.commands.account import ask_for_checks, has_doubtful_account
from services.profiles.commands.cutover import must_be_cut_over
from services.profiles.commands.events import Told, institutions_changed, institutions_submitted, tell_all
from services.profiles.commands.image import let_go_of_split, name_images
from services.profiles.commands.lists import lists
from services.profiles.commands.places import members_follow
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules import institution as rules
from services.profiles.rules import review
from services.profiles.rules.account import Branches, must_be_known
from services.profiles.rules.form import Facts, Held, live, rows_of, words_of
from services.profiles.rules.institution import Kind
from services.profiles.rules.life import blaming
from services.profiles.rules.revision import is_repeat, is_withdrawn, must_stay
from services.profiles.tables import institution_findings, institutions, mappings, submissions


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
    region, held_at = str(said["region"]).strip(), queries.region_of(connection, institution_id)
    if not held_at:
        places.geography().must_know(region, today)
    for block in sorted({at_level(one, Level.BLOCK) for one in (region, held_at) if one}):
        lock_names(connection, block)
    before = queries.institution_for_update(connection, institution_id)
    _must_be_hers(caller, kind, region, before)
    facts = Facts(today, lists(connection))
    content = rules.read(said, facts, before.row.content if before else None)
    if is_repeat(before.held if before else None, revision, Act.PROFILE, content, _moved(connection, before, content, today)):
        assert before is not None
        return before
    if before:
        if region != before.row.region:  # Where it lies was known once; a place that has ended since does not lock its institutions.
            places.geography().must_know(region, today)
        must_stay(before.content, content, "kind")
        rules.check_place(before.content, content, live=before.live is not None)
    must_be_known(rows_of(content, "accounts"), rows_of(before.row.content or {}, "accounts") if before else [], branches)
    outcome(before.live if before else None, Act.PROFILE)
    must_be_cut_over(connection, region, today)
    check_others(connection, institution_id, content)
    row = _entered(connection, institution_id, before, content, source, today)
    if row is None:  # Another call with the same id was quicker; what it stored is now to be compared with.
        return submit(connection, caller, institution_id, revision, said, today, branches=branches, source=source)
    # Of one that is live it stays her task where it lies until it is let in.
    said_of_it = record.waiting_row(institution_id, kind.value, institution_id, row.region, content)
    waiting = record.hand_in(
        connection,
        caller,
        before,
        said_of_it,
        act=Act.PROFILE,
        revision=revision,
        open_questions=True,  # Until the duplicate check says that there are none.
        verdict=None,  # A screening of an earlier revision does not count.
        screening_version=0,
    )
    made = Subject(kind.value, row, waiting)
    _with_its_members(connection, caller, before, row)
    name_images(connection, institution_id, institution_id, [made.content, content])
    let_go_of_split(connection, before.waiting if before else None)
    ask_for_checks(connection, institution_id, str(content["name"]), live(rows_of(content, "accounts")))
    audit.changed(connection, caller, "institution.submit", institution_id, revision=revision)
    # Of one that is live nothing has changed for anybody but the duplicate check.
    tell_all(connection, institutions_submitted([made]) if made.live else institutions_changed(connection, [made]))
    return made


def _moved(connection: Connection, before: Subject | None, said: Held, today: date) -> list[str]:
    """What has changed of it since it was said: its place or one that it serves ended in favour of another, or its federation was split or merged."""
    if before is None:
        return []
    at, moved, here = columns(said), [], places.geography()
    if at["region"] != before.row.region and not here.place(at["region"], today):
        moved.append("region")
    if any(not here.place(served, today) for served in words_of(said, "area")):
        moved.append("area")
    if (
        before.waiting is None
        and at["parent_id"] not in {None, before.row.parent_id}
        and queries.was_under(connection, before.row.id, at["parent_id"])
    ):
        moved.append("parent_id")
    return moved


def _entered(connection: Connection, institution_id: UUID, before: Subject | None, content: Held, source: str, today: date) -> AnyRow | None:
    """Its record; one that is live stays as it is."""
    if before is None:
        return record.new(connection, institutions, institution_id, source, today, status=Status.SUBMITTED.value, **columns(content))
    if before.live:
        return before.row
    return record.change(connection, institutions, before.row, status=Status.SUBMITTED.value, **columns(content))


def _with_its_members(connection: Connection, caller: Caller, before: Subject | None, row: AnyRow) -> None:
    """Where it lies was put right: its members lie there too."""
    if before is not None and before.row.region != row.region:
        members_follow(connection, caller, [row.id], row.region)


def _must_be_hers(caller: Caller, kind: Kind, region: str, before: Subject | None) -> None:
    """It must be mapped to her. What is new, or was made by her and is not mapped to her yet, must lie in her region and be of her own kind.

    Until it is live she may put it anywhere in her region; of what is live the checker says whether it lies elsewhere.
    """
    if before is None or (before.live is None and region != before.row.region):
        caller.must_see_region(region)
    if before is None:
        rules.check_maker(kind, caller.role)
    elif before.handed_in_by(caller) and before.row.id not in caller.institutions:
        caller.must_see_region(before.row.region)
        rules.check_maker(kind, caller.role)
    else:
        caller.must_see(before.row.id, before.row.region)


def withdraw(connection: Connection, caller: Caller, institution_id: UUID, revision: int) -> Subject:
    """Take back what was never live, as a list's row that is wrong; again is the same answer."""
    if held_at := queries.region_of(connection, institution_id):
        lock_names(connection, at_level(held_at, Level.BLOCK))  # So that nobody names it meanwhile.
    subject = queries.institution_for_update(connection, institution_id)
    if subject is None or not (
        caller.sees(institution_id, subject.row.region) or (subject.handed_in_by(caller) and caller.sees_region(subject.row.region))
    ):
        raise queries.unknown_institution()
    if is_withdrawn(Status(subject.row.status), subject.held.revision, revision):
        return subject
    rules.check_nobody_left(queries.member_counts(connection, institution_id))
    rules.check_no_children_left(len(queries.live_children(connection, institution_id)))
    # Its name is free for another: the key is its own id, which is nobody's name, until it is handed in again.
    made = record.withdraw(connection, institutions, subject, name_key=str(institution_id))
    audit.changed(connection, caller, "institution.withdraw", institution_id, revision=revision)
    tell_all(connection, institutions_changed(connection, [made]))
    return made


def check_others(connection: Connection, institution_id: UUID, content: Held) -> None:
    """The federation that it names; and that no other has its name in its place."""
    parent_id = columns(content)["parent_id"]
    parents = queries.institutions_among(connection, [parent_id]) if parent_id else []
    rules.check_parent(content, parents[0].content if parents else None)
    if parents and parents[0].row.status in OVER:
        raise Conflict("INSTITUTION_INACTIVE", "That federation is closed or withdrawn; choose another.", field="parent_id")
    named = queries.institution_named(connection, str(content["region"]), str(content["kind"]), rules.name_key(content))
    if named not in {None, institution_id}:
        raise name_taken()


def name_taken() -> Conflict:
    return Conflict("NAME_TAKEN", "There is an institution of that kind and name in this place; tell them apart by a number.", field="name")


def note_screening(connection: Connection, version: int, screened: dedup_pb2.InstitutionScreened) -> None:
    """Keep what the duplicate check says, if it speaks of it as it now is, or as it waits, and is news."""
    subject = queries.institution_for_update(connection, UUID(screened.institution_id))
    if subject is None:
        raise LookupError("a screening of an institution that nobody submitted")
    of = [one for one in (subject.waiting, subject.row) if one is not None and one.revision == screened.revision]
    if not of or version <= of[0].screening_version:
        return
    _store_findings(connection, subject.row.id, screened)
    verdict = review.Verdict(dedup_pb2.Verdict.Name(screened.verdict).removeprefix("VERDICT_"))
    noted = {"verdict": verdict.value, "screening_version": version}
    if of[0] is subject.row:
        connection.execute(update(institutions).where(institutions.c.id == subject.row.id).values(noted))
        return
    content, facts = dict(of[0].content), Facts(this_day(), lists(connection))
    asks = bool(rules.questions(Kind(subject.kind), content, facts)) or has_doubtful_account(connection, subject.row.id, content)
    waits = update(submissions).where(submissions.c.record_id == subject.row.id)
    connection.execute(waits.values(noted | {"open_questions": asks or verdict is not review.Verdict.CLEAR}))


def _store_findings(connection: Connection, institution_id: UUID, screened: dedup_pb2.InstitutionScreened) -> None:
    """The findings of this screening replace those of the one before; what was decided on one stays."""
    of_it = institution_findings.c.institution_id == institution_id, institution_findings.c.revision == screened.revision
    gone = institution_findings.c.finding_id.not_in([match.finding_id for match in screened.matches])
    connection.execute(delete(institution_findings).where(*of_it, institution_findings.c.decision.is_(None), gone))
    if not screened.matches:
        return
    made = postgresql.insert(institution_findings).values(
        [
            {
                "institution_id": institution_id,
                "revision": screened.revision,
                "finding_id": match.finding_id,
                "verdict": dedup_pb2.Verdict.Name(match.verdict).removeprefix("VERDICT_"),
                "other_institution_id": UUID(match.other_institution_id),
                "clues": [clue.words for clue in match.clues],
            }
            for match in screened.matches
        ]
    )
    newer = {name: made.excluded[name] for name in ("verdict", "clues")}  # Of the same finding the other is the same.
    connection.execute(made.on_conflict_do_update(index_elements=["institution_id", "revision", "finding_id"], set_=newer))


def _verdicts(connection: Connection, subject: Subject) -> dict[str, review.Verdict]:
    found = queries.institution_findings_of(connection, [subject])[subject.row.id]
    return {finding.finding_id: review.Verdict(finding.verdict) for finding in found}


def _decide(connection: Connection, caller: Caller, subject: Subject, decisions: Sequence[review.Decided]) -> None:
    if not decisions:
        return
    one = (
        update(institution_findings)
        .where(
            institution_findings.c.institution_id == subject.row.id,
            institution_findings.c.revision == subject.profile.revision,
            institution_findings.c.finding_id == bindparam("finding"),
        )
        .values(decision=bindparam("decided"), reason=bindparam("why"), decided_by=caller.user_id, decided_at=func.now())
    )
    connection.execute(one, [{"finding": d.finding_id, "decided": d.decision.value, "why": d.reason} for d in decisions])


def let_in(connection: Connection, caller: Caller, subject: Subject, decisions: Sequence[review.Decided], today: date) -> Subject:
    """What waits of it is live from now on; what is new gets its code."""
    waiting = subject.waiting
    assert waiting is not None
    kind, content = Kind(subject.kind), dict(waiting.content)
    status = outcome(subject.live, Act.PROFILE)
    checked = review.check_approval(screened=waiting.verdict is not None, findings=_verdicts(connection, subject), decisions=decisions)
    caller.must_see_region(str(content["region"]))  # What moves out of her clusters another lets in.
    check_others(connection, subject.row.id, content)  # Others may have been let in since it was handed in.
    if content["region"] != subject.row.region:  # The place that it is to have may have ended.
        places.geography().must_know(str(content["region"]), today)
    if subject.live is not Status.ACTIVE:  # Also of the old MIS: it is verified as a new one is.
        rules.check_members(kind, queries.member_counts(connection, subject.row.id))
    coming = _coming(connection, subject.row.id, content) if subject.live is None else []
    named_it = queries.live_children(connection, subject.row.id) if subject.live is None else []
    with blaming("area"):  # It may have been put elsewhere since.
        for one in named_it:
            rules.check_parent(one.content, content)
    check_acting(connection, subject.row.id, content, [one.row.id for one in coming])
    _decide(connection, caller, subject, checked)
    record.let_in(connection, caller, subject)
    values = columns(content) | {"verdict": waiting.verdict, "screening_version": waiting.screening_version}
    values |= {"status": status.value, "revision": waiting.revision, "content": content}
    values |= {"code": subject.row.code or record.issue_code(connection, subject.kind), "activated_on": subject.row.activated_on or today}
    made = Subject(subject.kind, record.change(connection, institutions, subject.row, **values), None)
    name_images(connection, made.row.id, made.row.id, [content])
    map_to(connection, [made.row.id], made.row.parent_id, today)
    _with_its_members(connection, caller, subject, made.row)
    under = put_under(connection, [one.row.id for one in coming], made.row.id, today)
    map_to(connection, [one.row.id for one in named_it], made.row.id, today)
    tell_all(connection, [*institutions_changed(connection, [made]), *under])
    return made


def warned(connection: Connection, subject: Subject, today: date) -> bool:
    """Whether there is something to look at in what waits of an institution, as of now."""
    if subject.kind == MEMBER or subject.waiting is None:
        return False
    active, facts = queries.member_counts(connection, subject.row.id).get(Status.ACTIVE, 0), Facts(today, lists(connection))
    # That the federation over it is not live yet is no question: it is mapped to it by itself.
    return bool(rules.warnings(Kind(subject.kind), dict(subject.profile.content), active, facts))


def check_acting(connection: Connection, institution_id: UUID, content: Held, coming: Sequence[UUID] = ()) -> None:
    """Who acts for it is active in it, and whoever sits in a federation is so where she stands for; `coming` are about to belong to it."""
    of_shg = content["kind"] == Kind.SHG
    own = [institution_id] if of_shg else [*(one.row.id for one in queries.live_children(connection, institution_id)), *coming]
    ids, under = {str(one) for one in own}, queries.active_under(connection, {UUID(one) for one in rules.named_members(content).values()})
    rules.check_seats(content, {member_id for member_id, above in under.items() if above & ids})
    rules.check_stands_for(content, under, ids)


def _coming(connection: Connection, institution_id: UUID, content: Held) -> list[Subject]:
    """What comes into a federation with its activation beside those that name it: whom its seats stand for, and which name none yet."""
    ids = {UUID(str(seat["institution_id"])) for seat in live(rows_of(content, "seats")) if "institution_id" in seat}
    found = [one for one in queries.institutions_among(connection, ids) if one.live in IN_BOOKS and one.row.parent_id is None]
    with blaming("seats"):
        for one in found:
            if one.waiting is not None and one.waiting.status == Status.SUBMITTED and one.waiting.content.get("parent_id") != str(institution_id):
                raise Conflict("CHILD_PENDING", "An edit of {name} waits, which says nothing of this; have it decided first.", name=one.row.name)
            rules.check_parent({**one.content, "parent_id": str(institution_id)}, content)
    return found


def put_under(connection: Connection, child_ids: Sequence[UUID], parent_id: UUID, today: date) -> list[Told]:
    """All of them to one federation, in as many statements as one; what others are to be told."""
    if not child_ids:
        return []
    map_to(connection, child_ids, parent_id, today)
    content = institutions.c.content.op("||")(literal({"parent_id": str(parent_id)}, JSONB))
    moved = update(institutions).where(among(institutions.c.id, child_ids))
    rows = connection.execute(moved.values(version=institutions.c.version + 1, parent_id=parent_id, content=content).returning(institutions)).all()
    return institutions_changed(connection, queries.subjects(connection, rows))


def map_to(connection: Connection, child_ids: Sequence[UUID], parent_id: UUID | None, on: date) -> None:
    """Keep in which federation these are from a day on, and in which each was until then (R-SHG-7); in one that is not live yet, nobody is."""
    open_ones = among(mappings.c.child_id, child_ids), mappings.c.to_on.is_(None)
    connection.execute(update(mappings).where(*open_ones, mappings.c.parent_id.is_distinct_from(parent_id)).values(to_on=on))
    if parent_id:
        made = text(
            "insert into mappings (child_id, from_on, parent_id) select child, :on, :parent from unnest(cast(:children as uuid[])) as child"
            " where not exists (select from mappings where child_id = child and to_on is null)"
            " and exists (select from institutions where id = :parent and status = any(:live))"
            " on conflict (child_id, from_on) do update set parent_id = excluded.parent_id, to_on = null"
        )
        connection.execute(made, {"children": list(child_ids), "on": on, "parent": parent_id, "live": sorted(LIVE)})


def hand_back(connection: Connection, caller: Caller, subject: Subject, words: review.HandedBack, decisions: Sequence[review.Decided]) -> Subject:
    verdicts = _verdicts(connection, subject)
    checked = review.check_decisions(verdicts, decisions)
    review.check_duplicate_reason(words.reasons, verdicts, checked)
    _decide(connection, caller, subject, checked)
    waiting = record.hand_back(connection, subject, words.reviews, words.reasons, words.remark)
    if subject.live:  # It stays as it was, and the duplicate check hears that it does.
        made = Subject(subject.kind, subject.row, waiting)
        tell_all(connection, institutions_submitted([made]))
        return made
    made = Subject(subject.kind, record.change(connection, institutions, subject.row, status=Status.REJECTED.value), waiting)
    tell_all(connection, institutions_changed(connection, [made]))
    return made
