"""Messages to users and members: which text, in which language, and what the outside needs to send it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from services.kernel.errors import Conflict
from services.kernel.messages import ENGLISH, TEMPLATES, Messages
from services.kernel.money import rupees

ALERT_KEPT = timedelta(days=7)  # News of a loan that is older than this helps nobody, and would only frighten.


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a user is reached; mail and language are empty where she has given none."""

    mobile: str = field(repr=False)
    email: str = field(repr=False)
    language: str


@dataclass(frozen=True, slots=True)
class Alert:
    """That a loan was given in a member's name; it became final at `approved_at`."""

    mobile: str = field(repr=False)
    principal_paise: int
    given_on: date
    institution_code: str
    approved_at: datetime
    member_id: UUID | None = None  # None of one from before members were told of with their loans.

    @property
    def places(self) -> dict[str, str]:
        """Of the text loan_given: the rupees grouped as India reads them and without their sign, the day as 31-01-2026."""
        return {
            "amount": rupees(self.principal_paise).removeprefix("₹"),
            "given_on": f"{self.given_on:%d-%m-%Y}",
            "shg": self.institution_code,
        }

    def is_late(self, now: datetime, restored_at: datetime | None) -> bool:
        """Whether it is too old to send; or from before the books came back from a backup, when it may have gone out already."""
        return self.approved_at < now - ALERT_KEPT or (restored_at is not None and self.approved_at < restored_at)


@dataclass(frozen=True, slots=True)
class Wording:
    """A text with its places, and the id of its registration, which is empty where it has none."""

    text: str
    language: str
    template_id: str = ""


@dataclass(frozen=True, slots=True)
class Sms:
    """`key` is the effect's: two of one key are one message."""

    key: str
    mobile: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    template_id: str
    is_otp: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """`key` is the effect's: two of one key are one message."""

    key: str
    address: str = field(repr=False)
    text: str = field(repr=False)
    language: str


def wording(messages: Messages, template: str, languages: Iterable[str], *, registered_alone: bool = False) -> Wording:
    """The text in the first of these languages that has one, or in English; the state's own before ours."""
    for language in (*languages, ENGLISH):
        if registered := messages.texts.get((template, language)):
            return Wording(registered.text, language, registered.template_id)
        ours = TEMPLATES[template].texts.get(language)
        if ours and not registered_alone:
            return Wording(ours, language)
    raise Conflict(
        "TEMPLATE_UNREGISTERED",
        "No text of {template} is registered; add it to the state's file under [[messages.templates]], with language and template_id.",
        template=template,
    )


def languages_of_members(languages: Sequence[str]) -> tuple[str, ...]:
    """In which to write to a member, who has said none: the state's own before English."""
    return tuple(sorted(languages, key=lambda language: language == ENGLISH))


def unregistered(messages: Messages, languages: Sequence[str]) -> list[str]:
    """The templates that some user of a state with these languages could not be sent, were only registered texts let through."""
    told = {languages[0], ENGLISH}
    return [template for template in TEMPLATES if not any((template, language) in messages.texts for language in told)]
