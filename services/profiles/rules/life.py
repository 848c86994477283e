"""What happens to a live record in the course of life (mission P14): a member leaves, dies, moves, comes back, or never was away;
an institution is split, merged, closed, revived.

No money is spoken of here: what she has saved and owes is settled in the books (domain 4.7), which hear that she is INACTIVE. Of a settlement
they tell the day alone, and a state may ask for that before she is let go (R-MEM-3).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import TypeVar
from uuid import UUID

from services.kernel.approval import IN_BOOKS, Act, Status
from services.kernel.caller import Caller
from services.kernel.canonical import Content
from services.kernel.errors import Conflict, Forbidden, Invalid, Refused
from services.profiles.rules import institution, kinds, seats
from services.profiles.rules.form import At, Facts, Field, Form, Held, Needed, Notice, Said, ill_written, is_empty, missing, word
from services.profiles.rules.institution import ACTIVE_MEMBERS_MIN, Kind
from services.profiles.rules.lists import Lists
from services.profiles.rules.revision import must_stay

WORDS_LENGTH_MAX = 500
IDS_MAX = 500

# Values of LEAVING_REASON and CLOSING_REASON that an act gives by itself; no maker names them.
DEATH, TRANSFER, INSTITUTION_CLOSED, MERGED, SPLIT = "DEATH", "TRANSFER", "INSTITUTION_CLOSED", "MERGED", "SPLIT"
DUPLICATE = "DUPLICATE"  # Of both lists: she, or it, was entered twice.
_OF_ACTS = frozenset({DEATH, TRANSFER, INSTITUTION_CLOSED, MERGED, SPLIT})

# A member is no longer where she was.
GOING = frozenset({Act.LEAVE, Act.DEATH, Act.TRANSFER})


@contextmanager
def within(path: str) -> Iterator[None]:
    """A refusal's field is one of the message at this path."""
    try:
        yield
    except Refused as refused:
        refused.field = f"{path}.{refused.field}" if refused.field else path
        raise


@contextmanager
def blaming(field: str) -> Iterator[None]:
    """What is refused about those who come or go is the fault of this field."""
    try:
        yield
    except Refused as refused:
        refused.field = field
        raise


def _profile(said: object, at: At) -> dict[str, Content]:
    """An institution as it is from then on."""
    if not isinstance(said, Mapping):
        raise ill_written(at.path)
    with within(at.path):
        return institution.read(said, at.facts, at.kept if isinstance(at.kept, Mapping) else None)


def _new_institution(said: object, at: At) -> Content:
    content = _profile(said, at)
    assert isinstance(said, Mapping)
    place = replace(at, path=f"{at.path}.institution_id")
    if is_empty(said.get("institution_id")):
        raise missing(place.path)
    return {"institution_id": kinds.record_id(said["institution_id"], place), **content}


_ON = Field("on", kinds.past_day, needed=Needed.ALWAYS)
_WORDS = Field("words", kinds.text(WORDS_LENGTH_MAX))
_TO = Field("to_institution_id", kinds.record_id, needed=Needed.ALWAYS)
_IDS = Field("ids", kinds.several(kinds.record_id, IDS_MAX), needed=Needed.ALWAYS)


def _reason(of: str) -> Field:
    return Field("reason", kinds.listed(of), needed=Needed.ALWAYS)


_OF_MEMBERS = {
    Act.LEAVE: Form((_ON, _reason("LEAVING_REASON"), _WORDS, Field("merged_into", kinds.record_id))),
    Act.DEATH: Form((_ON, _WORDS)),
    Act.TRANSFER: Form((_ON, _TO, _WORDS)),
    Act.REVIVE: Form((_ON, replace(_TO, needed=Needed.NEVER), _WORDS)),
    Act.REINSTATE: Form((replace(_WORDS, needed=Needed.ALWAYS),)),
}
_OF_INSTITUTIONS = {
    Act.SPLIT: Form((_ON, _IDS, _WORDS, Field("new_institution", _new_institution, needed=Needed.ALWAYS))),
    Act.MERGE: Form((_ON, _TO, _WORDS)),
    Act.CLOSE: Form((_ON, _reason("CLOSING_REASON"), _WORDS)),
    Act.REVIVE: Form((_ON, _IDS, _WORDS, Field("new_institution", _profile))),
}
_NAMES = {entry.name for forms in (_OF_MEMBERS, _OF_INSTITUTIONS) for form in forms.values() for entry in form.entries}


