"""What must hold of a loaded instance, asked of the services' own rules and queries; each fault is a sentence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, cast, func, select

from loadtests.nation.rows import as_reported, books_moved, dues
from services.chassis import database
from services.dedup import queries as dedup_queries
from services.dedup import rules as dedup_rules
from services.dedup.tables import people
from services.identity.tables import user_roles, users
from services.kernel import codes
from services.kernel import region as regions
from services.kernel.approval import Status
from services.kernel.caller import OPERATOR
from services.kernel.canonical import content_hash
from services.kernel.errors import Refused
from services.kernel.month import month_of, today
from services.kernel.region import Level
from services.kernel.tally import total
from services.profiles import queries as profiles_queries
from services.profiles.commands.institution import check_acting
from services.profiles.commands.lists import lists
from services.profiles.commands.member import shg_of
from services.profiles.rules import institution as institution_rules
from services.profiles.rules import member as member_rules
from services.profiles.rules.form import Facts, day_of, word
from services.profiles.tables import institutions, members, serials, submissions
from services.reporting import queries as reporting_queries
from services.reporting import rules as reporting_rules
from services.reporting.rules import Bookkeeping, Cells, Contribution, portfolio
from services.reporting.rules.portfolio import Amounts, Due
from services.reporting.tables import ageing, bookkeeping, figures
from services.transactions import queries as transactions_queries
from services.transactions.rules import packed, statements
from services.transactions.rules.heads import Head
from services.transactions.rules.meeting import closing_hash, replayed
from services.transactions.tables import chains, loans, meetings

PAGE = 5000
SAMPLE = 5_000  # Of members, and of institutions, are read again by their forms.
BOOKS_OPENED = 200  # Of the first institutions by id.


def faults(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """All that is wrong; nothing is."""
    yield from _forms()
    yield from _hashes()
    yield from _codes()
    yield from _books()
    yield from _copies()
    yield from _people(pairs)
    yield from _figures()


def _pages(service: str, asked: Any) -> Iterator[Any]:  # noqa: ANN401 - a Select, and its rows
    with database.transaction(service) as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        yield from connection.execute(asked, execution_options={"yield_per": PAGE})


def _hashes() -> Iterator[str]:
    """What is hashed when it is read back is the hash that stands there."""
    wrong = sum(content_hash(packed.unpack_content(row)) != bytes(row.content_hash) for row in _pages("transactions", select(meetings)))
    if wrong:
        yield f"{wrong} meetings have another content than their hash says."


def _forms() -> Iterator[str]:
    """What a sample of the records hold, their forms take and keep as it is; who sits in an institution is an active member below it."""
    with database.transaction("profiles") as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        facts = Facts(today(), lists(connection))
        for name, asked, is_taken in (("members", _handed_in(), _takes_member), ("institutions", select(institutions), _takes_institution)):
            count = connection.execute(select(func.count()).select_from(asked.subquery())).scalar_one()
            every = asked.where(func.abs(func.hashtext(cast(asked.selected_columns.id, Text))) % (count // SAMPLE + 1) == 0)
            wrong = sum(not is_taken(connection, row, facts) for row in connection.execute(every).all())
            if wrong:
                yield f"Of a sample of {name} {wrong} hold what no form takes."


def _takes_member(connection: Connection, row: Any, facts: Facts) -> bool:  # noqa: ANN401 - a row of _handed_in
    shg = profiles_queries.institutions_among(connection, [row.institution_id])[0]
    try:
        return dict(row.content) == member_rules.read(row.content, shg_of(shg), facts)
    except Refused:
        return False


def _takes_institution(connection: Connection, row: Any, facts: Facts) -> bool:  # noqa: ANN401 - a row of institutions
    above = profiles_queries.institutions_among(connection, [row.parent_id]) if row.parent_id else []
    try:
        check_acting(connection, row.id, row.content)
        institution_rules.check_parent(row.content, above[0].content if above else None)
        return dict(row.content) == institution_rules.read(row.content, facts)
    except Refused:
        return False


def _handed_in() -> Any:  # noqa: ANN401 - a Select
    """The members as they were handed in last: what waits of each, else what is live."""
    waits = submissions.c
    names = ("revision", "content", "identity_token", "verdict")
    spoken_of = [func.coalesce(waits[name], members.c[name]).label(name) for name in names]
    beside = (members.c.id, members.c.institution_id, members.c.region, members.c.status, members.c.entered_on, members.c.activated_on)
    return select(*beside, *spoken_of).outerjoin(submissions, waits.record_id == members.c.id)


def _codes() -> Iterator[str]:
    """Each code is right, and the next one is new."""
    greatest: Counter[str] = Counter()
    for table, kind in ((members, "MEMBER"), (institutions, "")):
        of = [table.c.code, *([table.c.kind] if not kind else [])]
        for row in _pages("profiles", select(*of).where(table.c.code.is_not(None))):
            codes.check_code(row.code, "code")
            of_kind = kind or row.kind
            greatest[of_kind] = max(greatest[of_kind], int(row.code[3:-1]))
    for kind, given in greatest.items():
        with database.reading("profiles") as connection:
            stands = connection.exec_driver_sql(f"select last_value from {serials[kind].name}").scalar_one()  # noqa: S608 - our own sequence's name
        if stands < given:
            yield f"The next code of a {kind} would be one that is given: the serial stands at {stands}, and {given} is given."


def _books() -> Iterator[str]:
    """Positions are the sums of their lines; of some books the trial balance balances, the last seal and each loan's memo hold."""
    with database.transaction("transactions") as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        if adrift := transactions_queries.adrift(connection):
            yield f"{len(adrift)} institutions have another position than their lines add up to."
        first = select(chains.c.institution_id).order_by(chains.c.institution_id).limit(BOOKS_OPENED)
        for institution_id in connection.execute(first).scalars().all():
            books = transactions_queries.approved_from(connection, OPERATOR, institution_id, date.max)
            book = statements.trial_balance(books.now, books.meetings, books.chain.approved_through)
            if book.debit_total_paise != book.credit_total_paise:
                yield f"The trial balance of {institution_id} does not balance."
            stands = transactions_queries.standing(connection, OPERATOR, institution_id, transactions_queries.Known())
            last = transactions_queries.recorded_sheet(connection, stands.chain.last_meeting_id)
            if last.closing_hash != closing_hash(last, stands.balances):
                yield f"The books of {institution_id} do not stand where its last meeting was sealed."
            given_in = {
                str(row.loan_id): str(row.meeting_id) for row in connection.execute(select(loans).where(loans.c.institution_id == institution_id))
            }
            for loan_id, (_, loan) in stands.loans.items():
                history = transactions_queries.history_from(connection, institution_id, [UUID(given_in[loan_id])])
                if loan.standing != replayed(loan_id, given_in[loan_id], loan, history):
                    yield f"The loan {loan_id} stands otherwise than its payments say."


