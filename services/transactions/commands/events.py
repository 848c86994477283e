"""What the books tell: an approved meeting with its figures, each loan that it gave, and where an institution's books stand."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from protos.transactions_pb2 import BooksMoved, DueDelta, HeadTotal, LoanBooked, MeetingApproved, MemberSettled
from services.chassis.mailbox import outbox, outbox_row
from services.kernel.ids import derived
from services.kernel.month import business_date, month_of
from services.transactions.rules import packed, record
from services.transactions.rules.books import Chain
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Id

Told = dict[str, object]


def tell_all(connection: Connection, told: Sequence[Told]) -> None:
    if told:
        connection.execute(insert(outbox), list(told))


def approved(row: Any, region: str, decided_at: datetime, to: str | None = None) -> Told:  # noqa: ANN401 - a row of meetings
    """The figures of an approved meeting, which never change: told again, they are the same event."""
    content = packed.unpack_content(row)
    totals = record.totals(packed.unpack_lines(row), len(content.get("reversals", ())))
    attendance = content.get("attendance", ())
    message = MeetingApproved(
        meeting_id=str(row.meeting_id),
        institution_id=str(row.institution_id),
        region=region,
        month=month_of(row.held_on),
        approved_on=business_date(decided_at).isoformat(),
        members_present=sum(entry.get("present", False) for entry in attendance),
        members_due=len(attendance) + packed.unlisted(row),
        savings_paise=totals.savings_paise,
        savings_withdrawn_paise=totals.savings_withdrawn_paise,
        loans_disbursed_paise=totals.loans_disbursed_paise,
        loans_disbursed=totals.loans_disbursed,
        principal_repaid_paise=totals.principal_repaid_paise,
        interest_received_paise=totals.interest_received_paise,
        fines_paise=totals.fines_paise,
        number=row.number,
        held_on=row.held_on.isoformat(),
        maker_user=row.maker_user,
        heads=_told(totals.heads),
        openings=_told(totals.openings),
        manual_books_differ="manual_books_differ" in content,
        dues=[
            DueDelta(
                head=one.head,
                due_on=one.due_on.isoformat(),
                scheduled_paise=one.scheduled_paise,
                collected_paise=one.collected_paise,
                loans=one.loans,
                outstanding_paise=one.outstanding_paise,
            )
            for one in packed.ageing(row)
        ],
    )
    return outbox_row(message, row.meeting_id, 0, derived("MeetingApproved", row.meeting_id), decided_at, to)


def booked(row: Any, decided_at: datetime) -> list[Told]:  # noqa: ANN401 - a row of meetings
    """The loans to members that an approved meeting gave; a line that it takes back is none."""
    told = []
    for given in (one for one in packed.unpack_content(row).get("loans", ()) if "member_id" in one):
        message = LoanBooked(
            loan_id=given["loan_id"],
            member_id=given["member_id"],
            institution_id=str(row.institution_id),
            principal_paise=given["principal_paise"],
            given_on=row.held_on.isoformat(),
        )
        told.append(outbox_row(message, message.loan_id, 0, derived("LoanBooked", message.loan_id), decided_at))
    return told


def settled(row: Any, decided_at: datetime) -> list[Told]:  # noqa: ANN401 - a row of meetings
    """Who is settled by an approved meeting, or went to another group with all that she had."""
    content = packed.unpack_content(row) if {"SETTLEMENT", "TRANSFER"}.intersection(row.flags) else {}
    left = [*content.get("settlements", ()), *(one for one in content.get("transfers_out", ()) if "member_id" in one)]
    told = []
    for one in left:
        message = MemberSettled(
            member_id=one["member_id"],
            institution_id=str(row.institution_id),
            meeting_id=str(row.meeting_id),
            settled_on=row.held_on.isoformat(),
            reason=one.get("reason", "MOVED"),
        )
        told.append(outbox_row(message, message.member_id, 0, derived("MemberSettled", row.meeting_id, message.member_id), decided_at))
    return told


def _told(heads: Mapping[Head, tuple[int, int]]) -> list[HeadTotal]:
    return [HeadTotal(head=head, debit_paise=debit, credit_paise=credit) for head, (debit, credit) in heads.items()]


def moved(institution_id: Id | UUID, region: str, chain: Chain, to: str | None = None) -> Told:
    message = BooksMoved(
        institution_id=str(institution_id),
        region=region,
        approved_through=chain.approved_through,
        last_number=chain.last_number,
        handed_back=chain.highest_number - chain.last_number,
        last_held_on=chain.last_held_on.isoformat() if chain.last_held_on else "",
    )
    return outbox_row(message, institution_id, chain.version, to=to)
