"""gRPC in: notices, consents, and what is kept of a member for her to read."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc

from protos import identity_pb2
from services.chassis import database, settings
from services.chassis.audit import Reads
from services.chassis.interceptors import caller
from services.identity import queries
from services.identity.commands import consent
from services.identity.rules import consent as rules
from services.identity.rules import summary
from services.identity.rules.consent import Given, Notice, State
from services.identity.servicer.show import here, moment, stamp, transaction
from services.kernel.errors import NotFound
from services.kernel.ids import parse_id
from services.kernel.month import today

Context = grpc.ServicerContext


class Consents:
    """Reads the request, runs a command or query, shows the answer."""

    reads: Reads

    def ListNotices(self, request: identity_pb2.ListNoticesRequest, _context: Context) -> identity_pb2.ListNoticesResponse:
        purpose = rules.check_purpose(request.purpose) if request.purpose else ""
        return identity_pb2.ListNoticesResponse(notices=map(_show_notice, rules.current(purpose, request.language, today())))

    def GiveConsent(self, request: identity_pb2.GiveConsentRequest, _context: Context) -> identity_pb2.Consent:
        now = datetime.now(UTC)
        given = Given(
            consent_id=parse_id(request.consent_id, "consent_id"),
            member_id=parse_id(request.member_id, "member_id"),
            notice=rules.check_notice(request.purpose, request.notice_version, request.language, request.notice_hash),
            data_items=tuple(request.data_items),
            channel=rules.check_channel(request.channel),
            device_id=rules.check_reference(request.device_id, "device_id"),
            proof=rules.check_reference(request.proof, "proof"),
            at=moment(request, "given_at") or now,
            until=moment(request, "expires_at"),
        )
        with transaction() as connection:
            if not request.HasField("given_at") and (held := queries.consent(connection, given.consent_id)):
                given = replace(given, at=held.given.at)  # Sent twice by one who has no clock.
            return _show(consent.give(connection, caller(), parse_id(request.institution_id, "institution_id"), given, now), now)

    def WithdrawConsent(self, request: identity_pb2.WithdrawConsentRequest, _context: Context) -> identity_pb2.Consent:
        now = datetime.now(UTC)
        withdrawing = consent.Withdrawing(
            consent_id=parse_id(request.consent_id, "consent_id"),
            channel=rules.check_channel(request.channel),
            device_id=rules.check_reference(request.device_id, "device_id"),
            proof=rules.check_reference(request.proof, "proof"),
            at=moment(request, "withdrawn_at"),
        )
        with transaction() as connection:
            return _show(consent.withdraw(connection, caller(), withdrawing, now), now)

    def ListConsents(self, request: identity_pb2.ListConsentsRequest, _context: Context) -> identity_pb2.ListConsentsResponse:
        now = datetime.now(UTC)
        with transaction() as connection:
            member = _must_see(queries.member(connection, caller(), parse_id(request.member_id, "member_id")))
            found = rules.states(queries.consents_of(connection, member.member_id))
        self.reads.seen(caller(), "consent.list", [member.member_id])
        return identity_pb2.ListConsentsResponse(consents=[_show(one, now) for one in found])

    def AccessSummary(self, request: identity_pb2.AccessSummaryRequest, _context: Context) -> identity_pb2.AccessSummaryResponse:
        with transaction() as connection:
            member = _must_see(queries.member(connection, caller(), parse_id(request.member_id, "member_id")))
            states = rules.states(queries.consents_of(connection, member.member_id))
            kycs, messages = queries.kycs_of(connection, member.member_id), queries.messages_to(connection, member.member_id)
            papers = queries.evidence_of(connection, member.member_id)
        with database.transaction("vault") as connection:
            uses = summary.of_hers(queries.uses_of(connection, {one.reference for one in kycs if one.confirmed_at}), kycs)
        self.reads.seen(caller(), "member.summary", [member.member_id])
        kept = summary.Kept(states, kycs, uses, messages, papers)
        made = summary.summary(kept, request.language, here().policy, settings.text("LOKOS_GRIEVANCE_CONTACT", ""), datetime.now(UTC))
        return identity_pb2.AccessSummaryResponse(
            member_id=str(member.member_id),
            consents=map(_show_line, made.consents),
            verifications=map(_show_line, made.verifications),
            vault_uses=map(_show_line, made.vault_uses),
            messages=map(_show_line, made.messages),
            shared_with=map(_show_line, made.shared_with),
            kept_elsewhere=map(_show_line, made.kept_elsewhere),
            grievances=made.grievances,
            held=member.held_at is not None,
        )


def _must_see(member: Any | None) -> Any:  # noqa: ANN401 - a row of members
    if member is None:
        raise NotFound("MEMBER_UNKNOWN", "There is no such member among yours.", field="member_id")
    return member


def _show_notice(notice: Notice) -> identity_pb2.Notice:
    return identity_pb2.Notice(
        purpose=notice.purpose,
        version=notice.version,
        language=notice.language,
        title=notice.title,
        text=notice.text,
        data_items=notice.data_items,
        recipients=notice.recipients,
        lawful_basis=notice.lawful_basis,
        retention=notice.retention,
        valid_from=notice.valid_from.isoformat(),
        valid_days=notice.valid_days,
        hash=notice.hash.hex(),
    )


def _show(state: State, now: datetime) -> identity_pb2.Consent:
    given = state.given
    return identity_pb2.Consent(
        consent_id=str(given.consent_id),
        member_id=str(given.member_id),
        purpose=given.purpose,
        notice_version=given.notice_version,
        language=given.language,
        notice_hash=given.notice_hash.hex(),
        data_items=given.data_items,
        recipients=given.recipients,
        lawful_basis=given.lawful_basis,
        channel=given.channel,
        user_id=given.user_id,
        role=given.role,
        device_id=given.device_id,
        proof=given.proof,
        given_at=stamp(given.at),
        expires_at=stamp(given.expires_at),
        withdrawn_at=stamp(state.withdrawn.recorded_at if state.withdrawn else None),
        holds=state.holds(now),
        record_hash=given.hash.hex(),
    )


def _show_line(line: summary.Line) -> identity_pb2.SummaryLine:
    return identity_pb2.SummaryLine(
        code=line.code, words=line.words, at=stamp(line.at), until=stamp(line.until), user_id=line.user_id, role=line.role, last4=line.last4
    )
