"""Bank accounts: how a number and an IFSC look, what the bank may say of one, how well its name for the holder fits (domain 2.6)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from rapidfuzz.distance import JaroWinkler

from services.kernel.errors import Invalid
from services.kernel.names import name_key

IFSC = re.compile(r"[A-Z]{4}0[A-Z0-9]{6}")
BANK_LETTERS = 4  # Of an IFSC: all that a penny drop looks at.
# Some co-operative banks and post offices have letters in it. Zeros alone are what is written where there is no account.
_NUMBER = re.compile(r"(?=.*[1-9])[A-Z0-9]{6,20}")

# A bank that gives no answer is asked again after a pause that doubles, for about a day and a half.
TRIES_MAX = 14
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 60, 6 * 3600
# How often a day somebody may have one account asked for again: each time costs money.
ASKED_A_DAY_MAX = 3


# Below it the bank's holder may be somebody else: a checker looks at the account by itself (PROPOSED).
NAME_MATCH_MIN = 50


class Outcome(StrEnum):
    ASKED = "ASKED"
    VALID = "VALID"
    INVALID = "INVALID"
    UNKNOWN = "UNKNOWN"  # The bank gave no answer.


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bank says. `reference` is its own name for a question that it has not answered yet; `score` is 0 to 100, where it gives one."""

    outcome: Outcome
    reference: str = ""
    name_at_bank: str = ""
    score: int | None = None
    reason: str = ""


def is_doubtful(outcome: str, name_match: int) -> bool:
    """Whether the bank knows no such account, or knows it by another name."""
    return outcome == Outcome.INVALID or (outcome == Outcome.VALID and name_match < NAME_MATCH_MIN)


@dataclass(frozen=True, slots=True)
class Branch:
    """Empty where the list holds codes alone."""

    bank: str
    name: str


class Branches(Protocol):
    """The list of all IFSC that there are."""

    def find(self, ifsc: str) -> Branch | None:
        """The branch of a code; None where no branch has it."""

    def digits(self, ifsc: str) -> tuple[int, ...]:
        """How many digits or letters an account of that bank may have; empty where nobody has said."""


def check_ifsc(text: str, field: str) -> str:
    """The code in capitals, spaces taken off."""
    ifsc = "".join(text.split()).upper()
    if not IFSC.fullmatch(ifsc):
        raise Invalid("IFSC_INVALID", "An IFSC has four letters, a zero, and six letters or digits.", field=field)
    return ifsc


def check_number(text: str, field: str) -> str:
    """The digits, and letters in capitals, spaces taken off."""
    number = "".join(text.split()).upper()
    if not _NUMBER.fullmatch(number):
        raise Invalid("ACCOUNT_INVALID", "An account number has 6 to 20 digits or letters, and not zeros alone.", field=field)
    return number


def must_be_known(accounts: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]], branches: Branches | None) -> None:
    """Refuse a branch that there is not, and a number that its bank would not give; without a list nothing is refused.

    What stands as it stood in `held` is not looked at again: banks merge, and their branches' old codes go.
    """
    if branches is None:
        return
    stood = {account_of(account) for account in held}
    for place, account in enumerate(accounts):
        number, ifsc = account_of(account)
        if not ifsc or (number, ifsc) in stood:
            continue
        if branches.find(ifsc) is None:
            raise Invalid("IFSC_UNKNOWN", "No branch has the IFSC {ifsc}; look at the passbook again.", field=f"accounts[{place}].ifsc", ifsc=ifsc)
        digits = branches.digits(ifsc)
        if digits and len(number) not in digits:
            known = " or ".join(map(str, digits))
            raise Invalid(
                "ACCOUNT_LENGTH",
                "An account number of this bank has {digits} digits or letters.",
                field=f"accounts[{place}].account_number",
                digits=known,
            )


def account_of(account: Mapping[str, Any]) -> tuple[str, str]:
    """Number and IFSC of a row of a profile; empty where it does not say."""
    return account.get("account_number") or "", account.get("ifsc") or ""


def to_ask(accounts: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The rows of a profile that a bank can be asked about: whole, and not ended."""
    return (account for account in accounts if all(account_of(account)) and not account.get("ended_on"))


def pause_seconds(tries: int) -> int | None:
    """When to ask again after so many tries without an answer; None when it is enough."""
    return None if tries >= TRIES_MAX else min(PAUSE_SECONDS_MIN * 2 ** (tries - 1), PAUSE_SECONDS_MAX)


# --- How well two names fit. Banks write in capitals, with initials, in another order, cut off, or in one word.

_SPELT_OTHERWISE, _INITIAL, _MUCH_ALIKE = 0.9, 0.7, 0.8
_ALIKE_MIN = 0.85
_WORDS_MAX = 12


def name_match(one: str, other: str) -> int:
    """How well two names fit, 0 to 100: whatever the order of their words, titles, initials, spelling and script."""
    left, right = sorted((_words(one), _words(other)))
    if not left or not right:
        return 0
    if "".join(fold for fold, _ in left) == "".join(fold for fold, _ in right):
        return 100
    pairs = sorted(((_alike(a, b), i, j) for i, a in enumerate(left) for j, b in enumerate(right)), reverse=True)
    found, used_left, used_right = 0.0, set[int](), set[int]()
    for alike, i, j in pairs:
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            found += alike
    # A surname that one of them lacks weighs half of one that both have and that differs.
    of_all, of_shorter = 2 * found / (len(left) + len(right)), found / min(len(left), len(right))
    return round(50 * (of_all + of_shorter))


def _words(name: str) -> list[tuple[str, str]]:
    """Each word's fold and skeleton."""
    key = name_key(name)
    return list(zip(key.fold.split(" "), key.skeleton.split(" "), strict=True))[:_WORDS_MAX] if key.fold else []


def _alike(one: tuple[str, str], other: tuple[str, str]) -> float:
    (fold, skeleton), (other_fold, other_skeleton) = one, other
    if fold == other_fold:
        return 1.0
    if 1 in {len(fold), len(other_fold)}:
        return _INITIAL if fold[0] == other_fold[0] else 0.0
    if skeleton == other_skeleton:
        return _SPELT_OTHERWISE
    alike = JaroWinkler.similarity(fold, other_fold)
    return _MUCH_ALIKE * alike if alike >= _ALIKE_MIN else 0.0
