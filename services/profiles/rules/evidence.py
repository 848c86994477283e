"""Evidence of who a member is, as identity attests it: by online e-KYC a token of her number, by a signed paper a fingerprint and no number."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from services.kernel.names import name_key
from services.profiles.rules.form import Held, word
from services.profiles.rules.member import birth_year

ONLINE = "ONLINE_EKYC"
DIFFERENCES = ("NAME", "BIRTH_DATE", "BIRTH_YEAR", "GENDER")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was verified, and what it says of her. Days are YYYY-MM-DD; what it does not say is empty."""

    identity_token: str = ""
    birth_year: int = 0
    gender: str = ""
    consent_id: str = ""  # By which it was taken; empty of what is older than the records of consents.
    mode: str = ONLINE
    fingerprint: str = ""
    last4: str = ""
    verified_on: str = ""
    born_on: str = ""
    name_fold: str = ""

    def differences(self, content: Held) -> set[str]:
        """Where it says otherwise than her record."""
        found = set()
        if self.name_fold and self.name_fold not in {name_key(word(content, name)).fold for name in ("name", "name_local")}:
            found.add("NAME")
        born_on = word(content, "born_on")
        if self.birth_year and self.birth_year != birth_year(content):
            found.add("BIRTH_YEAR")
        # The first of January is what is written where only the year is known.
        elif self.born_on and born_on and self.born_on != born_on and "01-01" not in {self.born_on[5:], born_on[5:]}:
            found.add("BIRTH_DATE")
        if self.gender and self.gender.upper()[0] != word(content, "gender")[:1]:
            found.add("GENDER")
        return found


@dataclass(frozen=True, slots=True)
class Verified:
    """All that was verified of a member: neither an online e-KYC nor a paper takes the other's place, for each is a fact of its own."""

    online: Evidence | None = None
    paper: Evidence | None = None

    def having(self, news: Evidence | None) -> "Verified":
        if news is None:
            return self
        return replace(self, online=news) if news.mode == ONLINE else replace(self, paper=news)

    def without(self, ended: Collection[str], *, unrecorded: bool) -> "Verified":
        """What is left once these consents have ended; with `unrecorded` also nothing by online e-KYC from before consents were recorded."""

        def rests(one: Evidence | None) -> bool:
            return one is not None and (one.consent_id in ended or (unrecorded and one.mode == ONLINE and not one.consent_id))

        return Verified(None if rests(self.online) else self.online, None if rests(self.paper) else self.paper)

    @property
    def strongest(self) -> Evidence | None:
        return self.online or self.paper

    @property
    def documents(self) -> list[str]:
        """How the duplicate check is told of a paper: as one of her documents."""
        return [f"AADHAAR_PAPER:{self.paper.fingerprint}"] if self.paper and self.paper.fingerprint else []

    def notes(self, content: Held) -> list[str]:
        """Where any of it says otherwise than her record: for the checker to look at, no reason to refuse (nobody is denied)."""
        found = {note for one in (self.online, self.paper) if one for note in one.differences(content)}
        return [note for note in DIFFERENCES if note in found]
