"""Evidence by signed papers: asked for with her consent and not too often, noted each time, and attested for profiles."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, exists, func, insert, select, update

from services.chassis import audit, settings, tokens
from services.identity import queries
from services.identity.commands import consent
from services.identity.commands.session import wait_or_count
from services.identity.rules import evidence as rules
from services.identity.rules.consent import Kind, Purpose
from services.identity.rules.kyc import ATTESTATION_LIFE
from services.identity.rules.session import slow_down
from services.identity.rules.user import Here
from services.identity.rules.verified import Mode, TrustedCertificate, VerifiedIdentity
from services.identity.tables import attempts, consents, evidence
from services.kernel.caller import Caller
from services.kernel.ids import uuid7

PURPOSES: Mapping[Mode, Purpose] = {Mode.SECURE_QR: Purpose.AADHAAR_QR, Mode.OFFLINE_EKYC: Purpose.AADHAAR_OFFLINE}


def begin(
    connection: Connection, caller: Caller, member_id: UUID, consent_id: UUID, mode: Mode, key: bytes, now: datetime
) -> list[TrustedCertificate]:
    """What a paper may be signed by, if she consents to its being read. Each begins as a try, before it is read: many at once are as few."""
    consent.must_hold(connection, member_id, consent_id, PURPOSES[mode], now)
    if wait := wait_or_count(connection, rules.tries_of(key, caller.user_id), now):
        raise slow_down(wait)
    audit.changed(connection, caller, "evidence.try", member_id, consent_id, mode=mode.value)
    return [one.trusted for one in queries.trusted_certificates(connection, mode)]


def give_back_try(connection: Connection, key: bytes, user_id: str) -> None:
    """One that came to nothing for a reason that is not the paper's."""
    tries = attempts.c.key.in_(list(rules.tries_of(key, user_id)))
    connection.execute(update(attempts).where(tries, attempts.c.failures > 0).values(failures=attempts.c.failures - 1))


def keep(
    connection: Connection, caller: Caller, member_id: UUID, consent_id: UUID, said: VerifiedIdentity, here: Here, key: bytes, now: datetime
) -> tuple[UUID, str]:
    """Note that a paper verified her, and attest it. The same paper again does so again; for another member where the state allows it."""
    consent.must_hold(connection, member_id, consent_id, PURPOSES[said.mode], now)
    rules.check_age(said, here.policy(rules.DAYS_MAX[said.mode]), now)
    paper = rules.reference_key(key, said)
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(paper.hex(), 0))))  # Two at once are one after the other.
    # What she withdrew does not count: she may be enrolled under another record.
    given, later = consents.alias("given"), consents.alias("later")
    same = later.c.member_id == given.c.member_id, later.c.purpose == given.c.purpose, later.c.place > given.c.place
    withdrawn = exists().where(given.c.consent_id == evidence.c.consent_id, given.c.kind == Kind.GIVEN, *same, later.c.kind == Kind.WITHDRAWN)
    others = select(evidence.c.evidence_id).where(evidence.c.reference_key == paper, evidence.c.member_id != member_id, ~withdrawn).limit(1)
    if not here.policy("evidence_reuse") and connection.execute(others).scalar() is not None:
        raise rules.used()
    evidence_id = uuid7()
    connection.execute(
        insert(evidence).values(
            evidence_id=evidence_id,
            member_id=member_id,
            mode=said.mode.value,
            reference_key=paper,
            referenced_at=said.referenced_at,
            verified_at=now,
            user_id=caller.user_id,
            role=caller.role or "",
            consent_id=consent_id,
            certificate=said.signed_by,
        )
    )
    if not rules.is_contradicted(said):
        give_back_try(connection, key, caller.user_id)
    claims = rules.claims(key, member_id, evidence_id, consent_id, said, now)
    attestation, _ends = tokens.sign("kyc", settings.instance(), ATTESTATION_LIFE, claims)
    audit.changed(connection, caller, "evidence.keep", member_id, evidence_id, mode=said.mode.value)
    return evidence_id, attestation
