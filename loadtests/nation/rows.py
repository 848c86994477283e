"""What each service would hold of a block, had it come in at the front door: rows for COPY, made by the services' own functions."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

import numpy as np

from loadtests.nation import books, names, people
from loadtests.nation.people import Woman
from loadtests.nation.plan import BEGINNING, BOOKKEEPER_SHGS, Block, Plan
from services.dedup import rules as dedup_rules
from services.identity.rules.user import Side, person
from services.kernel import codes
from services.kernel.approval import Act, MeetingStatus, Status
from services.kernel.caller import Caller, Role
from services.kernel.month import month_of, today
from services.profiles.commands import institution as institution_commands
from services.profiles.commands import record
from services.profiles.queries import MEMBER
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts
from services.profiles.rules.institution import Kind as InstitutionKind
from services.profiles.rules.lists import DEFAULTS
from services.profiles.rules.seats import OFFICE_BEARERS
from services.reporting import rules as reporting_rules
from services.reporting.rules import Bookkeeping, Cells
from services.reporting.rules.portfolio import Amounts, Due, gathered
from services.transactions.queries import WHOLE
from services.transactions.rules.ageing import Change
from services.transactions.rules.books import Chain
from services.transactions.rules.journal import Line
from services.transactions.rules.packed import Packed, pack
from services.transactions.rules.record import Posting, totals

MARK = "SYNTHETIC"  # In the id of every user that is made here, and the source of every institution and member.
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
    content: dict[str, Any]
    formed_on: date
    code: str
    activated_on: date

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def region(self) -> str:
        return str(self.content["region"])

    @property
    def parent_id(self) -> str | None:
        return self.content.get("parent_id")

    @property
    def banks(self) -> str | None:
        """As the books keep what profiles tells of its accounts."""
        told = [[account["row_id"], None] for account in self.content.get("accounts", ())]
        return json.dumps(told) if told else None

    @property
    def compulsory_paise(self) -> int:
        return int(self.content.get("compulsory_savings_paise", 0))


@dataclass(frozen=True, slots=True)
class Waits:
    """A pending member, and what is needed once she is screened."""

    member_id: UUID
    region: str
    entered_on: date
    identity_verified: bool
    warned: bool


_PERSON = tuple(column.name for column in fields(dedup_rules.Person) if column.name != "documents")  # Nobody here shows one.
_person_row = attrgetter(*_PERSON)


_WAITING = ("record_id", "kind", "institution_id", "region", "block", "gp", "content")
_EVIDENCE = ("identity_token", "attested_birth_year", "attested_gender")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


def _evidence(woman: Woman) -> tuple[str | None, int, str]:
    """What her e-KYC showed, where she showed it."""
    return (woman.identity_token, woman.said.birth_year, "F") if woman.identity_token else (None, 0, "")


def _grouped(above: Sequence[int | None], count: int) -> list[list[int]]:
    """The places of those below, by the place of what is above."""
    below: list[list[int]] = [[] for _ in range(count)]
    for place, one in enumerate(above):
        if one is not None:
            below[one].append(place)
    return below


def _three(places: Sequence[int]) -> list[tuple[int, int]]:
    """For three seats the places in turn, each seat with its number."""
    return [(seat, places[seat % len(places)]) for seat in range(3)]


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


@lru_cache(1 << 16)
def contribution(region: str, month: str, status: Status, verdict: str, *, verified: bool) -> tuple[str, Cells]:
    """What a member adds to the figures, as reporting keeps it and as it counts it."""
    cells = reporting_rules.member(region, month, status, verdict, identity_verified=verified)
    return cells_text(cells), cells


def cells_text(cells: Cells) -> str:
    return json.dumps([[*cell, amount] for cell, amount in cells.items()])


def as_reported(content: Mapping[str, Any], lines: Sequence[Line]) -> reporting_rules.Meeting:
    """What reporting hears of a meeting."""
    summed, attendance = totals(lines, len(content.get("reversals", ()))), content.get("attendance", ())
    return reporting_rules.Meeting(
        sum(one.get("present", False) for one in attendance),
        len(attendance),
        summed.savings_paise,
        summed.loans_disbursed_paise,
        summed.principal_repaid_paise,
        summed.interest_received_paise,
        summed.fines_paise,
        summed.savings_withdrawn_paise,
        len(content.get("loans", ())),
        tuple(reporting_rules.HeadTotal(head, *paise) for head, paise in summed.heads.items()),
    )


def dues(block: str, held_on: date, changes: Iterable[Change]) -> Iterator[tuple[Due, Amounts]]:
    """What reporting hears of the due dates that a meeting changed."""
    return ((Due(block, one.head.value, held_on, one.due_on), Amounts(*one[2:])) for one in changes)


def books_moved(institution_id: object, region: str, chain: Chain) -> reporting_rules.Contribution:
    """What reporting keeps of where an institution's books stand."""
    cells = reporting_rules.books(
        region,
        month_of(chain.last_held_on) if chain.last_held_on else "",
        last_number=chain.last_number,
        approved_through=chain.approved_through,
        handed_back=chain.highest_number - chain.last_number,
    )
    subject, day = f"{reporting_rules.BOOKS}{institution_id}", chain.last_held_on
    return reporting_rules.Contribution(subject, chain.version, noon(day or BEGINNING), cells, region=region, last_held_on=day)