def read(kind: Kind | None, said: Said, facts: Facts, live: Held) -> tuple[Act, dict[str, Content]]:
    """An act's content, or the first refusal. `kind` is None for a member; `live` is the content of the record that it is about."""
    forms = _OF_MEMBERS if kind is None else _OF_INSTITUTIONS
    act = next((act for act in forms if act == said.get("act")), None)
    if act is None:
        raise Invalid("EVENT_UNKNOWN", "What happens to it is one of: {known}.", field="act", known=", ".join(forms))
    form = forms[act]
    for name in sorted(_NAMES - {entry.name for entry in form.entries}):
        if not is_empty(said.get(name)):
            raise Invalid("FIELD_NOT_OF_ACT", "A {act} has no such field; leave it empty.", field=name, act=act.lower())
    # What is revived keeps the rows that it had.
    content = form.read(said, facts, {"new_institution": live} if act is Act.REVIVE else None)
    _check_reason(content, facts.lists, "LEAVING_REASON" if kind is None else "CLOSING_REASON")
    if new := profile(content):
        with within("new_institution"):
            _check_profile(kind, act, content, new, live)
    return act, content


def _check_reason(content: Held, lists: Lists, of: str) -> None:
    if "reason" not in content:
        return
    national = lists.national(of, word(content, "reason"))
    if national in _OF_ACTS:
        raise Invalid("EVENT_REASON", "That is an act of its own: hand it in as such.", field="reason")
    if national == "OTHER" and "words" not in content:
        raise missing("words")
    if of != "LEAVING_REASON":
        return
    if national == DUPLICATE and "merged_into" not in content:
        raise missing("merged_into")
    if national != DUPLICATE and "merged_into" in content:
        raise Invalid("FIELD_NOT_OF_ACT", "A {act} has no such field; leave it empty.", field="merged_into", act="leave for another reason")


def _check_profile(kind: Kind | None, act: Act, content: Held, new: Held, live: Held) -> None:
    if act is Act.REVIVE:
        must_stay(live, new, "kind", "region", "formed_on", "revived_on")
    elif new.get("kind") != kind:
        raise Invalid("EVENT_KIND", "What is split off is of the same kind.", field="kind")
    elif new.get("formed_on") != content["on"]:
        raise Invalid("EVENT_FORMED_ON", "What is split off is formed on the day of the split.", field="formed_on")


def profile(content: Held) -> dict[str, Content]:
    """The institution that comes into being or begins anew, without its id; empty where the act names none."""
    new = content.get("new_institution")
    return {name: value for name, value in new.items() if name != "institution_id"} if isinstance(new, Mapping) else {}


def day(content: Held) -> date:
    return date.fromisoformat(word(content, "on"))


def reason(act: Act, content: Held) -> str:
    """Why a record is INACTIVE, or a woman no longer where she was."""
    given = {Act.DEATH: DEATH, Act.TRANSFER: TRANSFER, Act.MERGE: MERGED, Act.SPLIT: SPLIT}
    return given.get(act) or word(content, "reason")


def check_day(on: date, since: date, last: date | None) -> None:
    """Nothing happens before what it ends began, nor on or before the day of what happened last."""
    if on < since or (last and on <= last):
        raise Invalid("EVENT_TOO_EARLY", "Something that is known of it happened later; give a later day.", field="on")


def check_settled(settled_on: date | None, settled_with: UUID | None, own_id: UUID, since: date) -> None:
    """Of the stay in her SHG that begins on `since` the books say that she is settled; why they did so does not matter."""
    if settled_on is None or settled_with != own_id or settled_on < since:
        raise Conflict(
            "SETTLEMENT_MISSING",
            "The books of her SHG do not say yet that she is settled: it settles her in a meeting, and that is approved, before she goes.",
            field="settled_on",
        )


