"""After the database came back from a backup: an e-KYC or a one-time password may have been used since, a session ended; they end."""

from sqlalchemy import Connection, func, update

from services.identity.tables import challenges, kycs, sessions


def settle(connection: Connection, _epochs_gone: int) -> None:
    """Invitations end by their date: `redeem` refuses those that are older than the restored books."""
    under_way = kycs.c.confirmed_at.is_(None) & (kycs.c.expires_at > func.now())
    connection.execute(update(kycs).where(under_way).values(expires_at=func.now()))
    connection.execute(update(challenges).where(challenges.c.used_at.is_(None)).values(used_at=func.now()))
    connection.execute(update(sessions).where(sessions.c.ended_at.is_(None)).values(ended_at=func.now(), ended_why="restored"))