def array(values: Iterable[object]) -> str:
    """As PostgreSQL writes it, of what needs no quotes."""
    return "{" + ",".join(map(str, values)) + "}"


@dataclass
class Made:
    """A block with all that is in it. `figures` are what reporting counts, by the service that told of it, `kept` whose work meetings were,
    `aged` what they changed of due dates.
    """

    plan: Plan
    block: Block
    person_key: bytes
    password_hash: str
    figures: dict[str, Cells] = field(default_factory=lambda: {"identity": Counter(), "profiles": Counter(), "transactions": Counter()})
    kept: Counter[Bookkeeping] = field(default_factory=Counter)
    aged: dict[Due, Amounts] = field(default_factory=dict)
    stands: list[reporting_rules.Contribution] = field(default_factory=list)
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
        kept = [(one.institution_id, one.kind, one.content["name"], one.region, one.parent_id, "ACTIVE", 2) for one in self.institutions]
        yield Rows("identity", "institutions", columns, kept)

    # --- Institutions and members.

    @cached_property
    def active(self) -> list[list[UUID]]:
        """The active members of each SHG."""
        of_shg: list[list[UUID]] = [[] for _ in self.shg_ids]
        for woman in self.women:
            if woman.active:
                of_shg[woman.shg].append(woman.member_id)
        return of_shg

    @cached_property
    def institutions(self) -> list[Enrolled]:
        """Those above before those below."""
        block, day = self.block, self.day
        vos_of: dict[str, list[int]] = {}
        for place, gp in enumerate(block.vo_gps):
            vos_of.setdefault(gp, []).append(place)
        numbers: Counter[str] = Counter()
        vo_of_shg: list[int | None] = []
        for village in block.shg_villages:  # In turn, so that each VO has some.
            over = vos_of.get(gp := village.rpartition(".")[0])
            vo_of_shg.append(over[numbers[gp] % len(over)] if over else None)
            numbers.update((gp, village))
        # Who sits for whom: of a VO's SHGs in turn a member each, and of a CLF's VOs a member of an SHG of each.
        shgs_of = _grouped(vo_of_shg, len(self.vo_ids))
        clf_of_vo = [place * len(self.clf_ids) // len(self.vo_ids) for place in range(len(self.vo_ids))]
        vos_below = _grouped(clf_of_vo, len(self.clf_ids))
        words = self._words(len(self.clf_ids) + len(self.vo_ids) + len(self.shg_ids))
        made: list[Enrolled] = []
        sit: list[tuple[UUID | None, UUID]]
        formed_before = day - timedelta(days=365)
        for place, clf_id in enumerate(self.clf_ids):
            sit = [(self.vo_ids[vo], self.active[shgs_of[vo][0]][seat]) for seat, vo in _three(vos_below[place])]
            said = self._federation(InstitutionKind.CLF, next(words), place + 1, block.path, formed_before, None)
            made.append(self._enrolled(clf_id, said, formed_before, block.first_clf + place, day, sit))
        for place, (vo_id, gp) in enumerate(zip(self.vo_ids, block.vo_gps, strict=True)):
            sit = [(self.shg_ids[shg], self.active[shg][seat]) for seat, shg in _three(shgs_of[place])]
            above = self.clf_ids[clf_of_vo[place]] if self.clf_ids else None
            said = self._federation(InstitutionKind.VO, next(words), vos_of[gp].index(place) + 1, gp, formed_before, above)
            made.append(self._enrolled(vo_id, said, formed_before, block.first_vo + place, day, sit))
        numbers.clear()
        for place, (shg_id, village, vo) in enumerate(zip(self.shg_ids, block.shg_villages, vo_of_shg, strict=True)):
            numbers[village] += 1
            serial, formed = block.first_shg + place, self.formed[place]
            said = self._said(InstitutionKind.SHG, next(words), numbers[village], village, formed, None if vo is None else self.vo_ids[vo])
            said |= {"type": "REGULAR", "savings_frequency": "MONTHLY", "compulsory_savings_paise": SAVINGS_PAISE[serial % len(SAVINGS_PAISE)]}
            said |= {"bookkeeper": "INTERNAL", "bookkeeper_member_id": str(self.active[place][1])}
            account = {"row_id": str(shg_id), "ifsc": f"{people.IFSC}000000", "account_number": str(70_000_000_000 + serial), "holding": "GROUP"}
            said["accounts"] = [account | {"is_default": "YES"}]
            sit = [(None, member_id) for member_id in self.active[place][:3]]
            made.append(self._enrolled(shg_id, said, formed, serial, self.activated[place], sit))
        return made

    def _said(self, kind: InstitutionKind, sounds: str, number: int, region: str, formed: date, parent: UUID | None) -> dict[str, Any]:
        """What the forms of all three kinds need."""
        called, local = {"SHG": "Mahila Samooh", "VO": "Gram Sangathan", "CLF": "Sankul Sangh"}[kind], self._local(sounds)
        said: dict[str, Any] = {"kind": kind.value, "name": f"{names.latin(sounds)} {called} {number}", "region": region}
        said |= {"formed_on": formed.isoformat(), "origin": "NEW", "promoted_by": "NRLM"}
        said |= {"meeting_frequency": "MONTHLY", "meeting_days": [formed.day % 28 + 1]}
        return said | ({"name_local": local} if local else {}) | ({"parent_id": str(parent)} if parent else {})

    def _federation(self, kind: InstitutionKind, sounds: str, number: int, region: str, formed: date, parent: UUID | None) -> dict[str, Any]:
        return self._said(kind, sounds, number, region, formed, parent) | {"bookkeeper": "NONE", "financial_intermediation": "NO"}

    def _enrolled(
        self, institution_id: UUID, said: dict[str, Any], formed: date, serial: int, day: date, sit: Sequence[tuple[UUID | None, UUID]]
    ) -> Enrolled:
        """With its office bearers, of whom two sign."""
        own = str(institution_id)
        said["seats"] = [
            {"row_id": f"{own[:-1]}{place}", "body": "OFFICE", "post": post, "member_id": str(member_id), "from": day.isoformat()}
            | ({"institution_id": str(stands_for)} if stands_for else {})
            | ({"is_signatory": "YES"} if place else {})
            for place, (post, (stands_for, member_id)) in enumerate(zip(OFFICE_BEARERS, sit, strict=True))
        ]
        return Enrolled(institution_id, said, formed, codes.issue(codes.LETTERS[said["kind"]], self.plan.inputs.state.lgd_code, serial), day)

    def _words(self, count: int) -> Iterator[str]:
        stock = names.women()[0]
        return (stock.sounds[place] for place in stock.draw(self.plan.inputs.dice(12, self.block.number), count).tolist())

    def _local(self, sounds: str) -> str:
        start = names.SCRIPTS.get(names.language(self.plan.inputs.state), 0)
        return names.script(sounds, start) if start else ""

    def profiles(self) -> Iterator[Rows]:
        lgd = self.plan.inputs.state.lgd_code
        kept = [
            institution_commands.columns(one.content)
            | {"id": one.institution_id, "version": 2, "revision": 1, "status": "ACTIVE", "content": _json(one.content), "code": one.code}
            | {"source": MARK, "entered_on": one.activated_on, "activated_on": one.activated_on}
            for one in self.institutions
        ]
        yield Rows("profiles", "institutions", tuple(kept[0]), [tuple(values.values()) for values in kept])
        mapped = [(one.institution_id, one.activated_on, one.parent_id) for one in self.institutions if one.parent_id]
        yield Rows("profiles", "mappings", ("child_id", "from_on", "parent_id"), mapped)
        columns: tuple[str, ...] = ("id", "version", "revision", "status", "institution_id", "region", "content", "code", *_EVIDENCE)
        columns += ("verdict", "screening_version", "submitted_version", "source", "entered_on", "activated_on")

        def row(woman: Woman) -> tuple[Any, ...]:
            day, region, said = self.plan.entered_on(woman.serial), self.block.shg_villages[woman.shg], woman.said
            if not woman.active:
                of_whom: tuple[Any, ...] = (woman.member_id, SCREENED, 0, "SUBMITTED", said.institution_id, region)
                return (*of_whom, None, None, None, 0, "", None, 0, SUBMITTED, MARK, day, None)
            code = codes.issue(codes.LETTERS["MEMBER"], lgd, woman.serial)
            of_whom = (woman.member_id, DECIDED, 1, "ACTIVE", said.institution_id, region)
            return (*of_whom, _json(woman.content()), code, *_evidence(woman), "CLEAR", 1, SUBMITTED, MARK, day, day)

        yield Rows("profiles", "members", columns, [row(woman) for woman in self.women])
        yield self._approvals()
        yield self._submissions()

    def _approvals(self) -> Rows:
        """Who handed in what is live, and who let it in."""
        keepers, [manager] = self._of_role(Role.SHG_BOOKKEEPER), self._of_role(Role.BLOCK_PROGRAM_MANAGER)
        let_in = [(one.institution_id, keepers[0].user_id, one.activated_on) for one in self.institutions]
        let_in += [(one.member_id, keepers[one.shg // BOOKKEEPER_SHGS].user_id, self.plan.entered_on(one.serial)) for one in self.women if one.active]
        columns = ("record_id", "revision", "act", "content", "maker_user", "decided_by", "decided_at")
        rows = [(record_id, 1, Act.PROFILE.value, "{}", maker, manager.user_id, noon(day)) for record_id, maker, day in let_in]
        return Rows("profiles", "history", columns, rows)

    def _submissions(self) -> Rows:
        """What waits: members who are not live yet."""
        persons, keepers = self.persons(), self._of_role(Role.SHG_BOOKKEEPER)
        columns = (*_WAITING, "act", "revision", "status", "maker_user", "maker_person", "submitted_at", "open_questions", *_EVIDENCE)
        rows = []
        for woman in self.women:
            if not woman.active:
                keeper, region, content = keepers[woman.shg // BOOKKEEPER_SHGS].user_id, self.block.shg_villages[woman.shg], woman.content()
                said = record.waiting_row(woman.member_id, MEMBER, woman.said.institution_id, region, content) | {"content": _json(content)}
                handed_in = (Act.PROFILE.value, 1, "SUBMITTED", keeper, persons[keeper], noon(self.plan.entered_on(woman.serial)), True)
                rows.append((*(said[name] for name in _WAITING), *handed_in, *_evidence(woman)))
        return Rows("profiles", "submissions", columns, rows)

    @property
    def waiting(self) -> list[Waits]:
        facts = Facts(today(), DEFAULTS)
        return [
            Waits(
                one.member_id,
                self.block.shg_villages[one.shg],
                self.plan.entered_on(one.serial),
                bool(one.identity_token),
                bool(member_rules.warnings(one.content(), facts)),
            )
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
        columns: tuple[str, ...] = ("institution_id", "kind", "region", "status", "parent_id", "formed_on", "banks", "compulsory_paise", "version")
        kept = [
            (one.institution_id, one.kind, one.region, "ACTIVE", one.parent_id, one.formed_on, one.banks, one.compulsory_paise, 2)
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
        meets = (self.dice.random(len(self.shg_ids)) < self.plan.inputs.meetings_share).tolist()
        shgs = self.institutions[-len(self.shg_ids) :]
        return [
            books.Group(
                shg.institution_id,
                shg.region,
                shg.formed_on,
                shg.compulsory_paise,
                shg.content["accounts"][0]["row_id"],
                list(map(str, self.active[place])),
                keepers[place // BOOKKEEPER_SHGS],
            )
            for place, shg in enumerate(shgs)
            if meets[place]
        ]

    def _meetings(self, groups: Sequence[books.Group]) -> Iterator[Rows]:
        inputs, persons = self.plan.inputs, self.persons()
        approvers = self._of_role(Role.SHG_TRANS_APPROVER)
        meetings: list[tuple[Any, ...]] = []
        chains: list[tuple[Any, ...]] = []
        balances: list[tuple[Any, ...]] = []
        loans: list[tuple[Any, ...]] = []
        told: list[tuple[Due, Amounts]] = []
        for place, group in enumerate(groups):
            approver = approvers[place % len(approvers)].user_id
            approved = inputs.months - (self.dice.random() < inputs.rates["unapproved"])
            for posting in books.hold(group, inputs.month_days, inputs.rates, inputs.state.policies, self.dice):
                final = posting.sheet.number <= approved
                meetings.append(_meeting_row(group, posting, (approver, persons[approver]) if final else None))
                if final:
                    self._count(group, posting)
                    told += dues(self.block.path, posting.sheet.held_on, posting.taken.ageing)
            if not group.books.chain.last_number:
                continue
            # Each was stored and then approved, before the next was held: two versions a meeting.
            chain = replace(group.books.chain, approved_through=approved, version=inputs.months + approved)
            self.stands.append(books_moved(group.institution_id, group.region, chain))
            last = (chain.last_number, chain.last_meeting_id, chain.last_held_on)
            chains.append((group.institution_id, *last, approved, chain.highest_number, chain.version))
            balances += _balance_rows(group)
            loans += _loan_rows(group)
        self.meetings += len(meetings)
        self.aged = gathered([*self.aged.items(), *told])
        columns: tuple[str, ...] = ("meeting_id", "institution_id", "revision", "number", "held_on", "content_hash", *Packed._fields, "flags")
        columns += ("maker_user", "maker_person", "stored_at", "status", "decided_by", "decided_person", "decided_at", "region")
        yield Rows("transactions", "meetings", columns, meetings)
        columns = ("institution_id", "last_number", "last_meeting_id", "last_held_on", "approved_through", "highest_number", "version")
        yield Rows("transactions", "chains", columns, chains)
        columns = ("institution_id", "head", "of_id", "paise", "interest_paise", "counted_through", "version")
        yield Rows("transactions", "balances", columns, balances)
        columns = ("loan_id", "institution_id", "meeting_id", "head", "borrower_id", "principal_paise", "annual_rate_basis_points", "instalments")
        yield Rows("transactions", "loans", (*columns, "given_on", "rounding_paise"), loans)

    def _count(self, group: books.Group, posting: Posting) -> None:
        month, held = month_of(posting.sheet.held_on), as_reported(posting.upload.content, posting.taken.lines)
        self.figures["transactions"].update(reporting_rules.meeting(group.region, month, held))
        self.kept[Bookkeeping(self.block.path, month, group.keeper.user_id)] += 1

    def reporting(self) -> Iterator[Rows]:
        """What each subject adds. Who is pending is added once she is screened."""
        rows: list[tuple[Any, ...]] = []

        def add(source: str, said: reporting_rules.Contribution) -> None:
            rows.append((said.subject, said.version, said.occurred_at, cells_text(said.cells), "", said.region, said.last_held_on))
            self.figures[source].update(said.cells)

        for user in self.users:
            cells = reporting_rules.user(month_of(self.day), [(user.role, user.region)], active=True)
            add("identity", reporting_rules.Contribution(f"user:{user.user_id}", 1, noon(self.day), cells))
        for one in self.institutions:
            cells = reporting_rules.institution(one.region, month_of(one.activated_on), one.kind, Status.ACTIVE)
            subject = f"{reporting_rules.INSTITUTION}{one.institution_id}"
            add("profiles", reporting_rules.Contribution(subject, 2, noon(one.activated_on), cells, region=one.region))
        for said in self.stands:
            add("transactions", said)
        alike: Counter[tuple[str, str, bool]] = Counter()
        for woman in self.women:
            if woman.active:
                region, day = self.block.shg_villages[woman.shg], self.plan.entered_on(woman.serial)
                key = (region, month_of(day), bool(woman.identity_token))
                alike[key] += 1
                text, _ = contribution(*key[:2], Status.ACTIVE, "CLEAR", verified=key[2])
                rows.append((f"member:{woman.member_id}", DECIDED, noon(day), text, self.block.path, None, None))
        for (region, month, verified), count in alike.items():
            _, cells = contribution(region, month, Status.ACTIVE, "CLEAR", verified=verified)
            self.figures["profiles"].update({cell: amount * count for cell, amount in cells.items()})
        columns = ("subject", "version", "occurred_at", "cells", "tallied_in", "region", "last_held_on")
        yield Rows("reporting", "contributions", columns, rows)
        yield Rows("reporting", "bookkeeping", (*Bookkeeping._fields, "meetings"), [(*one, count) for one, count in self.kept.items()])

    def everything(self) -> Iterator[Rows]:
        """Each table's rows, what is pointed to before what points; `figures`, `aged` and `meetings` are whole at the end."""
        for rows in (self.profiles(), self.identity(), self.dedup(), self.transactions(), self.reporting()):
            yield from rows


def waiting_contribution(waits: Waits, verdict: str) -> tuple[tuple[Any, ...], Cells]:
    """The row of a pending member, and what she adds."""
    text, cells = contribution(waits.region, month_of(waits.entered_on), Status.SUBMITTED, verdict, verified=waits.identity_verified)
    return (f"member:{waits.member_id}", SCREENED, noon(waits.entered_on), text, ""), cells


def _meeting_row(group: books.Group, posting: Posting, by: tuple[str, str] | None) -> tuple[Any, ...]:
    """A meeting as STORE writes it, and as APPROVE does where somebody (user id and person) approved it, the day after."""
    sheet, packed = posting.sheet, pack(posting.upload.content, posting.taken.lines, ageing=posting.taken.ageing)
    arrays = (part if isinstance(part, bytes) else array(part) for part in packed)
    made = (group.keeper.user_id, group.keeper.person, noon(sheet.held_on))
    status = MeetingStatus.APPROVED if by else MeetingStatus.CLOSED
    decided = (*by, noon(sheet.held_on + timedelta(days=1)), group.region) if by else (None, None, None, None)
    key = (sheet.meeting_id, group.institution_id, 1, sheet.number, sheet.held_on, posting.upload.content_hash)
    return (*key, *arrays, array(posting.taken.flags), *made, status.value, *decided)


def _balance_rows(group: books.Group) -> Iterator[tuple[Any, ...]]:
    """Every balance that meetings moved, with the chain's version when the last of them was stored."""
    for (head, of), number in group.moved_in.items():
        loan = group.books.loans.get(of)
        memo = (loan.standing.interest_unpaid_paise, loan.standing.accrued_through) if loan else (None, None)
        yield (group.institution_id, head.value, of or WHOLE, group.paise(head, of), *memo, 2 * number - 1)


def _loan_rows(group: books.Group) -> Iterator[tuple[Any, ...]]:
    for loan_id, loan in group.books.loans.items():
        key = (loan_id, group.institution_id, group.given_in[loan_id], loan.head.value, loan.borrower_id)
        terms = loan.terms
        yield (*key, terms.principal_paise, terms.annual_rate_basis_points, terms.instalments, terms.given_on, terms.rounding_paise)
