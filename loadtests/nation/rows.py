"""What each service would hold of a block, had it come in at the front door: rows for COPY, made by the services' own functions."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

import numpy as np

from loadtests.nation import books, names, people
from loadtests.nation.people import Woman
from loadtests.nation.plan import BOOKKEEPER_SHGS, Block, Plan
from services.dedup import rules as dedup_rules
from services.identity.rules.user import Side, person
from services.kernel import codes
from services.kernel.approval import MeetingStatus, Status
from services.kernel.caller import Caller, Role
from services.kernel.month import month_of
from services.profiles.commands import institution as institution_commands
from services.profiles.commands import member as member_commands
from services.profiles.rules.institution import Institution
from services.profiles.rules.institution import Kind as InstitutionKind
from services.profiles.rules.member import Member
from services.reporting import rules as reporting_rules
from services.reporting.rules import Cells
from services.transactions.rules.meeting import Line
from services.transactions.rules.record import Posting, totals

MARK = "SYNTHETIC"  # In the id of every user that is made here, and so in the maker of every record.
APPROVER_BOOKKEEPERS = 10
GROUPS_AT_ONCE = 250  # Whose meetings are in memory together.
# A record is submitted (1), screened (2) and decided (3); an institution is not screened.
SUBMITTED, SCREENED, DECIDED = 1, 2, 3
SAVINGS_PAISE = (50_00, 100_00, 150_00, 200_00)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table of one service."""

    service: str
    table: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class User:
    """One who works in the block."""

    user_id: str
    role: Role
    region: str
    mobile: str
    institution_ids: tuple[UUID, ...] = ()


@dataclass(slots=True)
class Enrolled:
    """An institution as profiles will hold it."""

    institution_id: UUID
    said: Institution
    code: str
    maker: User
    activated_on: date


@dataclass(frozen=True, slots=True)
class Waits:
    """A pending member, and what is needed once she is screened."""

    member_id: UUID
    region: str
    entered_on: date
    identity_verified: bool


_MEMBER = tuple(column.name for column in fields(Member))
_PERSON = tuple(column.name for column in fields(dedup_rules.Person))
_person_row = attrgetter(*_PERSON)


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


@lru_cache(1 << 16)
def contribution(region: str, month: str, status: Status, verdict: str, *, verified: bool) -> tuple[str, Cells]:
    """What a member adds to the figures, as reporting keeps it and as it counts it."""
    cells = reporting_rules.member(region, month, status, verdict, identity_verified=verified)
    return cells_text(cells), cells


def cells_text(cells: Cells) -> str:
    return json.dumps([[*cell, amount] for cell, amount in cells.items()])


def as_reported(content: Mapping[str, Any], lines: Iterable[Line]) -> reporting_rules.Meeting:
    """What reporting hears of a meeting."""
    summed, attendance = totals(lines), content["attendance"]
    return reporting_rules.Meeting(
        sum(one["present"] for one in attendance),
        len(attendance),
        summed.savings_paise,
        summed.loans_disbursed_paise,
        summed.principal_repaid_paise,
        summed.interest_received_paise,
        summed.fines_paise,
    )


