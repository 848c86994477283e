"""Messages to users: asked for in the transaction of what they tell of, and sent by `work` after it."""

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from services.chassis.jobs import enqueue, enqueue_all
from services.identity import queries
from services.kernel.messages import TEMPLATES

# It also names the message's file in the sandbox's inbox.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


def post(
    connection: Connection, *, key: str, template: str, user_id: str, challenge_id: UUID | None = None, expires_at: datetime | None = None
) -> None:
    """Have the user sent a message, once for this key. One with a one-time password names its challenge and when that ends.

    What waits in the jobs table tells neither the password nor the number. A one-time password shows who holds the phone, so it
    goes there alone; everything else goes by mail as well.
    """
    is_otp = TEMPLATES[template].is_otp
    if not _KEY.fullmatch(key):
        raise ValueError("The key of a message is letters, digits, _, ., : and -, at most 100.")
    if is_otp != (challenge_id is not None) or is_otp != (expires_at is not None):
        raise ValueError(f"A challenge and its end belong to a one-time password, and to nothing else: {template}.")
    arguments = {"key": key, "template": template, "user_id": user_id}
    if challenge_id and expires_at:
        arguments |= {"challenge_id": str(challenge_id), "expires_at": expires_at.isoformat()}
    enqueue(connection, "send_sms", key, arguments, urgent=is_otp)
    contact = None if is_otp else queries.contact(connection, user_id)
    if contact and contact.email:
        enqueue(connection, "send_mail", key, arguments)


def post_all(connection: Connection, *, template: str, keys: Mapping[str, str]) -> None:
    """Have each of many users, none of whom has a mail address, sent a message, once for the key that stands for her user id."""
    if keys:
        asked = {key: {"key": key, "template": template, "user_id": user_id} for user_id, key in keys.items()}
        enqueue_all(connection, "send_sms", asked)
