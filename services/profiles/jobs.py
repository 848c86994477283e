"""Timers and outside effects: uploads, copies that must add up (decision 23), records where their places are, banks, loose images."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from uuid import UUID

from prometheus_client import Counter

from services.chassis import database, places, settings
from services.chassis.jobs import Arguments, NotBegun, job
from services.kernel.caller import OPERATOR, Caller
from services.kernel.errors import Refused
from services.kernel.geography import Geography
from services.kernel.month import today
from services.profiles import queries
from services.profiles.adapters import bank, ifsc, images
from services.profiles.commands import account, batch, cutover, image, restate
from services.profiles.commands import places as place_commands
from services.profiles.rules.account import Outcome

log = logging.getLogger(__name__)

CHECKS = Counter("lokos_account_checks", "Answers of banks about accounts: asked (still to come), valid, invalid, unknown", ["outcome"])

# Well within a worker's lease: what is left waits for the next round.
ERASING_SECONDS_MAX = 300

_banks = cache(bank.banks)


def check() -> None:
    """Before the first job: whatever banks and images need is there, or the process ends by its name; a sandbox says so."""
    _banks()
    images.store()
    for outcome in Outcome:
        CHECKS.labels(outcome.lower())


@job(every_seconds=86400)
def tally_members(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        restate.tally(connection, datetime.now(UTC))


@job(effect=True)
def check_account(service: str, arguments: Arguments) -> None:
    """Ask the bank about one account, at most once for each attempt, and keep what it says."""
    check_id, attempt = UUID(arguments["check_id"]), int(arguments["attempt"])
    try:
        with database.reading(service) as connection:
            asked = queries.check_at(connection, check_id, attempt)
    except Refused as busy:
        raise NotBegun from busy
    banks = _banks()
    if asked is None:  # A later attempt was made meanwhile.
        return
    if banks is None:
        answer = None
    elif asked.bank_reference:
        answer = banks.answer_to(asked.bank_reference)
    else:
        answer = banks.verify(asked.account_number, asked.ifsc, asked.holder_name, str(asked.reference))
    with database.transaction(service) as connection:
        account.note_answer(connection, check_id, attempt, answer, datetime.now(UTC))
    if answer:
        CHECKS.labels(answer.outcome.lower()).inc()
        facts = {"check_id": str(check_id), "account_ends": asked.account_number[-4:], "outcome": answer.outcome.value, "reason": answer.reason}
        log.info("a bank was asked about an account", extra=facts)


@job(every_seconds=60)
def ask_banks_again(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        account.ask_due(connection, datetime.now(UTC))


@job(every_seconds=3600, effect=True)
def erase_images(service: str, _arguments: Arguments) -> None:
    """Those that no record names, some at a time, until there are none or its time is up. Cut short, it does the rest in its next round."""
    ends, more = time.monotonic() + ERASING_SECONDS_MAX, True
    while more and time.monotonic() < ends:
        with database.transaction(service) as connection:
            gone = image.to_erase(connection, datetime.now(UTC))
        erased = []
        for image_id in gone:
            if time.monotonic() < ends:  # A store may be slow.
                images.erase(image_id)
                erased.append(image_id)
        with database.transaction(service) as connection:
            image.forget(connection, erased)
        more = bool(gone)


@job()
def carry_out_upload(service: str, arguments: Arguments) -> None:
    """Each item in a transaction of its own: cut short, it goes on with the first that has no answer."""
    upload_id, more = UUID(arguments["upload_id"]), True
    while more:
        with database.transaction(service) as connection:
            more = batch.carry_out_next(connection, upload_id, today(), ifsc.branches())


@job(every_seconds=86400)
def forget_uploads(service: str, _arguments: Arguments) -> None:
    with database.transaction(service) as connection:
        batch.forget(connection, datetime.now(UTC))


@dataclass(slots=True)
class Followed:
    """Who moved with their places, and what a person must decide.

    By the path that stands no more: the institutions that she must place and where they might lie, the federations whose area
    names it, and the cut-over day of a block.
    """

    institutions: int = 0
    members: int = 0
    areas: int = 0
    blocks: int = 0
    undecided: dict[str, tuple[list[str], list[UUID]]] = field(default_factory=dict)
    hindered: dict[UUID, str] = field(default_factory=dict)  # Where they should be, and another of their name is.
    unserved: dict[str, list[UUID]] = field(default_factory=dict)
    days: dict[str, date] = field(default_factory=dict)


def follow(service: str, advance: Callable[[int, int], None] = lambda _done, _of: None, caller: Caller = OPERATOR) -> Followed:
    """Bring records to where their places are now, a batch a transaction; cut short, it goes on when it is run again."""
    here, on = places.geography(), today()
    done = Followed()
    if here.place(str(settings.state_lgd()), on) is None:  # Without a geography of this state nothing is known to have moved.
        return done
    with database.reading(service) as connection:
        held = queries.institutions_by_region(connection)
    strays = {region: count for region, count in held.items() if here.place(region, on) is None}
    for region, count in strays.items():
        found = here.now(region, on)
        if len(found) == 1:
            _follow_one(service, caller, region, found[0], done)
        else:
            with database.reading(service) as connection:
                done.undecided[region] = found, queries.institutions_at(connection, region)
        advance(count, sum(strays.values()))
    _follow_areas(service, caller, here, on, done)
    _follow_cutovers(service, caller, here, on, done)
    return done


def _follow_areas(service: str, caller: Caller, here: Geography, on: date, done: Followed) -> None:
    """A federation serves all that a place of its area has become."""
    with database.reading(service) as connection:
        strays = {path: here.now(path, on) for path in sorted(queries.areas(connection)) if here.place(path, on) is None}
    now = {path: found for path, found in strays.items() if found}
    after: UUID | None = None
    while now:
        with database.transaction(service) as connection:
            moved = place_commands.follow_areas(connection, caller, now, after)
        done.areas += moved.institutions
        after = moved.after
        if after is None:
            break
    for path in strays.keys() - now.keys():
        with database.transaction(service) as connection:
            done.unserved[path] = [row.id for row in queries.federations_serving(connection, [path])]


def _follow_cutovers(service: str, caller: Caller, here: Geography, on: date, done: Followed) -> None:
    """What a block has become has its day; but a block that stood beside it without one never had another system, and a person must say."""
    with database.transaction(service) as connection:
        days = cutover.days(connection)
        for block, day in days.items():
            ended = here.ended(block)
            if ended is None or here.place(block, on):
                continue
            heirs = here.now(block, on)
            if heirs and all(heir in days or here.place(heir, ended - timedelta(days=1)) is None for heir in heirs):
                cutover.follow(connection, caller, block, heirs)
                done.blocks += 1
            else:
                done.days[block] = day


def _follow_one(service: str, caller: Caller, old: str, region: str, done: Followed) -> None:
    after: UUID | None = None
    while True:
        with database.transaction(service) as connection:
            moved = place_commands.move_batch(connection, caller, old, region, after)
        done.institutions += moved.institutions
        done.members += moved.members
        done.hindered |= dict.fromkeys(moved.hindered, region)
        after = moved.after
        if after is None:
            break


@job(every_seconds=86400)
def follow_places(service: str, _arguments: Arguments) -> None:
    """Once a day, since a place may move on a day to come; the operator who imports a geography need not wait for it."""
    done = follow(service)
    figures = {name: len(getattr(done, name)) for name in ("undecided", "hindered", "unserved", "days")}
    if any(figures.values()):
        log.warning("institutions lie in places that stand no more: import the geography again to see them", extra=figures)
