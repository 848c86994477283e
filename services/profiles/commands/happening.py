"""An act of life, whom and what it concerns as they stand, and what must be so for it to happen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection

from services.chassis import places
from services.kernel.approval import IN_BOOKS, OVER, Act, Status
from services.kernel.errors import Conflict, Invalid
from services.profiles import queries
from services.profiles.commands import institution
from services.profiles.commands.member import institution_facts
from services.profiles.queries import MEMBER, Subject
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import life as rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts, Held, word
from services.profiles.rules.institution import Kind


@dataclass(frozen=True, slots=True)
class Happening:
    """An act, and whom and what it concerns as they stand."""

    act: Act
    content: Held
    subject: Subject
    own: Subject  # The institution itself, or her SHG.
    other: Subject | None  # Where she goes; what it is merged into.
    above: Sequence[Subject]  # The federations over it.
    people: Sequence[Subject]  # Herself; of an SHG all who are or were in it.
    children: Sequence[Subject]  # What lives below a federation, or comes to it.
    facts: Facts

    @property
    def on(self) -> date:
        return rules.day(self.content)

    @property
    def own_formed_on(self) -> date:
        return date.fromisoformat(word(self.own.content, "formed_on"))

    @property
    def new_id(self) -> UUID:
        new = self.content["new_institution"]
        assert isinstance(new, Mapping)
        return UUID(str(new["institution_id"]))

    @property
    def of_shg(self) -> bool:
        return self.subject.kind == Kind.SHG

    def going(self) -> list[Subject]:
        """Who or what goes or comes back with the institution: those whom it names, else all."""
        candidates = self._candidates()
        if "ids" not in self.content:
            return candidates
        return rules.chosen(self.content, {str(one.row.id): one for one in candidates})

    def _candidates(self) -> list[Subject]:
        if self.act is not Act.REVIVE:
            return [one for one in (self.people if self.of_shg else self.children) if one.live in IN_BOOKS]
        if self.of_shg:
            return [one for one in self.people if one.live is Status.INACTIVE and one.row.inactive_reason != rules.DEATH and not one.row.merged_into]
        below = {above: below for below, above in institution_rules.PARENT_OF.items()}[Kind(self.subject.kind)]
        return [one for one in self.children if one.kind == below and one.row.parent_id in {None, self.subject.row.id}]


def own_id_of(subject: Subject) -> UUID:
    own_id: UUID = subject.row.institution_id if subject.kind == MEMBER else subject.row.id
    return own_id


def target_id(content: Held) -> UUID | None:
    to = word(content, "to_institution_id")
    return UUID(to) if to else None


def merged_into(content: Held) -> UUID | None:
    """Of a woman who was enrolled twice and is ended here: her record that stays."""
    stays = word(content, "merged_into")
    return UUID(stays) if stays else None


def gather(connection: Connection, subject: Subject, act: Act, content: Held, facts: Facts) -> Happening:
    """`subject` is locked; the rest is too where it is about to be carried out (`hold`)."""
    of_member, own_id, to = subject.kind == MEMBER, own_id_of(subject), target_id(content)
    found = {one.row.id: one for one in queries.institutions_among(connection, [one for one in (own_id, to) if one])}
    people = [subject] if of_member else queries.all_members(connection, own_id) if subject.kind == Kind.SHG else []
    children: list[Subject] = []
    if not of_member and subject.kind != Kind.SHG:
        ids = [UUID(str(one)) for one in content.get("ids", ())] if act is Act.REVIVE else []  # type: ignore[union-attr]  # a list by the form
        come = [one for one in queries.institutions_among(connection, ids) if one.live in IN_BOOKS]
        children = come if act is Act.REVIVE else queries.live_children(connection, own_id)
    return Happening(
        act=act,
        content=content,
        subject=subject,
        own=found[own_id],
        other=found.get(to) if to else None,
        above=queries.above(connection, own_id),
        people=people,
        children=children,
        facts=facts,
    )


def check(connection: Connection, event: Happening) -> None:
    if event.subject.kind == MEMBER:
        _check_member(connection, event)
    else:
        _CHECKS[event.act](connection, event)


def _check_member(connection: Connection, event: Happening) -> None:
    subject, back = event.subject, event.act is Act.REVIVE
    if event.act is Act.REINSTATE:
        rules.check_reinstated(subject.row.inactive_reason)
        if event.own.row.status in OVER:
            raise Conflict("INSTITUTION_INACTIVE", "Her SHG is closed by now: have it revived first.")
        return
    _check_days(connection, event, [subject])
    if back and subject.row.inactive_reason == rules.DEATH:
        raise Conflict("ACT_NOT_ALLOWED", "Who has died is not revived; where that was noted wrongly, she is reinstated.")
    if stays := merged_into(event.content):
        other = queries.member_anywhere(connection, stays)
        rules.check_merged_into(subject.row.id, other.row.id if other else None, other.live if other else None)
    if event.act is Act.TRANSFER or "to_institution_id" in event.content:
        target = _target(event)
        _check_fit(event, [subject], target.row.id, target.content, "to_institution_id")
    elif back and event.own.row.status in OVER:
        raise Conflict("INSTITUTION_INACTIVE", "Her SHG is closed; name the one that she comes to.", field="to_institution_id")
    if not back:
        _check_offices(event, [event.own, *event.above], {str(subject.row.id)})


def check_settled(connection: Connection, event: Happening) -> None:
    """Of a woman who goes: her SHG has settled her since she came to it."""
    row = event.subject.row
    last = queries.last_stays(connection, [row.id]).get(row.id)
    since = queries.since(row, last, event.own_formed_on)
    # A day of joining that was corrected since does not reach back into the stay before.
    rules.check_settled(row.settled_on, row.settled_with, event.own.row.id, max(since, last.to_on) if last else since)


def _target(event: Happening) -> Subject:
    """What she goes to, or it is merged into: a living one of that kind, and another than before."""
    target, field = event.other, "to_institution_id"
    if target is None or target.kind != event.own.kind:
        raise Invalid("EVENT_TARGET", "There is no such institution of that kind.", field=field)
    if target.row.id == event.own.row.id:
        raise Invalid("EVENT_TARGET", "It is there already; name another institution.", field=field)
    if target.live is not Status.ACTIVE:
        raise Conflict("INSTITUTION_INACTIVE", "That institution is closed, or not active yet.", field=field)
    return target


def _check_days(connection: Connection, event: Happening, whom: Sequence[Subject]) -> None:
    """For each it must come after what happened to her before."""
    last = queries.last_stays(connection, [one.row.id for one in whom])
    for one in whom:
        since = queries.since(one.row, last.get(one.row.id), event.own_formed_on)
        rules.check_day(event.on, since, last[one.row.id].to_on if one.row.id in last else None)


def _check_institution_day(event: Happening) -> None:
    rules.check_day(event.on, event.own_formed_on, event.subject.row.inactive_on)


def _check_split(connection: Connection, event: Happening) -> None:
    _check_institution_day(event)
    going = event.going()
    _must_be_decided(going)
    new = rules.profile(event.content)
    old, ids = event.subject, {str(one.row.id) for one in going}
    if event.of_shg:
        _check_days(connection, event, going)
        active_all, active_going = _active(event.people), _active(going)
        rules.check_sizes(len(active_all) - len(active_going), len(active_going))
    elif len(going) == len(event.children):
        raise Conflict("CHILDREN_TOO_FEW", "Something stays with what is split: name fewer.", field="ids")
    under = _under(connection, old.content, new, *(one.content for one in event.above))
    acting = {member_id for member_id, above in under.items() if above & ids}
    rules.check_left_behind(old.content, acting)
    _check_offices(event, event.above, acting)
    _check_fit(event, going, event.new_id, new, "ids")
    with rules.within("new_institution"):
        places.geography().must_know(word(new, "region"), event.facts.today)
        if institution_rules.block(new) != institution_rules.block(old.content):
            raise Invalid("EVENT_ELSEWHERE", "What is split off lies in the same block.", field="region")
        if queries.institutions_among(connection, [event.new_id]):
            raise Conflict("ID_TAKEN", "There is an institution of that id already; make a new one.", field="institution_id")
        institution.check_others(connection, event.new_id, new)
        institution_rules.check_seats(new, acting)
        institution_rules.check_stands_for(new, under, ids)


def _check_fit(event: Happening, going: Sequence[Subject], to_id: UUID, to: Held, field: str) -> None:
    """Members and children may belong to the institution that they come to."""
    with rules.blaming(field):
        for one in going:
            if one.kind == MEMBER:
                member_rules.check_move(one.content, institution_facts(to_id, to), event.on)
            else:
                institution_rules.check_parent({**one.content, "parent_id": str(to_id)}, to)


def _check_offices(event: Happening, bodies: Sequence[Subject], going: Collection[str], ended: Collection[str] = ()) -> None:
    rules.check_offices([one.content for one in bodies if one.live in IN_BOOKS], going, ended, event.facts.lists)


def _check_merge(connection: Connection, event: Happening) -> None:
    _check_institution_day(event)
    target, old, going = _target(event), event.subject, event.going()
    if institution_rules.block(target.content) != institution_rules.block(old.content):
        raise Invalid("EVENT_ELSEWHERE", "Only what lies in the same block is merged.", field="to_institution_id")
    _check_end(connection, event, going)
    _check_fit(event, going, target.row.id, target.content, "to_institution_id")


def _check_close(connection: Connection, event: Happening) -> None:
    _check_institution_day(event)
    institution_rules.check_no_children_left(len(event.children))
    _check_end(connection, event, event.going())


def _check_end(connection: Connection, event: Happening, going: Sequence[Subject]) -> None:
    """What it takes for an institution to be no more: nothing about its members or children waits, and none acts for it above."""
    _must_be_decided([*event.people, *event.children])
    if event.of_shg:
        _check_days(connection, event, going)
    _check_offices(event, event.above, {str(one.row.id) for one in going}, {str(event.subject.row.id)})


def _check_revival(connection: Connection, event: Happening) -> None:
    _check_institution_day(event)
    going, old = event.going(), event.subject
    content = rules.profile(event.content) or old.content
    _must_be_decided(going)
    ids = {str(one.row.id) for one in going}
    # Who was never verified comes back so, and neither counts nor acts; but in an SHG that never was itself.
    acting = {str(one.row.id) for one in going if one.row.code or not old.row.code}
    under: dict[str, set[str]] = {}
    if event.of_shg:
        rules.check_sizes(len(acting))
        _check_days(connection, event, going)
    else:
        under = _under(connection, content)
        acting = {member_id for member_id, above in under.items() if above & ids}
        _check_fit(event, going, old.row.id, content, "ids")
    with rules.within("new_institution"):
        institution.check_others(connection, old.row.id, content)
        institution_rules.check_seats(content, acting)
        institution_rules.check_stands_for(content, under, ids)


_CHECKS = {Act.SPLIT: _check_split, Act.MERGE: _check_merge, Act.CLOSE: _check_close, Act.REVIVE: _check_revival}


def _under(connection: Connection, *contents: Held) -> dict[str, set[str]]:
    """Of the active members who act for these institutions: herself, and all that is above her."""
    return queries.active_under(connection, {UUID(one) for content in contents for one in institution_rules.named_members(content).values()})


def _active(people: Sequence[Subject]) -> list[Subject]:
    return [one for one in people if one.live is Status.ACTIVE]


def _must_be_decided(concerned: Sequence[Subject]) -> None:
    """What waits would bring back what was: it is decided on first."""
    rules.check_none_pending(sum(one.waiting is not None and one.waiting.status == Status.SUBMITTED for one in concerned))
