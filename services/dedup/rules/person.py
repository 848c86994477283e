"""What of a record is compared."""

from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from services.kernel.approval import Status
from services.kernel.names import name_key
from services.kernel.region import NO_GP, Level, level
from services.kernel.states import STATE_LGD

# A signed Aadhaar paper carries no number: what it says of her stands among her documents as a fingerprint (profiles' MemberSubmitted).
PAPER = "AADHAAR_PAPER:"
# Tamil writes hard and soft consonants alike, and so do those who turn it into Latin letters.
COARSE = frozenset({STATE_LGD["TN"], STATE_LGD["PY"]})


@dataclass(frozen=True, slots=True)
class Person:
    """What a comparison needs of a record, and no more: keys of names, not names. What is not known is empty."""

    member_id: UUID
    revision: int
    institution_id: UUID
    region: str
    block: int | None
    village: int | None
    name_fold: str
    name_skeleton: str
    name_first: str
    name_title: str
    relation_fold: str
    relation_skeleton: str
    relation_first: str
    born_on: date | None
    birth_year: int | None
    mobile: str
    account: str
    identity_token: str
    documents: tuple[str, ...]  # Each its kind, a colon, its number.
    status: Status

    def without(self, *, token: bool, papers: bool) -> "Person":
        """She as she is known without what she has withdrawn."""
        kept = tuple(one for one in self.documents if not (papers and one.startswith(PAPER)))
        return replace(self, identity_token="" if token else self.identity_token, documents=kept)


@dataclass(frozen=True, slots=True)
class Record:
    """A member as she was submitted."""

    member_id: UUID
    revision: int
    institution_id: UUID
    region: str
    name: str
    relation_name: str = ""
    born_on: date | None = None
    birth_year: int = 0
    mobile: str = ""
    ifsc: str = ""
    account_number: str = ""
    account_holding: str = ""
    identity_token: str = ""
    documents: tuple[str, ...] = ()


def person(record: Record, status: Status) -> Person:
    """What of a record is compared."""
    coarse = _place(record.region, Level.STATE) in COARSE
    name, relation = name_key(record.name, coarse=coarse), name_key(record.relation_name, coarse=coarse)
    born_on = record.born_on
    single = record.account_holding == "SINGLE" and record.account_number
    return Person(
        member_id=record.member_id,
        revision=record.revision,
        institution_id=record.institution_id,
        region=record.region,
        block=_place(record.region, Level.BLOCK),
        village=_place(record.region, Level.VILLAGE),
        name_fold=name.fold,
        name_skeleton=name.skeleton,
        name_first=name.first,
        name_title=name.title,
        relation_fold=relation.fold,
        relation_skeleton=relation.skeleton,
        relation_first=relation.first,
        # The first of January is what is written where only the year is known.
        born_on=born_on if born_on and (born_on.month, born_on.day) != (1, 1) else None,
        birth_year=born_on.year if born_on else record.birth_year or None,
        # 9999999999 and the like are what is written where there is no phone.
        mobile=record.mobile if len(set(record.mobile)) > 2 else "",
        # A joint account and the group's own say nothing about who she is.
        account=f"{record.ifsc}{record.account_number}".upper() if single else "",
        identity_token=record.identity_token,
        documents=tuple(sorted({_evenly(one) for one in record.documents} - {""})),
        status=status,
    )


def _evenly(document: str) -> str:
    """The kind, a colon, and the letters and digits of the number."""
    kind, _, number = document.partition(":")
    return f"{kind}:{written}" if (written := "".join(filter(str.isalnum, number)).upper()) else ""


def _place(region: str, at: Level) -> int | None:
    """The LGD code of the block or village that the region lies in; codes are unique a level."""
    code = region.split(".")[at - 1] if level(region) >= at else NO_GP
    return None if code == NO_GP else int(code)


def status_of(revision: int, decided: tuple[int, Status] | None) -> Status:
    """A decision stands until the record comes back with a later revision, whichever of the two was heard first.

    That somebody came from the old MIS is none: until she is verified her screening follows what is known.
    """
    return decided[1] if decided and decided[0] >= revision and decided[1] is not Status.LEGACY else Status.SUBMITTED
