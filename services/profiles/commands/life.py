"""What happens to a live record in the course of life: handed in like an edit, and carried out once a checker has approved it.

What must be so is looked at when it is handed in and again when it is carried out, for the world may have moved in between.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB

from protos.transactions_pb2 import MemberSettled
from services.chassis import audit, settings
from services.chassis.sight import among
from services.kernel.approval import Act, Status, outcome
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.kernel.region import Level, at_level
from services.profiles import queries
from services.profiles.commands import institution, record
from services.profiles.commands.account import ask_for_checks
from services.profiles.commands.cutover import must_be_cut_over
from services.profiles.commands.events import institutions_changed, member_decided, member_submitted, members_changed, tell_all
from services.profiles.commands.happening import Happening, check, check_settled, gather, merged_into, own_id_of, target_id
from services.profiles.commands.image import let_go_of_split, name_images
from services.profiles.commands.lists import lists
from services.profiles.queries import MEMBER, Subject
from services.profiles.rules import life as rules
from services.profiles.rules.form import Facts, Held, live, rows_of
from services.profiles.rules.institution import Kind
from services.profiles.rules.revision import Held as HeldRevision
from services.profiles.rules.revision import is_repeat
from services.profiles.tables import institutions, members, memberships, submissions


def submit(connection: Connection, caller: Caller, kind: str, record_id: UUID, revision: int, said: Mapping[str, Any], today: date) -> Subject:
    """Hand in what happened to a member, or where `kind` is empty to an institution; as the record then stands."""
    of_member = kind == MEMBER
    subject = queries.member_for_update(connection, record_id) if of_member else queries.institution_for_update(connection, record_id)
    if subject is None:
        raise queries.unknown_member() if of_member else queries.unknown_institution()
    own_id = own_id_of(subject)
    caller.must_see(own_id, subject.row.region, "record_id")
    facts = Facts(today, lists(connection))
    act, content = rules.read(None if of_member else Kind(subject.kind), said, facts, subject.content)
    if is_repeat(_held(connection, subject), revision, act, content):
        return subject
    made = _hand_in(connection, caller, subject, revision, act, content, facts)
    audit.changed(connection, caller, "member.event" if of_member else "institution.event", record_id, revision=revision, act=act.value)
    return made


def _hand_in(connection: Connection, maker: Caller, subject: Subject, revision: int, act: Act, content: Held, facts: Facts) -> Subject:
    outcome(subject.live, act)
    must_be_cut_over(connection, subject.row.region, facts.today)
    check(connection, gather(connection, subject, act, content, facts))
    waiting = record.hand_in(
        connection,
        maker,
        subject,
        record.waiting_row(subject.row.id, subject.kind, own_id_of(subject), subject.row.region, content),
        act=act,
        revision=revision,
        open_questions=True,  # Whatever ends or moves, a checker looks at by itself.
        verdict=None,
        released_by="",
        released_person="",
    )
    made = Subject(subject.kind, subject.row, waiting)
    let_go_of_split(connection, subject.waiting)
    _name_images(connection, made, act, content)
    return made


def go_on_as(connection: Connection, caller: Caller, newer: Subject, stays_id: UUID, today: date) -> None:
    """She was entered anew, and goes on by the record that she has: where that is of another SHG, or ended, her move waits from now on.

    It waits as if the bookkeeper who entered her had handed it in, for the checker of where she is, who may see what the caller may not: so
    a refusal says no more of her than a code and its sentence. The day is today's, so that nothing in the books before it is touched.
    """
    waiting, stays = newer.waiting, queries.member_for_update(connection, stays_id)
    assert waiting is not None
    with rules.blaming("decisions"):
        if stays is None:
            raise queries.unknown_member()
        elsewhere = stays.row.institution_id != waiting.institution_id
        act = rules.act_of_double(stays.live, merged=stays.row.merged_into is not None, elsewhere=elsewhere)
        if act is None:
            return
        outcome(stays.live, act)
        if stays.waiting is not None and stays.waiting.status == Status.SUBMITTED:
            raise Conflict("LOCKED", "Something of her other record waits for its checker already; when that is decided, she can move.")
        said = {"act": act, "on": today.isoformat(), "to_institution_id": str(waiting.institution_id) if elsewhere else ""}
        facts = Facts(today, lists(connection))
        act, content = rules.read(None, said, facts, stays.content)
        maker, revision = Caller(waiting.maker_user, person=waiting.maker_person), stays.held.revision + 1
        _hand_in(connection, maker, stays, revision, act, content, facts)
    audit.changed(connection, caller, "member.event", stays_id, revision=revision, act=act.value, entered_anew=str(newer.row.id))


def _held(connection: Connection, subject: Subject) -> HeldRevision:
    """What was handed in last; an act that was carried out too."""
    past = None if subject.waiting is not None else queries.act_of(connection, subject.row.id, subject.row.revision)
    return subject.held if past is None else HeldRevision(Status(subject.row.status), past.revision, Act(past.act), dict(past.content))


def _name_images(connection: Connection, subject: Subject, act: Act, content: Held) -> None:
    """The images of what comes into being, and of what begins anew."""
    new, live_one = rules.profile(content), subject.content
    name_images(connection, subject.row.id, own_id_of(subject), [live_one, new] if act is Act.REVIVE else [live_one])
    if act is Act.SPLIT:
        new_id = UUID(str(dict(content["new_institution"])["institution_id"]))  # type: ignore[arg-type]  # a mapping by the form
        with rules.within("new_institution"):
            name_images(connection, new_id, new_id, [new])


def hold(connection: Connection, record_id: UUID) -> None:
    """Lock what the approval of what waits concerns, before the record itself.

    Everybody locks in one order, so that nobody waits in a circle: first the names of blocks, by their paths; then institutions,
    by id; then members, by id. An institution is decided on alone in its block; beside members' acts no institution of theirs is.
    """
    waiting = queries.submission(connection, record_id)
    if waiting is None or (waiting.kind == MEMBER and waiting.act == Act.PROFILE):
        return
    if waiting.kind == MEMBER:
        hers = select(members.c.region).where(members.c.id == record_id)
        there = select(institutions.c.region).where(institutions.c.id == target_id(waiting.content))
        for block in sorted({at_level(region, Level.BLOCK) for region in connection.scalars(hers.union(there))}):
            institution.lock_names(connection, block, shared=True)
        own = select(members.c.institution_id).where(members.c.id == record_id)
        both = or_(institutions.c.id == own.scalar_subquery(), institutions.c.id == target_id(waiting.content))
        connection.execute(select(institutions.c.id).where(both).order_by(institutions.c.id).with_for_update(read=True))
        if stays := merged_into(waiting.content):
            hold_members(connection, [record_id, stays])
        return
    institution.lock_names(connection, waiting.block)
    if waiting.act == Act.PROFILE:
        return
    named = [UUID(one) for one in waiting.content.get("ids", ())]
    touched = or_(among(institutions.c.id, [record_id, *named, *filter(None, [target_id(waiting.content)])]), institutions.c.parent_id == record_id)
    connection.execute(select(institutions.c.id).where(touched).order_by(institutions.c.id).with_for_update())
    connection.execute(select(members.c.id).where(members.c.institution_id == record_id).order_by(members.c.id).with_for_update())


def hold_members(connection: Connection, ids: Collection[UUID]) -> None:
    connection.execute(select(members.c.id).where(among(members.c.id, ids)).order_by(members.c.id).with_for_update())


def note_settlement(connection: Connection, settled: MemberSettled) -> None:
    """Keep since when she is settled, and with whom: the newest settlement stays, whichever is heard last."""
    asked = select(members.c.id, members.c.settled_on).where(members.c.id == UUID(settled.member_id))
    row = connection.execute(asked.with_for_update()).one_or_none()
    if row is None:
        raise LookupError("a settlement of a member whom nobody submitted")
    on = date.fromisoformat(settled.settled_on)
    if row.settled_on is None or row.settled_on < on:
        noted = {"settled_on": on, "settled_with": UUID(settled.institution_id)}
        connection.execute(update(members).where(members.c.id == row.id).values(noted))


# --- What is done.


def carry_out(connection: Connection, caller: Caller, subject: Subject, today: date) -> Subject:
    """Do what was approved, all of it or nothing; the very `subject` where this caller has done her part already.

    A woman who goes to another block is let go by its manager first, and then waits for the manager of the block that she goes to.
    """
    waiting = subject.waiting
    assert waiting is not None
    act = Act(waiting.act)
    outcome(subject.live, act)
    event = gather(connection, subject, act, dict(waiting.content), Facts(today, lists(connection)))
    check(connection, event)
    if subject.kind == MEMBER and act in rules.GOING and settings.state().policies.value("leaving_needs_settlement", today):
        check_settled(connection, event)
    if subject.kind == MEMBER and event.other is not None and _block(event.other) != _block(event.own):
        if not waiting.released_by:
            return _release(connection, caller, event)
        if not caller.sees(event.other.row.id, event.other.row.region):
            return subject
        rules.must_be_other(caller, waiting.released_by, waiting.released_person)
    record.let_in(connection, caller, subject)
    made, touched = _change_member(connection, event) if subject.kind == MEMBER else _CHANGES[act](connection, event)
    if act is Act.SPLIT:  # What is split off is let in with it.
        record.note_approval(connection, caller, waiting, event.new_id, 1, Act.PROFILE, {})
    if touched:
        audit.changed(connection, caller, f"life.{act.lower()}", *touched, of=str(subject.row.id), revision=waiting.revision)
    return made


def _block(one: Subject) -> str:
    return at_level(one.row.region, Level.BLOCK)


def _release(connection: Connection, caller: Caller, event: Happening) -> Subject:
    """What waits of her waits there from now on."""
    assert event.other is not None
    values = record.place(event.other.row.id, event.other.row.region) | {"released_by": caller.user_id, "released_person": caller.person}
    hers = submissions.c.record_id == event.subject.row.id
    waiting = connection.execute(update(submissions).where(hers).values(values).returning(submissions)).one()
    return Subject(MEMBER, event.subject.row, waiting)


def _change_member(connection: Connection, event: Happening) -> tuple[Subject, list[UUID]]:
    subject, waiting = event.subject, event.subject.waiting
    assert waiting is not None
    values = {"revision": waiting.revision, "status": outcome(subject.live, event.act).value, "submitted_version": members.c.version + 1}
    if event.act in {Act.REVIVE, Act.REINSTATE}:
        values |= {"merged_into": None}  # She is another woman after all.
    if event.act is Act.REINSTATE:
        values |= _back(members)
        noted = memberships.c.member_id == subject.row.id, memberships.c.to_on == subject.row.inactive_on
        connection.execute(delete(memberships).where(*noted))  # She never was away; what was approved of it stays in the history.
    elif event.act is Act.REVIVE:
        values |= _back(members)
        if event.other is None:
            _note_return(connection, event, [subject])
    else:
        _note_stays(connection, event, [subject])
    if event.other is not None:
        values |= _moved_to(event.other, event.on)
    elif event.act not in {Act.REVIVE, Act.REINSTATE}:
        values |= {"inactive_on": event.on, "inactive_reason": rules.reason(event.act, event.content), "merged_into": merged_into(event.content)}
    [made] = _change_members(connection, [subject], **values)
    _tell(connection, people=[made], screened=True)
    return made, [event.own.row.id, event.other.row.id] if event.other else []


def _back(table: Table) -> dict[str, Any]:
    """In the books again; what never was verified is still to be."""
    status = case((table.c.code.is_(None), Status.LEGACY.value), else_=Status.ACTIVE.value)
    return {"status": status, "inactive_on": None, "inactive_reason": ""}


def _split(connection: Connection, event: Happening) -> tuple[Subject, list[UUID]]:
    kind, content = event.subject.kind, rules.profile(event.content)
    values = institution.columns(content) | {"status": Status.ACTIVE.value, "revision": 1, "content": content, "activated_on": event.facts.today}
    values["code"] = record.issue_code(connection, kind)
    row = record.new(connection, institutions, event.new_id, "FORM", event.facts.today, **values)
    assert row is not None  # Looked for before, and nobody else makes institutions of this block.
    new = Subject(kind, row, None)
    ask_for_checks(connection, row.id, str(content["name"]), live(rows_of(content, "accounts")))
    institution.map_to(connection, [row.id], row.parent_id, event.facts.today)
    going = event.going()
    made = _change_own(connection, event)
    _move(connection, event, going, new)
    _tell(connection, institutions=[made, new])
    return made, [row.id, *(one.row.id for one in going)]


def _merge(connection: Connection, event: Happening) -> tuple[Subject, list[UUID]]:
    going, target = event.going(), event.other
    assert target is not None
    made = _end_own(connection, event)
    _move(connection, event, going, target)
    _tell(connection, institutions=[made])
    return made, [target.row.id, *(one.row.id for one in going)]


def _close(connection: Connection, event: Happening) -> tuple[Subject, list[UUID]]:
    going = event.going()
    made = _end_own(connection, event)
    if going:
        _note_stays(connection, event, going, rules.INSTITUTION_CLOSED)
        ended = {"status": Status.INACTIVE.value, "inactive_on": event.on, "inactive_reason": rules.INSTITUTION_CLOSED}
        _tell(connection, people=_change_members(connection, going, **ended))
    _tell(connection, institutions=[made])
    return made, [one.row.id for one in going]


def _revive(connection: Connection, event: Happening) -> tuple[Subject, list[UUID]]:
    going = event.going()
    # Where it lies, its place may have moved since it was handed in.
    content = (rules.profile(event.content) or dict(event.subject.content)) | {"region": event.own.row.region}
    made = _change_own(connection, event, content=content, **institution.columns(content), **_back(institutions))
    name_images(connection, made.row.id, made.row.id, [content])
    ask_for_checks(connection, made.row.id, str(content["name"]), live(rows_of(content, "accounts")))
    institution.map_to(connection, [made.row.id], made.row.parent_id, event.facts.today)
    if event.of_shg:
        _note_return(connection, event, going)
        _tell(connection, people=_change_members(connection, going, **_back(members)))
    else:
        _move(connection, event, going, made)
    _tell(connection, institutions=[made])
    return made, [one.row.id for one in going]


_CHANGES = {Act.SPLIT: _split, Act.MERGE: _merge, Act.CLOSE: _close, Act.REVIVE: _revive}


def _change_own(connection: Connection, event: Happening, **values: object) -> Subject:
    waiting = event.subject.waiting
    assert waiting is not None
    row = record.change(connection, institutions, event.subject.row, revision=waiting.revision, **values)
    return Subject(event.subject.kind, row, None)


def _end_own(connection: Connection, event: Happening) -> Subject:
    """It is no more; what it was stays in its record, its federation too, and in the history of that until when."""
    ended = {"status": Status.INACTIVE.value, "inactive_on": event.on, "inactive_reason": rules.reason(event.act, event.content)}
    institution.map_to(connection, [event.subject.row.id], None, event.facts.today)
    return _change_own(connection, event, **ended)


def _move(connection: Connection, event: Happening, going: Sequence[Subject], to: Subject) -> None:
    """All of them to one institution, in as many statements as one."""
    if not going:
        return
    ids = [one.row.id for one in going]
    if to.kind != Kind.SHG:
        tell_all(connection, institution.put_under(connection, ids, to.row.id, event.facts.today))
        return
    _note_stays(connection, event, going)
    # What was handed back to the maker comes again from where she is now.
    connection.execute(update(submissions).where(among(submissions.c.record_id, ids)).values(record.place(to.row.id, to.row.region)))
    moved_to = _moved_to(to, event.on) | {"submitted_version": members.c.version + 1}
    _tell(connection, people=_change_members(connection, going, **moved_to), screened=True)


def _moved_to(shg: Subject, on: date) -> dict[str, Any]:
    content = _with(members.c.content, institution_id=str(shg.row.id), joined_on=on.isoformat())
    return {"institution_id": shg.row.id, "region": shg.row.region, "content": content}


def _with(content: ColumnElement[Any], **parts: str) -> ColumnElement[Any]:
    return content.op("||")(literal(parts, JSONB))


def _change_members(connection: Connection, whom: Sequence[Subject], **values: object) -> list[Subject]:
    ids = [one.row.id for one in whom]
    changed = update(members).where(among(members.c.id, ids)).values(version=members.c.version + 1, **values).returning(members)
    return [Subject(MEMBER, row, None) for row in connection.execute(changed)]


def _note_stays(connection: Connection, event: Happening, whom: Sequence[Subject], why: str = "") -> None:
    """Where each was until that day."""
    last = queries.last_stays(connection, [one.row.id for one in whom])
    rows = [
        {
            "member_id": one.row.id,
            "institution_id": one.row.institution_id,
            "from_on": queries.since(one.row, last.get(one.row.id), event.own_formed_on),
            "to_on": event.on,
            "reason": why or rules.reason(event.act, event.content),
        }
        for one in whom
    ]
    connection.execute(insert(memberships).values(rows))


def _note_return(connection: Connection, event: Happening, whom: Sequence[Subject]) -> None:
    """Each is again where she was; her last stay keeps the gap."""
    left = and_(members.c.id == memberships.c.member_id, members.c.inactive_on == memberships.c.to_on)
    of_them = among(members.c.id, [one.row.id for one in whom])
    connection.execute(update(memberships).where(left, of_them).values(back_on=event.on))


def _tell(connection: Connection, *, people: Sequence[Subject] = (), institutions: Sequence[Subject] = (), screened: bool = False) -> None:
    """What others keep of them; `screened`: the duplicate check too keeps where she is, or of which revision."""
    told = institutions_changed(connection, institutions)
    told += members_changed(connection, people) if people else []
    told += [member_submitted(one) for one in people if screened]
    told += [member_decided(one, one.row.revision, Status(one.row.status), []) for one in people]
    tell_all(connection, told)