def act_of_double(live: Status | None, *, merged: bool, elsewhere: bool) -> Act | None:
    """What it takes for the record that stays to be of the SHG in which she was entered anew; None where it is already, and her records are one.

    Whether that may be, the act's own rules say.
    """
    if merged:
        raise Conflict("MEMBER_MERGED", "That record was ended for another one of hers: decide on the one that stays.")
    if live is Status.INACTIVE:
        return Act.REVIVE
    return Act.TRANSFER if elsewhere or live is None else None


def check_merged_into(own_id: UUID, stays: UUID | None, live: Status | None) -> None:
    """Of two records of one woman the other stays, and is live."""
    if stays in {None, own_id} or live not in IN_BOOKS:
        raise Invalid("EVENT_TARGET", "The record of hers that stays is another one, and in the books.", field="merged_into")


def check_reinstated(inactive_reason: str) -> None:
    """What was noted of her alone may have been noted wrongly; her SHG's end was its own."""
    if inactive_reason == INSTITUTION_CLOSED:
        raise Conflict("ACT_NOT_ALLOWED", "She is inactive since her SHG was closed: she comes back with it, or is revived into another.")


def check_offices(bodies: Iterable[Held], going: Collection[str], ended: Collection[str], lists: Lists) -> None:
    """Whoever is the president, secretary or treasurer does not go, nor what she stands for in a federation; other seats end with its next edit."""
    for content in bodies:
        for seat in seats.offices(content, lists):
            if word(seat, "member_id") in going or word(seat, "institution_id") in ended:
                raise _office_held(word(seat, "post"), content)


def check_left_behind(content: Held, going: Collection[str]) -> None:
    """Of those who go with a split nobody acts for what they leave: it must be whole without them."""
    for member_id in institution.named_members(content).values():
        if member_id in going:
            raise _office_held("SEAT", content)


def _office_held(post: str, content: Held) -> Conflict:
    return Conflict(
        "OFFICE_HELD",
        "Somebody whom this concerns is {post} of {name}: have another chosen first, by an edit of that institution.",
        post=post,
        name=word(content, "name"),
    )


def check_sizes(*active: int) -> None:
    """Each SHG that comes out of it has enough active members."""
    if min(active) < ACTIVE_MEMBERS_MIN:
        raise Conflict(
            "MEMBERS_TOO_FEW", "An SHG needs {least} active members; this has {active}.", least=ACTIVE_MEMBERS_MIN, active=min(active), field="ids"
        )


def check_none_pending(pending: int) -> None:
    if pending:
        raise Conflict("MEMBERS_PENDING", "{pending} of its members are not decided yet.", pending=pending)


T = TypeVar("T")


def chosen(content: Held, candidates: Mapping[str, T]) -> list[T]:
    """Those whom the act names, of those whom it may name."""
    ids = content["ids"]
    assert isinstance(ids, Sequence)
    for place, one in enumerate(ids):
        if one not in candidates:
            raise Invalid("EVENT_IDS", "That is not one of those with whom this may happen; choose again.", field=f"ids[{place}]")
    return [candidates[str(one)] for one in ids]


def must_be_other(caller: Caller, user_id: str, person: str) -> None:
    """Between two blocks neither lets her move alone."""
    if caller.user_id == user_id or (person and person in {caller.person, *caller.persons}):
        raise Forbidden("RELEASED_BY_YOU", "You let her go already: an officer of the block that she goes to lets her in.")


def warnings(active_left: int) -> list[Notice]:
    """What a checker should look at before she lets a woman go: it is no reason to keep her in the books, but the SHG cannot go on so."""
    if active_left >= ACTIVE_MEMBERS_MIN:
        return []
    return [Notice("MEMBERS_TOO_FEW", f"{active_left} active members remain; an SHG needs {ACTIVE_MEMBERS_MIN}.")]
