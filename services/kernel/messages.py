"""What the system writes to its users and to members, and what a state has registered of it.

TRAI lets an SMS through only where it equals a template registered with the operators (DLT), so a text and its registration stand
together, in the state's file. The texts are here and not in identity because a state's file is read without any service.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from types import MappingProxyType

ENGLISH = "en"
TEXT_LENGTH_MAX = 1000
KEYS = ("sender_id", "entity_id", "templates")
TEMPLATE_KEYS = ("template", "language", "template_id", "text")
_SENDER_ID = re.compile(r"[A-Za-z]{6}")
_DIGITS = re.compile(r"[0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Template:
    """One message that there is: its places, which every text of it has, and our texts by language, English among them."""

    places: frozenset[str]
    texts: Mapping[str, str]

    @property
    def is_otp(self) -> bool:
        return "otp" in self.places


TEMPLATES = MappingProxyType(
    {
        "login_otp": Template(
            frozenset({"otp", "user_id"}),
            {
                "en": "{otp} is the one-time password for logging in to LokOS as {user_id}. Never tell it to anybody.",
                "hi": "LokOS में {user_id} से लॉगिन के लिए वन टाइम पासवर्ड {otp} है। इसे किसी को न बताएँ।",
            },
        ),
        "password_otp": Template(
            frozenset({"otp", "user_id"}),
            {
                "en": "{otp} is the one-time password for a new LokOS password of {user_id}. Never tell it to anybody.",
                "hi": "{user_id} का नया LokOS पासवर्ड बनाने के लिए वन टाइम पासवर्ड {otp} है। इसे किसी को न बताएँ।",
            },
        ),
        "user_made": Template(
            frozenset({"user_id"}),
            {
                "en": "Your LokOS user id is {user_id}. Set your password with Forgot password where you log in.",
                "hi": "आपकी LokOS यूज़र आईडी {user_id} है। लॉगिन के पेज पर पासवर्ड भूल गए से अपना पासवर्ड बनाएँ।",
            },
        ),
        "password_changed": Template(
            frozenset({"user_id"}),
            {
                "en": "The LokOS password of {user_id} was changed. If this was not you, tell your block office.",
                "hi": "{user_id} का LokOS पासवर्ड बदला गया है। यदि यह आपने नहीं किया, तो अपने ब्लॉक कार्यालय को बताएँ।",
            },
        ),
        "device_changed": Template(
            frozenset({"user_id"}),
            {
                "en": "The LokOS user id {user_id} now works on another device. If this was not you, tell your block office.",
                "hi": "LokOS यूज़र आईडी {user_id} अब दूसरे उपकरण पर चल रही है। यदि यह आपने नहीं किया, तो अपने ब्लॉक कार्यालय को बताएँ।",
            },
        ),
        "account_stopped": Template(
            frozenset({"user_id"}),
            {
                "en": "The LokOS user id {user_id} has been stopped. If you did not expect this, ask your block office.",
                "hi": "LokOS यूज़र आईडी {user_id} बंद कर दी गई है। यदि ऐसा नहीं होना चाहिए था, तो अपने ब्लॉक कार्यालय से पूछें।",
            },
        ),
        # To a member, without her name: the phone may be her family's. The amount is in rupees, without their sign.
        "loan_given": Template(
            frozenset({"amount", "given_on", "shg"}),
            {
                "en": "LokOS: a loan of Rs {amount} was given in your name by SHG {shg} on {given_on}. If you took none, tell your block office.",
                "hi": "LokOS: {given_on} को समूह {shg} से आपके नाम पर {amount} रुपये का ऋण दिया गया। यदि आपने नहीं लिया, तो अपने ब्लॉक कार्यालय को बताएँ।",
            },
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Registered:
    """A text as it is registered, and under which id."""

    template_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Messages:
    """What one state has registered: its sender id (DLT's header), its own entity id, and texts by template and language."""

    sender_id: str = ""
    entity_id: str = ""
    texts: Mapping[tuple[str, str], Registered] = field(default_factory=dict)


def places_of(text: str) -> list[str]:
    """The named places of a text. Raises ValueError where it has something else in braces."""
    found = []
    for _, name, format_spec, conversion in Formatter().parse(text):
        if name is not None:
            if not name.isidentifier() or format_spec or conversion:
                raise ValueError(name)
            found.append(name)
    return found


def read(given: object, languages: object, faults: list[str]) -> Messages:
    """The table `messages` of a state's file, for a state of these languages; what is wrong is added to the faults."""
    if not isinstance(given, dict):
        faults.append("messages must be a table, [messages].")
        return Messages()
    faults += [f"messages.{key} is no key of it. Known: {', '.join(KEYS)}." for key in given if key not in KEYS]
    sender_id, entity_id = given.get("sender_id", ""), given.get("entity_id", "")
    if not _is(_SENDER_ID, sender_id):
        faults.append(f"messages.sender_id is {sender_id!r}; it must be the six letters that are registered as the sender.")
    if not _is(_DIGITS, entity_id):
        faults.append(f"messages.entity_id is {entity_id!r}; it must be the digits of the state's own registration, in quotes.")
    entries = given.get("templates", [])
    if not isinstance(entries, list):
        faults.append("messages.templates must be written [[messages.templates]], once a text.")
        entries = []
    texts: dict[tuple[str, str], Registered] = {}
    for number, entry in enumerate(entries):
        where = f"messages.templates[{number}]"
        if not isinstance(entry, dict):
            faults.append(f"{where} must be a table with template, language and template_id.")
        elif registered := _registered(where, entry, languages, faults):
            key = (entry["template"], entry["language"])
            if key in texts:
                faults.append(f"{where}: {key[0]} in {key[1]} is registered twice.")
            texts[key] = registered
    return Messages(str(sender_id), str(entity_id), texts)


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _registered(where: str, entry: dict[str, object], languages: object, faults: list[str]) -> Registered | None:
    before = len(faults)
    faults += [f"{where}.{key} is no key of it. Known: {', '.join(TEMPLATE_KEYS)}." for key in entry if key not in TEMPLATE_KEYS]
    name, language, template_id = (entry.get(key, "") for key in ("template", "language", "template_id"))
    template = TEMPLATES.get(str(name))
    if template is None:
        faults.append(f"{where}.template is {name!r}; it must be one of {', '.join(TEMPLATES)}.")
    if not isinstance(languages, list) or language not in languages:
        faults.append(f"{where}.language is {language!r}; it must be one of this file's languages.")
    if not _is(_DIGITS, template_id):
        faults.append(f"{where}.template_id is {template_id!r}; it must be the digits of the text's registration, in quotes.")
    text = entry.get("text") or (template.texts.get(str(language)) if template else "")
    if template:
        faults += _faults_of_text(f"{where}.text", text, template)
    return None if len(faults) > before else Registered(str(template_id), str(text))


def _faults_of_text(where: str, text: object, template: Template) -> list[str]:
    if not text:
        return [f"{where} is missing; there is no text of ours in this language."]
    if not isinstance(text, str) or text != text.strip() or len(text) > TEXT_LENGTH_MAX:
        return [f"{where} must be a text of at most {TEXT_LENGTH_MAX} characters, without a space before or after it."]
    try:
        there = set(places_of(text))
    except ValueError:
        return [f"{where} has braces that hold no place; its places are {_shown(template.places)}."]
    unknown, missing = there - template.places, template.places - there
    found = [f"{where} has {_shown(unknown)}, which is no place of it; its places are {_shown(template.places)}."] if unknown else []
    return [*found, f"{where} lacks {_shown(missing)}."] if missing else found


def _shown(places: set[str] | frozenset[str]) -> str:
    return ", ".join(f"{{{place}}}" for place in sorted(places))
