"""What a member reads of what is kept of her here, in her language."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from services.identity.rules.consent import CLOCK_SLACK, Purpose, State, notices
from services.identity.rules.kyc import KYC_LIFE
from services.identity.rules.retention import CLASSES, Days

WORDS = Path(__file__).parents[1] / "summary.toml"
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Line:
    """One fact in words for her. `until` is when it is or was erased, or ended."""

    code: str
    words: str
    at: datetime | None = None
    until: datetime | None = None
    user_id: str = ""
    role: str = ""
    last4: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of her here. The rows are the tables'; `uses` are the vault's."""

    states: Sequence[State]
    kycs: Sequence[Any]
    uses: Sequence[Any]
    messages: Sequence[Any]
    evidence: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    consents: Sequence[Line]
    verifications: Sequence[Line]
    vault_uses: Sequence[Line]
    messages: Sequence[Line]
    shared_with: Sequence[Line]
    kept_elsewhere: Sequence[Line]
    grievances: str


@cache
def _words() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    return tomllib.loads(WORDS.read_text(encoding="utf-8"))


def said(section: str, code: str, language: str, **places: str) -> str:
    known = _words()[section]
    texts = known[code] if code in known else known["any"]
    return texts.get(language, texts[ENGLISH]).format(**places)


def of_hers(uses: Sequence[Any], kycs: Sequence[Any]) -> list[Any]:
    """Of what the vault did with a number, what was done for these e-KYCs: the same number may be another record's, of which she is told nothing."""
    spans = [(one.user_id, one.expires_at - KYC_LIFE - CLOCK_SLACK, one.expires_at + CLOCK_SLACK) for one in kycs if one.confirmed_at]
    return [one for one in uses if any(one.user_id == user and begun <= one.at <= ended for user, begun, ended in spans)]


def summary(kept: Kept, language: str, days: Days, contact: str, now: datetime) -> Summary:
    logs = CLASSES["EKYC_LOGS"].kept(days)
    return Summary(
        consents=[_consent(one, language, now) for one in kept.states],
        verifications=[
            *(_verification(one, language, days) for one in kept.kycs),
            *(
                Line(one.mode, said("verifications", one.mode, language), one.verified_at, one.verified_at + logs, one.user_id, one.role)
                for one in kept.evidence
            ),
        ],
        vault_uses=[
            Line(one.purpose, said("vault_uses", one.purpose, language, purpose=one.purpose), one.at, one.at + logs, one.user_id) for one in kept.uses
        ],
        messages=[
            Line(one.template, said("messages", one.template, language), one.at, one.at + CLASSES["MESSAGES"].kept(days)) for one in kept.messages
        ],
        shared_with=_shared(kept, language),
        kept_elsewhere=[Line(code, said("kept_elsewhere", code, language)) for code in _words()["kept_elsewhere"]],
        grievances=said("grievances", "any", language, contact=contact or said("grievances", "office", language)),
    )


def _consent(state: State, language: str, now: datetime) -> Line:
    given = state.given
    versions = notices()
    told = versions.get((given.purpose, given.notice_version, language)) or versions.get((given.purpose, given.notice_version, ENGLISH))
    code = "withdrawn" if state.withdrawn else "holds" if state.holds(now) else "over"
    words = said("consents", code, language, title=told.title if told else given.purpose)
    return Line(given.purpose, words, given.at, state.ended_at, given.user_id, given.role)


def _verification(kyc: Any, language: str, days: Days) -> Line:  # noqa: ANN401 - a row of kycs
    """`until` is the end of the log; the number goes before, of which her consent tells."""
    code = "ONLINE_EKYC" if kyc.confirmed_at else "ONLINE_EKYC_NOT_CONFIRMED"
    until = kyc.expires_at + CLASSES["EKYC_LOGS"].kept(days)
    return Line(code, said("verifications", code, language), kyc.confirmed_at or kyc.expires_at, until, kyc.user_id, kyc.role, kyc.last4)


def _shared(kept: Kept, language: str) -> list[Line]:
    """With whom it was shared in fact, since when: that she allowed it is not yet that it was."""
    firsts: dict[str, datetime | None] = dict.fromkeys(("SELF_HELP_GROUP", "BLOCK_OFFICE"), _first(one.given.at for one in kept.states))
    asked = [one.given.at for one in kept.states if one.given.purpose is Purpose.AADHAAR_ONLINE]
    if kept.kycs:
        firsts["UIDAI"] = _first(asked)
    if kept.messages:
        firsts["SMS_GATEWAY"] = _first(one.at for one in kept.messages)
    return [Line(code, said("shared_with", code, language), at) for code, at in firsts.items()]


def _first(moments: Iterable[datetime]) -> datetime | None:
    return min(moments, default=None)
