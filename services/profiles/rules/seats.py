"""Who holds which post in which body, and what their terms must be (domain 2.1, R-SHG-4, R-SHG-5)."""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

from services.kernel.errors import Invalid
from services.profiles.rules import kinds, rows
from services.profiles.rules.form import At, Facts, Field, Held, Needed, Notice, Rows, Section, day_of, live, missing, rows_of, whole, word
from services.profiles.rules.lists import Lists

SEATS_MAX = 300
SIGNATORIES_MIN = 2
OFFICE, SUB_COMMITTEE = "OFFICE", "SUB_COMMITTEE"
OFFICE_BEARERS = ("PRESIDENT", "SECRETARY", "TREASURER")  # Of which every institution has exactly one each.
SOLE_POSTS = frozenset({*OFFICE_BEARERS, "VICE_PRESIDENT", "CONVENER"})

_FOREVER = date.max.isoformat()


def seats(*stands_for: Field) -> Rows:
    """The seats of an SHG; `stands_for` is the field of a federation's that says for which institution she sits there."""
    return Rows(
        "seats",
        (
            rows.ROW_ID,
            Field("body", kinds.listed("BODY"), needed=Needed.ALWAYS),
            Field("committee", kinds.name()),
            Field("post", kinds.listed("POST"), needed=Needed.ALWAYS),
            *stands_for,
            Field("member_id", kinds.record_id, needed=Needed.ALWAYS),
            Field("from", kinds.past_day, needed=Needed.ALWAYS),
            rows.ENDED_ON,
            Field("is_signatory", kinds.flag),
        ),
        Section.SEATS,
        SEATS_MAX,
        begins="from",
        check=_check,
    )


STANDS_FOR = Field("institution_id", kinds.record_id, needed=Needed.ALWAYS)


def _check(seats: Sequence[Held], at: At) -> None:
    lists = at.facts.lists
    for place, seat in enumerate(seats):
        if (_body(seat, lists) == SUB_COMMITTEE) != ("committee" in seat):
            if "committee" not in seat:
                raise missing(f"{at.path}[{place}].committee")
            raise Invalid("VALUE_OUT_OF_PLACE", "A sub-committee alone is named.", field=f"{at.path}[{place}].committee")
    sole = [place for place, seat in enumerate(seats) if _post(seat, lists) in SOLE_POSTS]
    second = _overlapping(seats, sole, lambda seat: _post(seat, lists))
    if second is not None:
        raise Invalid("TERMS_OVERLAP", "That post is one woman's: end the term before it on an earlier day.", field=f"{at.path}[{second}].from")
    second = _overlapping(seats, range(len(seats)), lambda seat: word(seat, "member_id"))
    if second is not None:
        raise Invalid("SEATED_TWICE", "She sits in that body already; end that seat first.", field=f"{at.path}[{second}].from")
    if at.complete:
        held = {_post(seat, lists) for seat in live(seats) if _body(seat, lists) == OFFICE}
        for post in OFFICE_BEARERS:
            if post not in held:
                raise Invalid("OFFICE_VACANT", "The office bearers are a president, a secretary and a treasurer; name each.", field=at.path)


def _body(seat: Held, lists: Lists) -> str:
    return lists.national("BODY", word(seat, "body"))


def _post(seat: Held, lists: Lists) -> str:
    return lists.national("POST", word(seat, "post"))


def _overlapping(seats: Sequence[Held], places: Sequence[int], key: Callable[[Held], str]) -> int | None:
    """The place of the first seat whose term begins before another one of the same body and key has ended."""

    def in_order(place: int) -> tuple[str, ...]:
        seat = seats[place]
        return word(seat, "body"), word(seat, "committee").casefold(), key(seat), word(seat, "from")

    for one, other in pairwise(sorted(places, key=in_order)):
        same = in_order(one)[:-1] == in_order(other)[:-1]
        if same and word(seats[other], "from") <= (word(seats[one], "ended_on") or _FOREVER):
            return other
    return None


def holders(content: Held, on: date) -> list[Held]:
    """The seats that are held on a day: each says who holds which post of which body."""
    return [seat for seat in rows_of(content, "seats") if word(seat, "from") <= on.isoformat() <= (word(seat, "ended_on") or _FOREVER)]


def offices(content: Held, lists: Lists) -> list[Held]:
    """The seats of the office bearers that have not ended."""
    return [seat for seat in live(rows_of(content, "seats")) if _body(seat, lists) == OFFICE and _post(seat, lists) in OFFICE_BEARERS]


def notices(content: Held, facts: Facts) -> list[Notice]:
    """Two sign for the accounts as a rule (R-SHG-4): no refusal, for a group that has no account yet needs none."""
    current = live(rows_of(content, "seats"))
    found = []
    signing = [seat for seat in current if "is_signatory" in seat and _body(seat, facts.lists) == OFFICE]
    if len(signing) < SIGNATORIES_MIN:
        found.append(Notice("SIGNATORIES_TOO_FEW", f"{len(signing)} of the office bearers sign for the accounts; usually {SIGNATORIES_MIN} do."))
    tenure_months = whole(content, "election_tenure_months")
    over = [seat for seat in current if tenure_months and months_between(day_of(seat, "from") or facts.today, facts.today) >= tenure_months]
    if over:
        found.append(Notice("TERM_OVER", f"{len(over)} seats are held for longer than the {tenure_months} months between elections."))
    return found


def months_between(first: date, last: date) -> int:
    """Full months."""
    return (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
