"""Whether a member can be told of a loan that was given in her name, and where."""

from enum import StrEnum

from services.profiles.rules.form import Held, word
from services.profiles.rules.member import default_phone


class Outcome(StrEnum):
    """What became of one loan's alert: told to identity; or nobody is told, since she wants no messages or has no phone."""

    TOLD = "told"
    REFUSED = "refused"
    NO_PHONE = "no_phone"


def reached(content: Held) -> tuple[Outcome, str]:
    """The number that messages to her go to, ten digits; empty where she is not told."""
    if word(content, "messages_refused"):
        return Outcome.REFUSED, ""
    mobile = word(default_phone(content) or {}, "number")
    return (Outcome.TOLD, mobile) if mobile else (Outcome.NO_PHONE, "")
