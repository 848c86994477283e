"""A state's file: who this instance is, and what the state has set. Text in, a state or every fault in it out."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from services.kernel import messages
from services.kernel.messages import Messages
from services.kernel.policies import RULES, Period, Policies
from services.kernel.states import STATE_LGD

NATION = "IN"
SIZES = ("small", "medium", "large")
LEVELS = ("SHG", "VO", "CLF")
OF_STATES_ALONE = ("lgd_code", "federation_levels", "size")
PREFIX = re.compile(r"I[A-Z]{2}_")
LANGUAGE = re.compile(r"[a-z]{2,3}")
PERIOD_KEYS = {"value", "from", "to"}


class StateFileError(ValueError):
    """Carries every fault, each as a sentence that begins with the key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class StateFile:
    """One instance as its file tells. `lgd_code` is 0, and `federation_levels` and `size` are empty, for the nation."""

    code: str
    name: str
    user_prefix: str
    languages: tuple[str, ...]
    lgd_code: int = 0
    federation_levels: tuple[str, ...] = ()
    size: str = ""
    policies: Policies = field(default_factory=Policies)
    messages: Messages = field(default_factory=Messages)

    @property
    def is_nation(self) -> bool:
        return self.code == NATION


def load(path: Path) -> StateFile:
    """The state of a file. Raises StateFileError, which names the file and every fault."""
    try:
        return read(path.read_text(encoding="utf-8"), path.stem)
    except StateFileError as invalid:
        raise StateFileError([f"{path} is wrong:", *(f"  {fault}" for fault in invalid.faults)]) from None


def read(text: str, stem: str) -> StateFile:
    """The state of a file named `<stem>.toml`. Raises StateFileError with every fault."""
    try:
        about = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StateFileError([f"This is no TOML: {error}."]) from None
    faults: list[str] = []
    nation = about.get("code") == NATION
    checks = {name: check for name, check in _CHECKS.items() if not nation or name not in OF_STATES_ALONE}
    known = (*checks, "policies", "messages")
    faults += [f"{name} is no key of this file. Known: {', '.join(known)}." for name in about if name not in known]
    for name, (says, wanted) in checks.items():
        if name not in about:
            faults.append(f"{name} is missing; it is {wanted}.")
        elif not says(about[name]):
            faults.append(f"{name} is {about[name]!r}; it must be {wanted}.")
    if not faults:
        faults += _at_odds(about, stem, nation=nation)
    set_here: dict[str, Any] = {"policies": _policies(about.get("policies", {}), faults)}
    if "messages" in about:
        set_here["messages"] = messages.read(about["messages"], about.get("languages"), faults)
    if faults:
        raise StateFileError(faults)
    lists: dict[str, Any] = {name: tuple(about[name]) for name in ("languages", "federation_levels") if name in about}
    return StateFile(**{**about, **lists, **set_here})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value == value.strip() and 0 < len(value) <= 100


def _each(says: Callable[[str], object]) -> Callable[[object], bool]:
    def all_say(value: object) -> bool:
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) and says(entry) for entry in value):
            return False
        return len(set(value)) == len(value)

    return all_say


_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "code": (lambda value: isinstance(value, str) and value in {NATION, *STATE_LGD}, "the two capitals of a state, such as UP"),
    "name": (_is_text, "the state's name"),
    "lgd_code": (lambda value: type(value) is int, "the state's number in the Local Government Directory"),
    "user_prefix": (lambda value: isinstance(value, str) and bool(PREFIX.fullmatch(value)), "I, two capitals and _, such as IUP_"),
    "languages": (_each(LANGUAGE.fullmatch), 'a list of language codes, each once, such as ["en", "hi"]'),
    "federation_levels": (_each(LEVELS.__contains__), f"a list of some of {', '.join(LEVELS)}, each once"),
    "size": (SIZES.__contains__, f"one of {', '.join(SIZES)}"),
}


def _at_odds(about: dict[str, object], stem: str, *, nation: bool) -> list[str]:
    """What is wrong between keys that are each right by themselves."""
    faults = []
    if stem != ("nation" if nation else about["code"]):
        faults.append(f"code is {about['code']!r}, and the file is called {stem}.toml; the two must agree.")
    if not nation and about["lgd_code"] != STATE_LGD[str(about["code"])]:
        faults.append(f"lgd_code is {about['lgd_code']}; of {about['code']} it is {STATE_LGD[str(about['code'])]}.")
    levels = about.get("federation_levels")
    if isinstance(levels, list) and tuple(levels) != LEVELS[: len(levels)]:
        faults.append("federation_levels must go up without a gap: SHG, then VO, then CLF.")
    return faults


def _policies(given: object, faults: list[str]) -> Policies:
    if not isinstance(given, dict):
        faults.append("policies must be a table of [[policies.<name>]] entries.")
        return Policies()
    found = {}
    for name, entries in given.items():
        if name not in RULES:
            faults.append(f"policies.{name} is no policy. Known: {', '.join(RULES)}.")
        elif not isinstance(entries, list):
            faults.append(f"policies.{name} must be written [[policies.{name}]], once a period.")
        else:
            periods = [period for place, entry in enumerate(entries) if (period := _period(f"policies.{name}[{place}]", name, entry, faults))]
            periods.sort(key=lambda period: period.first)
            faults += [
                f"policies.{name}: the period from {one.first} {'without an end' if one.last is None else f'to {one.last}'} "
                f"overlaps the one from {other.first}."
                for one, other in pairwise(periods)
                if one.last is None or one.last >= other.first
            ]
            found[name] = tuple(periods)
    return Policies(found)


def _period(where: str, name: str, entry: object, faults: list[str]) -> Period | None:
    rule, before = RULES[name], len(faults)
    if not isinstance(entry, dict):
        faults.append(f"{where} must be a table with value, from and, where it ends, to.")
        return None
    faults += [f"{where}.{key} is no key of a policy. Known: value, from, to." for key in entry if key not in PERIOD_KEYS]
    value, first, last = entry.get("value"), entry.get("from"), entry.get("to")
    if type(value) is not int or not rule.least <= value <= rule.most:
        faults.append(f"{where}.value is {value!r}; it must be a whole number from {rule.least} to {rule.most}.")
    # A date with a time is a date to Python too.
    if type(first) is not date:
        faults.append(f"{where}.from is {first!r}; it must be a date, such as 2026-04-01 without quotes.")
    if last is not None and type(last) is not date:
        faults.append(f"{where}.to is {last!r}; it must be a date, such as 2027-03-31 without quotes.")
    elif type(first) is date and last is not None and last < first:
        faults.append(f"{where}.to is {last}, before its from {first}.")
    return None if len(faults) > before else Period(int(str(value)), date.fromisoformat(str(first)), last)
