"""The trust store: no certificate is trusted by one State Admin's word alone, and each may take trust away."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select, update

from services.chassis import audit
from services.identity import queries
from services.identity.rules import certificate as rules
from services.identity.rules.certificate import Certificate, Read, Status
from services.identity.rules.verified import Mode
from services.identity.tables import certificates
from services.kernel.caller import Caller
from services.kernel.errors import NotFound
from services.kernel.ids import uuid7


def propose(
    connection: Connection, caller: Caller, kind: Mode, read: Read, trusted_from: datetime | None, trusted_until: datetime | None, now: datetime
) -> Certificate:
    """Put a certificate before the second admin; what is proposed or trusted so already is the answer, whoever proposed it."""
    begins, ends = rules.window(read, trusted_from, trusted_until)
    held = queries.certificates(connection, read.fingerprint, for_update=True)
    if any(one.status is Status.REVOKED for one in held):
        raise rules.revoked()
    for one in held:
        if (one.kind, one.trusted_from, one.trusted_until) == (kind, begins, ends) and one.status is not Status.REPLACED:
            return one
    made = Certificate(
        certificate_id=uuid7(),
        kind=kind,
        **asdict(read),
        trusted_from=begins,
        trusted_until=ends,
        added_by=caller.user_id,
        added_person=caller.person,
        added_at=now,
    )
    connection.execute(insert(certificates).values(asdict(made)))
    audit.changed(connection, caller, "certificate.propose", made.certificate_id, fingerprint=made.fingerprint, kind=kind.value)
    return made


def confirm(connection: Connection, caller: Caller, certificate_id: UUID, now: datetime) -> Certificate:
    """The second admin's yes; from now on it is trusted, for these times instead of those before. Again is the same answer."""
    fingerprint = connection.execute(select(certificates.c.fingerprint).where(certificates.c.certificate_id == certificate_id)).scalar()
    held = queries.certificates(connection, fingerprint, for_update=True) if fingerprint else []
    proposed = next((one for one in held if one.certificate_id == certificate_id), None)
    if proposed is None:
        raise NotFound("CERTIFICATE_UNKNOWN", "There is no such proposal.", field="certificate_id")
    if proposed.status is Status.TRUSTED and proposed.confirmed_by == caller.user_id:
        return proposed
    if any(one.status is Status.REVOKED for one in held):
        raise rules.revoked()
    rules.check_confirm(proposed, caller)
    of_it = certificates.c.fingerprint == proposed.fingerprint, certificates.c.kind == proposed.kind.value
    stands = certificates.c.confirmed_at.is_not(None), certificates.c.replaced_at.is_(None)
    connection.execute(update(certificates).where(*of_it, *stands).values(replaced_at=now))
    yes = {"confirmed_by": caller.user_id, "confirmed_at": now}
    connection.execute(update(certificates).where(certificates.c.certificate_id == certificate_id).values(yes))
    audit.changed(connection, caller, "certificate.confirm", certificate_id, fingerprint=proposed.fingerprint, kind=proposed.kind.value)
    return next(one for one in queries.certificates(connection, proposed.fingerprint) if one.certificate_id == certificate_id)


def revoke(connection: Connection, caller: Caller, fingerprint: str, reason: str, now: datetime) -> list[Certificate]:
    """Never trust it again, for papers of no kind and of no time: who has the key may date them as she likes. One admin is enough."""
    held = queries.certificates(connection, fingerprint, for_update=True)
    if not held:
        raise NotFound("CERTIFICATE_UNKNOWN", "There is no such certificate.", field="fingerprint")
    if any(one.status is not Status.REVOKED for one in held):
        said = {"revoked_by": caller.user_id, "revoked_at": now, "revoke_reason": reason}
        of_it = certificates.c.fingerprint == fingerprint, certificates.c.revoked_at.is_(None)
        connection.execute(update(certificates).where(*of_it).values(said))
        audit.changed(connection, caller, "certificate.revoke", *(one.certificate_id for one in held), fingerprint=fingerprint, reason=reason)
    return queries.certificates(connection, fingerprint)