@dataclass
class Made:
    """A block with all that is in it. `figures` are what reporting counts, by the service that told of it."""

    plan: Plan
    block: Block
    person_key: bytes
    password_hash: str
    figures: dict[str, Cells] = field(default_factory=lambda: {"identity": Counter(), "profiles": Counter(), "transactions": Counter()})
    meetings: int = 0

    def __post_init__(self) -> None:
        inputs, block = self.plan.inputs, self.block
        self.dice = inputs.dice(11, block.number)
        self.day = self.plan.entered_on(block.first_member)
        members = np.cumsum(block.shg_sizes) + block.first_member - 1
        self.activated = [self.plan.entered_on(serial) for serial in members.tolist()]
        self.formed = [
            day - timedelta(days=days) for day, days in zip(self.activated, self.dice.integers(180, 4380, len(members)).tolist(), strict=True)
        ]
        self.shg_ids = self._ids(block.first_shg, self.activated)
        self.vo_ids = self._ids(block.first_vo, [self.day] * len(block.vo_gps))
        self.clf_ids = self._ids(block.first_clf, [self.day] * block.clfs)
        self.users = self._users()
        mobiles = [user.mobile for user in self.users if user.role == Role.SHG_BOOKKEEPER]
        self.women, self.pairs = people.make(self.plan, block, self.shg_ids, self.formed, mobiles)

    def _ids(self, first_serial: int, days: Sequence[date]) -> list[UUID]:
        moments = [people.moment_ms(day, first_serial + place) for place, day in enumerate(days)]
        return people.uuid7s(self.dice, np.array(moments, np.int64))

    # --- Users.

    def _users(self) -> list[User]:
        block, mapped = self.block, self.shg_ids
        prefix = self.plan.inputs.state.user_prefix + MARK
        groups = [tuple(mapped[first : first + BOOKKEEPER_SHGS]) for first in range(0, len(mapped), BOOKKEEPER_SHGS)]
        wanted: list[tuple[str, Role, str, tuple[UUID, ...]]] = [
            (f"BK{block.first_bookkeeper + place:07}", Role.SHG_BOOKKEEPER, block.path, group) for place, group in enumerate(groups)
        ]
        for place, first in enumerate(range(0, len(self.vo_ids), BOOKKEEPER_SHGS)):
            wanted.append((f"VB{block.number:05}{place:03}", Role.VO_BOOKKEEPER, block.path, tuple(self.vo_ids[first : first + BOOKKEEPER_SHGS])))
        if self.clf_ids:
            wanted.append((f"CB{block.number:05}", Role.CLF_BOOKKEEPER, block.path, tuple(self.clf_ids)))
        for place, first in enumerate(range(0, len(groups), APPROVER_BOOKKEEPERS)):
            checked = tuple(chain.from_iterable(groups[first : first + APPROVER_BOOKKEEPERS]))
            wanted.append((f"AP{block.number:05}{place:03}", Role.SHG_TRANS_APPROVER, block.path, checked))
        wanted.append((f"BM{block.number:05}", Role.BLOCK_PROGRAM_MANAGER, block.path, ()))
        wanted.append((f"BA{block.number:05}", Role.BLOCK_ADMIN, block.path, ()))
        if not block.number:
            wanted.append(("SPM", Role.STATE_PROGRAM_MANAGER, str(self.plan.inputs.state.lgd_code), ()))
        mobiles = people.mobiles(self.dice, len(wanted))
        return [User(prefix + name, role, region, mobile, ids) for (name, role, region, ids), mobile in zip(wanted, mobiles, strict=True)]

    def _of_role(self, role: Role) -> list[User]:
        return [user for user in self.users if user.role == role]

    def persons(self) -> dict[str, str]:
        """The claim of each user by her id."""
        return {user.user_id: person(self.person_key, user.mobile) for user in self.users}

    def identity(self) -> Iterator[Rows]:
        columns: tuple[str, ...] = ("user_id", "full_name", "mobile", "password_hash", "status", "made_on", "version")
        shown = [(user.user_id, f"Synthetic {user.role.label}", user.mobile, self.password_hash, "ACTIVE", self.day, 1) for user in self.users]
        yield Rows("identity", "users", columns, shown)
        columns = ("user_id", "role", "region", "side", "institution_ids")
        sides = {Role.SHG_TRANS_APPROVER: Side.VO.value}
        held = [(user.user_id, user.role.value, user.region, sides.get(user.role, ""), list(user.institution_ids)) for user in self.users]
        yield Rows("identity", "user_roles", columns, held)
        columns = ("institution_id", "kind", "name", "region", "parent_id", "status", "version")
        kept = [
            (one.institution_id, one.said.kind.value, one.said.name, one.said.region, one.said.parent_id, "ACTIVE", 2) for one in self.institutions
        ]
        yield Rows("identity", "institutions", columns, kept)

    # --- Institutions and members.

    @cached_property
    def institutions(self) -> list[Enrolled]:
        """Those above before those below."""
        lgd, block = self.plan.inputs.state.lgd_code, self.block
        words = self._words(len(self.clf_ids) + len(self.vo_ids) + len(self.shg_ids))
        made: list[Enrolled] = []

        def add(kind: InstitutionKind, one_id: UUID, serial: int, number: int, region: str, formed: date, parent: UUID | None, maker: User) -> None:
            sounds = next(words)
            called = {"SHG": "Mahila Samooh", "VO": "Gram Sangathan", "CLF": "Sankul Sangh"}[kind]
            savings = SAVINGS_PAISE[serial % len(SAVINGS_PAISE)] if kind == InstitutionKind.SHG else 0
            said = Institution(kind, f"{names.latin(sounds)} {called} {number}", self._local(sounds), region, formed, parent, savings)
            day = self.activated[serial - block.first_shg] if kind == InstitutionKind.SHG else self.day
            made.append(Enrolled(one_id, said, codes.issue(codes.LETTERS[kind], lgd, serial), maker, day))

        formed_before = self.day - timedelta(days=365)
        for place, clf_id in enumerate(self.clf_ids):
            add(
                InstitutionKind.CLF,
                clf_id,
                block.first_clf + place,
                place + 1,
                block.path,
                formed_before,
                None,
                self._of_role(Role.CLF_BOOKKEEPER)[0],
            )
        keepers = self._of_role(Role.VO_BOOKKEEPER)
        vos_of: dict[str, list[UUID]] = {}
        for place, (vo_id, gp) in enumerate(zip(self.vo_ids, block.vo_gps, strict=True)):
            vos_of.setdefault(gp, []).append(vo_id)
            above = self.clf_ids[place * len(self.clf_ids) // len(self.vo_ids)] if self.clf_ids else None
            keeper = keepers[place // BOOKKEEPER_SHGS]
            add(InstitutionKind.VO, vo_id, block.first_vo + place, len(vos_of[gp]), gp, formed_before, above, keeper)
        keepers = self._of_role(Role.SHG_BOOKKEEPER)
        numbers: Counter[str] = Counter()
        for place, (shg_id, village) in enumerate(zip(self.shg_ids, block.shg_villages, strict=True)):
            numbers[village] += 1
            over = vos_of.get(village.rpartition(".")[0])
            keeper = keepers[place // BOOKKEEPER_SHGS]
            vo = over[numbers[village] % len(over)] if over else None
            add(InstitutionKind.SHG, shg_id, block.first_shg + place, numbers[village], village, self.formed[place], vo, keeper)
        return made

    def _words(self, count: int) -> Iterator[str]:
        stock = names.women()[0]
        return (stock.sounds[place] for place in stock.draw(self.plan.inputs.dice(12, self.block.number), count).tolist())

    def _local(self, sounds: str) -> str:
        start = names.SCRIPTS.get(names.language(self.plan.inputs.state), 0)
        return names.script(sounds, start) if start else ""

    def profiles(self) -> Iterator[Rows]:
        persons, lgd = self.persons(), self.plan.inputs.state.lgd_code
        kept = [
            institution_commands.columns(one.said)
            | {"id": one.institution_id, "version": 2, "revision": 1, "status": "ACTIVE", "code": one.code, "maker_user": one.maker.user_id}
            | {"maker_person": persons[one.maker.user_id], "entered_on": one.activated_on, "activated_on": one.activated_on}
            for one in self.institutions
        ]
        yield Rows("profiles", "institutions", tuple(kept[0]), [tuple(values.values()) for values in kept])
        keepers = self._of_role(Role.SHG_BOOKKEEPER)
        columns: tuple[str, ...] = (
            "id",
            "version",
            "revision",
            "status",
            "region",
            "code",
            "identity_token",
            "attested_birth_year",
            "attested_gender",
            "verdict",
        )
        columns += ("screening_version", "submitted_version", "maker_user", "maker_person", "entered_on", "activated_on", *_MEMBER, "content_hash")

        def row(woman: Woman) -> tuple[Any, ...]:
            keeper, day = keepers[woman.shg // BOOKKEEPER_SHGS].user_id, self.plan.entered_on(woman.serial)
            shown = (woman.identity_token, woman.said.birth_year, "F") if woman.identity_token else (None, 0, "")
            version, status, verdict = (DECIDED, "ACTIVE", "CLEAR") if woman.active else (SCREENED, "SUBMITTED", None)
            code = codes.issue(codes.LETTERS["MEMBER"], lgd, woman.serial) if woman.active else None
            head = (woman.member_id, version, 1, status, self.block.shg_villages[woman.shg], code, *shown, verdict, 1, SUBMITTED)
            return (*head, keeper, persons[keeper], day, day if woman.active else None, *member_commands.columns(woman.said).values())

        yield Rows("profiles", "members", columns, [row(woman) for woman in self.women])

    @property
    def waiting(self) -> list[Waits]:
        return [
            Waits(one.member_id, self.block.shg_villages[one.shg], self.plan.entered_on(one.serial), bool(one.identity_token))
            for one in self.women
            if not one.active
        ]

    # --- The copies, and what the others make of it.

    def dedup(self) -> Iterator[Rows]:
        heard, decided, screened = [], [], []
        for woman in self.women:
            said, region = woman.said, self.block.shg_villages[woman.shg]
            record = dedup_rules.Record(
                woman.member_id, 1, said.institution_id, region, said.name, said.relation_name, said.born_on, said.birth_year,
                said.mobile, said.ifsc, said.account_number, said.account_holding, woman.identity_token,
            )  # fmt: skip
            heard.append((*_person_row(dedup_rules.person(record, Status.ACTIVE if woman.active else Status.SUBMITTED)), SUBMITTED))
            if woman.active:
                decided.append((woman.member_id, DECIDED, 1, "ACTIVE"))
                screened.append((woman.member_id, 1, 1, region, "CLEAR", noon(self.plan.entered_on(woman.serial))))
        yield Rows("dedup", "people", (*_PERSON, "version"), heard)
        yield Rows("dedup", "statuses", ("member_id", "version", "revision", "status"), decided)
        yield Rows("dedup", "screenings", ("member_id", "version", "revision", "region", "verdict", "screened_at"), screened)

    def transactions(self) -> Iterator[Rows]:
        columns: tuple[str, ...] = ("institution_id", "kind", "region", "status", "parent_id", "formed_on", "version")
        kept = [
            (one.institution_id, one.said.kind.value, one.said.region, "ACTIVE", one.said.parent_id, one.said.formed_on, 2)
            for one in self.institutions
        ]
        yield Rows("transactions", "institutions", columns, kept)
        columns = ("member_id", "institution_id", "status", "region", "version")
        members = [
            (one.member_id, one.said.institution_id, *(("ACTIVE", region, DECIDED) if one.active else ("SUBMITTED", region, SCREENED)))
            for one, region in ((one, self.block.shg_villages[one.shg]) for one in self.women)
        ]
        yield Rows("transactions", "members", columns, members)
        self.dice = self.plan.inputs.dice(13, self.block.number)  # Of the meetings alone, whatever was made before them.
        groups = self._groups()
        for first in range(0, len(groups), GROUPS_AT_ONCE):
            yield from self._meetings(groups[first : first + GROUPS_AT_ONCE])

    def _groups(self) -> list[books.Group]:
        persons = self.persons()
        keepers = [
            Caller(user.user_id, user.role, user.region, frozenset(user.institution_ids), persons[user.user_id])
            for user in self._of_role(Role.SHG_BOOKKEEPER)
        ]
        of_shg: list[list[UUID]] = [[] for _ in self.shg_ids]
        for woman in self.women:
            if woman.active:
                of_shg[woman.shg].append(woman.member_id)
        meets = (self.dice.random(len(self.shg_ids)) < self.plan.inputs.meetings_share).tolist()
        shgs = self.institutions[-len(self.shg_ids) :]
        return [
            books.Group(
                shg.institution_id,
                shg.said.region,
                shg.said.formed_on,
                shg.said.compulsory_savings_paise,
                of_shg[place],
                keepers[place // BOOKKEEPER_SHGS],
            )
            for place, shg in enumerate(shgs)
            if meets[place]
        ]

    def _meetings(self, groups: Sequence[books.Group]) -> Iterator[Rows]:
        inputs, persons = self.plan.inputs, self.persons()
        approvers = self._of_role(Role.SHG_TRANS_APPROVER)
        meetings, lines, chains, balances, loans = [], [], [], [], []
        for place, group in enumerate(groups):
            approver = approvers[place % len(approvers)].user_id
            approved = inputs.months - (self.dice.random() < inputs.rates["unapproved"])
            for meeting, posting in books.hold(group, inputs.month_days, inputs.rates, inputs.state.policies, self.dice):
                decided: tuple[str, str, datetime | None, str | None] = ("", "", None, None)
                if meeting.number <= approved:
                    decided = (approver, persons[approver], noon(meeting.held_on + timedelta(days=1)), group.region)
                    self._count(group.region, posting)
                status = MeetingStatus.APPROVED if meeting.number <= approved else MeetingStatus.CLOSED
                key = (meeting.meeting_id, group.institution_id, 1, meeting.number, meeting.held_on)
                content = json.dumps(posting.content, ensure_ascii=False)
                meetings.append(
                    (*key, content, posting.content_hash, status.value, group.keeper.user_id, group.keeper.person, noon(meeting.held_on), *decided)
                )
                lines += [
                    (
                        meeting.meeting_id,
                        1,
                        one.line,
                        group.institution_id,
                        one.member_id,
                        one.loan_id,
                        str(one.debit),
                        str(one.credit),
                        one.amount_paise,
                    )
                    for one in posting.lines
                ]
            chain = group.chain
            if chain.version:
                position = (
                    chain.last_number,
                    chain.last_held_on,
                    max(approved, 0),
                    chain.cash_paise,
                    chain.bank_paise,
                    chain.version + max(approved, 0),
                )
                chains.append((group.institution_id, *position))
            balances += [
                (group.institution_id, member_id, held.compulsory_paise, held.voluntary_paise)
                for member_id, held in group.members.items()
                if held.compulsory_paise or held.voluntary_paise
            ]
            loans += [
                (
                    *(loan_id, group.institution_id, given.member_id, meeting_id, given.principal_paise),
                    *(group.loans[loan_id].outstanding_paise, given.annual_rate_basis_points, given.months),
                )
                for loan_id, (meeting_id, given) in group.given.items()
            ]
        self.meetings += len(meetings)
        columns: tuple[str, ...] = ("meeting_id", "institution_id", "revision", "number", "held_on", "content", "content_hash", "status")
        columns += ("maker_user", "maker_person", "stored_at", "decided_by", "decided_person", "decided_at", "region")
        yield Rows("transactions", "meetings", columns, meetings)
        columns = ("meeting_id", "revision", "line", "institution_id", "member_id", "loan_id", "debit", "credit", "amount_paise")
        yield Rows("transactions", "lines", columns, lines)
        columns = ("institution_id", "last_number", "last_held_on", "approved_through", "cash_paise", "bank_paise", "version")
        yield Rows("transactions", "chains", columns, chains)
        yield Rows("transactions", "balances", ("institution_id", "member_id", "compulsory_paise", "voluntary_paise"), balances)
        columns = (
            "loan_id",
            "institution_id",
            "member_id",
            "meeting_id",
            "principal_paise",
            "outstanding_paise",
            "annual_rate_basis_points",
            "months",
        )
        yield Rows("transactions", "loans", columns, loans)

    def _count(self, region: str, posting: Posting) -> None:
        held = as_reported(posting.content, posting.lines)
        self.figures["transactions"].update(reporting_rules.meeting(region, str(posting.content["held_on"])[:7], held))

    def reporting(self) -> Iterator[Rows]:
        """What each subject adds. Who is pending is added once she is screened."""
        rows: list[tuple[Any, ...]] = []

        def add(source: str, subject: str, version: int, day: date, cells: Cells) -> None:
            rows.append((subject, version, noon(day), cells_text(cells), ""))
            self.figures[source].update(cells)

        for user in self.users:
            add("identity", f"user:{user.user_id}", 1, self.day, reporting_rules.user(month_of(self.day), [(user.role, user.region)], active=True))
        for one in self.institutions:
            cells = reporting_rules.institution(one.said.region, month_of(one.activated_on), one.said.kind.value, Status.ACTIVE)
            add("profiles", f"institution:{one.institution_id}", 2, one.activated_on, cells)
        alike: Counter[tuple[str, str, bool]] = Counter()
        for woman in self.women:
            if woman.active:
                region, day = self.block.shg_villages[woman.shg], self.plan.entered_on(woman.serial)
                key = (region, month_of(day), bool(woman.identity_token))
                alike[key] += 1
                text, _ = contribution(*key[:2], Status.ACTIVE, "CLEAR", verified=key[2])
                rows.append((f"member:{woman.member_id}", DECIDED, noon(day), text, self.block.path))
        for (region, month, verified), count in alike.items():
            _, cells = contribution(region, month, Status.ACTIVE, "CLEAR", verified=verified)
            self.figures["profiles"].update({cell: amount * count for cell, amount in cells.items()})
        yield Rows("reporting", "contributions", ("subject", "version", "occurred_at", "cells", "tallied_in"), rows)

    def everything(self) -> Iterator[Rows]:
        """Each table's rows, what is pointed to before what points; `figures` and `meetings` are whole at the end."""
        for rows in (self.profiles(), self.identity(), self.dedup(), self.transactions(), self.reporting()):
            yield from rows


def waiting_contribution(waits: Waits, verdict: str) -> tuple[tuple[Any, ...], Cells]:
    """The row of a pending member, and what she adds."""
    text, cells = contribution(waits.region, month_of(waits.entered_on), Status.SUBMITTED, verdict, verified=waits.identity_verified)
    return (f"member:{waits.member_id}", SCREENED, noon(waits.entered_on), text, ""), cells
