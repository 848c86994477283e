"""e-KYCs: begun with her consent, tried a few times, confirmed once, while the consent holds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, update

from services.chassis import audit, jobs, settings, tokens
from services.identity import queries
from services.identity.commands import consent
from services.identity.rules import kyc as rules
from services.identity.rules.consent import Purpose, missing
from services.identity.rules.kyc import Kyc
from services.identity.rules.vault import Identity
from services.identity.tables import kycs
from services.kernel.caller import Caller
from services.kernel.errors import Conflict, NotFound
from services.kernel.ids import uuid7
from services.kernel.month import business_date


def start(connection: Connection, caller: Caller, member_id: UUID, consent_id: UUID, reference: UUID, provider_txn: str, now: datetime) -> Kyc:
    """Note by which consent of hers, who asked her and when, and what the one-time password is for."""
    held = consent.must_hold(connection, member_id, consent_id, Purpose.AADHAAR_ONLINE, now)
    kyc = Kyc(uuid7(), member_id, reference, provider_txn, now + rules.KYC_LIFE, 0, confirmed=False, consent_id=consent_id)
    connection.execute(
        insert(kycs).values(
            kyc_id=kyc.kyc_id,
            member_id=member_id,
            reference=reference,
            provider_txn=provider_txn,
            user_id=caller.user_id,
            role=caller.role or "",
            consent_id=consent_id,
            consented_at=held.given.at,
            expires_at=kyc.expires_at,
            tries=0,
        ),
    )
    audit.changed(connection, caller, "kyc.start", member_id, kyc.kyc_id)
    return kyc


def take_try(connection: Connection, caller: Caller, kyc_id: UUID, now: datetime) -> Kyc:
    """Count one more try before the provider is asked: many at once are then as few as one after another."""
    kyc = queries.kyc_for_change(connection, kyc_id, caller.user_id)
    if kyc is None:
        raise NotFound("KYC_UNKNOWN", "You have begun no such verification.", field="kyc_id")
    rules.check_try(kyc, now)
    connection.execute(update(kycs).where(kycs.c.kyc_id == kyc_id).values(tries=kycs.c.tries + 1))
    audit.changed(connection, caller, "kyc.try", kyc.member_id, kyc_id)
    return kyc


def give_back_try(connection: Connection, caller: Caller, kyc: Kyc) -> None:
    """The provider did not answer, so that nothing was tried."""
    connection.execute(update(kycs).where(kycs.c.kyc_id == kyc.kyc_id, kycs.c.tries > 0).values(tries=kycs.c.tries - 1))
    audit.changed(connection, caller, "kyc.away", kyc.member_id, kyc.kyc_id)


def must_be_consented(connection: Connection, kyc: Kyc, now: datetime) -> None:
    if kyc.consent_id is None:
        raise missing()
    consent.must_hold(connection, kyc.member_id, kyc.consent_id, Purpose.AADHAAR_ONLINE, now)


def confirm(connection: Connection, caller: Caller, kyc: Kyc, identity: Identity, birth_year: int, gender: str, now: datetime) -> str:
    """The attestation for profiles, once: it names the member and her identity token, never the number."""
    must_be_consented(connection, kyc, now)
    noted = {"confirmed_at": now, "last4": identity.masked[-4:]}
    first = update(kycs).where(kycs.c.kyc_id == kyc.kyc_id, kycs.c.confirmed_at.is_(None)).values(noted).returning(kycs.c.kyc_id)
    if connection.execute(first).scalar() is None:
        raise Conflict("KYC_EXPIRED", "This verification is over; start it again.", field="kyc_id")
    claims = {
        "sub": str(kyc.member_id),
        "kyc_id": str(kyc.kyc_id),
        "consent_id": str(kyc.consent_id),
        "identity_token": identity.token,
        "birth_year": birth_year,
        "gender": gender,
        "verified_on": business_date(now).isoformat(),
    }
    attestation, _ends = tokens.sign("kyc", settings.instance(), rules.ATTESTATION_LIFE, claims)
    jobs.enqueue(connection, "prove_number", str(kyc.kyc_id), {"reference": str(kyc.reference)})  # The vault is another role's.
    audit.changed(connection, caller, "kyc.confirm", kyc.member_id, kyc.kyc_id)
    return attestation
