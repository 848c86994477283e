"""Hears what becomes of users, members, institutions and meetings, in micro-batches, and puts it into the figures; and which sessions ended."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC

from sqlalchemy import Connection

from protos import identity_pb2, profiles_pb2, transactions_pb2
from services.chassis import ended
from services.chassis.hears import Event, hears
from services.kernel import region as regions
from services.kernel.approval import Status
from services.kernel.month import month_of, parse_date
from services.kernel.region import Level
from services.reporting import commands, rules
from services.reporting.queries import Tally
from services.reporting.rules import BOOKS, INSTITUTION, MEMBER, Bookkeeping, Cells, Contribution, HeadTotal, Meeting, Stay, portfolio
from services.reporting.rules.portfolio import Amounts, Due


def _status(status: profiles_pb2.Status) -> Status:
    return Status(profiles_pb2.Status.Name(status).removeprefix("STATUS_"))


def _month(day: str) -> str:
    """Of a day as profiles writes it."""
    return month_of(parse_date(day, "day")) if day else ""


def _heads(told: Iterable[transactions_pb2.HeadTotal]) -> tuple[HeadTotal, ...]:
    return tuple(HeadTotal(one.head, one.debit_paise, one.credit_paise) for one in told)


class Consumer:
    """What reporting hears."""

    @hears("identity", identity_pb2.UserChanged, batched=True)
    def user_changed(self, connection: Connection, events: Sequence[Event[identity_pb2.UserChanged]]) -> None:
        commands.replace(
            connection,
            "identity",
            [
                Contribution(
                    f"user:{event.subject}",
                    event.version,
                    event.occurred_at,
                    rules.user(event.body.month, [(place.role, place.region) for place in event.body.places], active=event.body.active),
                )
                for event in events
            ],
        )

    @hears("profiles", profiles_pb2.MemberChanged, batched=True)
    def member_changed(self, connection: Connection, events: Sequence[Event[profiles_pb2.MemberChanged]]) -> None:
        commands.replace(connection, "profiles", [self._member(event) for event in events])

    def _member(self, event: Event[profiles_pb2.MemberChanged]) -> Contribution:
        body = event.body
        status = _status(body.status)
        verdict = profiles_pb2.Verdict.Name(body.verdict).removeprefix("VERDICT_")
        # Who was never let in by a checker was never counted, and so does not end to count.
        ended = [Stay(stay.region, _month(stay.from_on), _month(stay.to_on)) for stay in body.ended_stays if body.activated]
        cells = rules.member(
            body.region,
            body.month,
            status,
            verdict,
            identity_verified=body.identity_verified,
            ended=ended,
            since_month=_month(body.since_on),
        )
        return Contribution(f"{MEMBER}{event.subject}", event.version, event.occurred_at, cells, rules.tallied_in(body.region, status))

    @hears("profiles", profiles_pb2.InstitutionChanged, batched=True)
    def institution_changed(self, connection: Connection, events: Sequence[Event[profiles_pb2.InstitutionChanged]]) -> None:
        commands.replace(connection, "profiles", [self._institution(event) for event in events])

    def _institution(self, event: Event[profiles_pb2.InstitutionChanged]) -> Contribution:
        body = event.body
        kind = profiles_pb2.Kind.Name(body.kind).removeprefix("KIND_")
        # Only what was activated has a code.
        ended = [Stay(body.region, _month(period.from_on), _month(period.to_on)) for period in body.ended_periods if body.code]
        cells = rules.institution(body.region, body.month, kind, _status(body.status), ended=ended, since_month=_month(body.since_on))
        return Contribution(f"{INSTITUTION}{event.subject}", event.version, event.occurred_at, cells, region=body.region)

    @hears("transactions", transactions_pb2.MeetingApproved, batched=True)
    def meeting_approved(self, connection: Connection, events: Sequence[Event[transactions_pb2.MeetingApproved]]) -> None:
        change: Cells = Counter()
        kept: Counter[Bookkeeping] = Counter()
        due: list[tuple[Due, Amounts]] = []
        for event in events:
            body = event.body
            held = Meeting(
                present=body.members_present,
                due=body.members_due,
                savings_paise=body.savings_paise,
                disbursed_paise=body.loans_disbursed_paise,
                repaid_paise=body.principal_repaid_paise,
                interest_paise=body.interest_received_paise,
                fines_paise=body.fines_paise,
                withdrawn_paise=body.savings_withdrawn_paise,
                loans_given=body.loans_disbursed,
                heads=_heads(body.heads),
                openings=_heads(body.openings),
                manual_books_differ=body.manual_books_differ,
            )
            change.update(rules.meeting(body.region, body.month, held))
            block = regions.at_level(body.region, Level.BLOCK)
            kept[Bookkeeping(block, body.month, body.maker_user)] += 1
            for one in body.dues:
                amounts = Amounts(one.scheduled_paise, one.collected_paise, one.loans, one.outstanding_paise)
                days = parse_date(body.held_on, "held_on"), parse_date(one.due_on, "due_on")
                due.append((Due(block, one.head, *days), amounts))
        commands.add(connection, "transactions", change, max(event.occurred_at for event in events))
        commands.add_kept(connection, kept)
        commands.add_dues(connection, portfolio.gathered(due))

    @hears("transactions", transactions_pb2.BooksMoved, batched=True)
    def books_moved(self, connection: Connection, events: Sequence[Event[transactions_pb2.BooksMoved]]) -> None:
        commands.replace(connection, "transactions", [self._books(event) for event in events])

    def _books(self, event: Event[transactions_pb2.BooksMoved]) -> Contribution:
        body = event.body
        last_held_on = parse_date(body.last_held_on, "last_held_on") if body.last_held_on else None
        cells = rules.books(
            body.region,
            month_of(last_held_on) if last_held_on else "",
            last_number=body.last_number,
            approved_through=body.approved_through,
            handed_back=body.handed_back,
        )
        return Contribution(f"{BOOKS}{event.subject}", event.version, event.occurred_at, cells, region=body.region, last_held_on=last_held_on)

    @hears("profiles", profiles_pb2.MembersTallied, batched=True)
    def members_tallied(self, connection: Connection, events: Sequence[Event[profiles_pb2.MembersTallied]]) -> None:
        told = [Tally(event.body.block, event.body.members, event.body.fingerprint, event.body.at.ToDatetime(UTC)) for event in events]
        commands.note_tallies(connection, told)

    @hears("identity", identity_pb2.SessionEnded, batched=True)
    def session_ended(self, connection: Connection, events: Sequence[Event[identity_pb2.SessionEnded]]) -> None:
        for event in events:
            ended.heard(connection, event.body)