def _copies() -> Iterator[str]:
    """Owner and copies add up to the same, block by block."""
    owned: dict[str, list[tuple[UUID, int]]] = defaultdict(list)
    with database.transaction("profiles") as connection:
        for block, member_id, version, active in profiles_queries.members_by_block(connection):
            if active:
                owned[block].append((member_id, version))
    for block, held in owned.items():
        said = len(held), total(held)
        with database.transaction("transactions") as connection:
            kept = transactions_queries.tally(connection, block)
        with database.transaction("reporting") as connection:
            counted = reporting_queries.copied(connection, block)
        if not said == kept == (counted.members, counted.fingerprint):
            yield f"The copies of block {block} differ: profiles has {said[0]} members, transactions {kept[0]}, reporting {counted.members}."


def _people(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Dedup compares what profiles holds; who is pending has the screening that she would get now; labels name people who are there."""
    with database.transaction("dedup") as dedup:
        dedup.exec_driver_sql("set local statement_timeout = 0")
        wrong = 0
        for row in _pages("profiles", _handed_in().where(func.coalesce(submissions.c.revision, members.c.revision) > 0)):
            held = dedup_queries.held(dedup, [row.id]).get(row.id)
            wrong += held is None or held[-1].person != dedup_rules.person(_record(row), Status(row.status))
        if wrong:
            yield f"Dedup knows {wrong} members otherwise than profiles holds them."
        unlike = [
            row.id for row in _pages("profiles", select(members.c.id).where(members.c.status == Status.SUBMITTED)) if not _is_screened(dedup, row.id)
        ]
        if unlike:
            yield f"{len(unlike)} pending members have another screening than they would get now."
        known = set(map(str, dedup.execute(select(people.c.member_id)).scalars()))
        gone = [pair for pair in pairs if not set(pair) <= known]
        if gone:
            yield f"{len(gone)} labels name somebody who is not there."


def _record(row: Any) -> dedup_rules.Record:  # noqa: ANN401 - a row of _handed_in
    account = member_rules.default_account(row.content) or {}
    return dedup_rules.Record(
        row.id,
        row.revision,
        row.institution_id,
        row.region,
        word(row.content, "name"),
        word(row.content, "relation_name"),
        day_of(row.content, "born_on"),
        member_rules.birth_year(row.content),
        word(member_rules.default_phone(row.content) or {}, "number"),
        word(account, "ifsc"),
        word(account, "account_number"),
        word(account, "holding"),
        row.identity_token or "",
    )


def _is_screened(connection: Connection, member_id: UUID) -> bool:
    held, told = dedup_queries.held(connection, [member_id]).get(member_id), dedup_queries.screening(connection, member_id)
    by = dedup_queries.yardstick(connection)
    return held is not None and told is not None and told[0] == dedup_queries.screen(connection, held[-1].person, by)


def _figures() -> Iterator[str]:
    """The figures are what their owners' records come to, counted again from the start."""
    expected: Cells = Counter()
    places = func.array_agg(func.json_build_array(user_roles.c.role, user_roles.c.region)).label("places")
    for row in _pages("identity", select(users, places).join(user_roles).group_by(users.c.user_id)):
        expected.update(reporting_rules.user(month_of(row.made_on), row.places, active=row.status == "ACTIVE"))
    for row in _pages("profiles", select(institutions)):
        month = month_of(row.activated_on or row.entered_on)
        expected.update(reporting_rules.institution(row.region, month, row.kind, Status(row.status)))
    for row in _pages("profiles", _handed_in()):
        month = month_of(row.activated_on or row.entered_on)
        verified = row.identity_token is not None
        expected.update(reporting_rules.member(row.region, month, Status(row.status), row.verdict or "UNSPECIFIED", identity_verified=verified))
    held, kept, aged = _meetings()
    expected.update(held)
    moved = {said.subject: said for said in _moved()}
    for said in moved.values():
        expected.update(said.cells)
    with database.transaction("reporting") as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        there = {(row.region, row.month, row.measure): row.amount for row in connection.execute(select(figures)) if row.amount}
        work = {Bookkeeping(row.block, row.month, row.maker_user): row.meetings for row in connection.execute(select(bookkeeping))}
        old = {Due(*row[1:5]): Amounts(*row[5:]) for row in connection.execute(select(ageing)) if any(row[5:])}
        heard = reporting_queries.held(connection, moved)
    if there != dict(reporting_rules.rolled_up(expected)):
        differing = {cell for cell, _ in there.items() ^ reporting_rules.rolled_up(expected).items()}
        yield f"{len(differing)} figures are not what the records come to, such as {min(differing)}."
    if work != kept:
        yield f"{len({one for one, _ in work.items() ^ kept.items()})} bookkeepers' months are not what their meetings come to."
    if old != (expected_old := portfolio.rolled_up(aged)):
        yield f"{len({due for due, _ in old.items() ^ expected_old.items()})} due dates are not what the meetings changed of them."
    if _lent(there) != _outstanding(old):
        yield "What is outstanding by due dates is not what is lent."
    unlike = sum(not _stands_as_heard(said, heard.get(subject)) for subject, said in moved.items())
    if unlike:
        yield f"Of {unlike} institutions reporting has other books than there are."


def _lent(figures: Mapping[tuple[str, str, int], int]) -> Counter[str]:
    """What members owe, in paise, by block and all wider regions: by the ledger's head."""
    lent: Counter[str] = Counter()
    for (region, _, measure), paise in figures.items():
        if measure == reporting_rules.LOANS_OUTSTANDING.number and regions.level(region) in portfolio.LEVELS:
            lent[region] += paise
    return lent


def _outstanding(aged: Mapping[Due, Amounts]) -> Counter[str]:
    """The same by due dates."""
    outstanding: Counter[str] = Counter()
    for due, amounts in aged.items():
        if due.head == Head.MEMBER_LOANS:
            outstanding[due.region] += amounts.outstanding
    return outstanding


def _stands_as_heard(said: Contribution, heard: Contribution | None) -> bool:
    """Whatever the version, that may have grown since by what is not told; were it smaller, the next word would not be heard."""
    if heard is None or heard.version > said.version:
        return False
    return replace(heard, version=said.version, occurred_at=said.occurred_at) == said


def _meetings() -> tuple[Cells, Counter[Bookkeeping], dict[Due, Amounts]]:
    """What the approved meetings come to, who kept the books of how many, and what they changed of due dates."""
    counted: Cells = Counter()
    kept: Counter[Bookkeeping] = Counter()
    aged: list[tuple[Due, Amounts]] = []
    with database.transaction("transactions") as connection:
        connection.exec_driver_sql("set local statement_timeout = 0")
        after: UUID | None = None
        while rows := transactions_queries.approved_after(connection, after, PAGE):
            for row in rows:
                month = month_of(row.held_on)
                held = as_reported(packed.unpack_content(row), packed.unpack_lines(row))
                counted.update(reporting_rules.meeting(row.region, month, held))
                block = regions.at_level(row.region, Level.BLOCK)
                kept[Bookkeeping(block, month, row.maker_user)] += 1
                aged += dues(block, row.held_on, packed.ageing(row))
            after = rows[-1].meeting_id
    return counted, kept, portfolio.gathered(aged)


def _moved() -> Iterator[Contribution]:
    """Where all books stand."""
    with database.transaction("transactions") as connection:
        after: UUID | None = None
        while rows := transactions_queries.chains_after(connection, after, PAGE):
            for institution_id, region, chain in rows:
                yield books_moved(institution_id, region, chain)
            after = rows[-1][0]
