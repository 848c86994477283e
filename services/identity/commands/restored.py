"""After the database came back from a backup: an e-KYC under way may have been confirmed since, and ends."""

from sqlalchemy import Connection, func, update

from services.identity.tables import kycs


def settle(connection: Connection, _epochs_gone: int) -> None:
    """Invitations end by their date: `redeem` refuses those that are older than the restored books."""
    under_way = kycs.c.confirmed_at.is_(None) & (kycs.c.expires_at > func.now())
    connection.execute(update(kycs).where(under_way).values(expires_at=func.now()))
