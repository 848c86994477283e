"""The women of one block, and the duplicates planted among them, each with what is true of it."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

import numpy as np

from loadtests.nation import names
from loadtests.nation.plan import BOOKKEEPER_SHGS, SHG_MEMBERS_MIN, Block, Plan

DUMMY_MOBILE = "9999999999"
IFSC = "LOKX0"  # No bank's.
AGE_MEAN, AGE_SD, AGE_MIN, AGE_MAX = 40, 11, 19, 80
AGE_HEAPED_SHARE = 0.6  # Of ages told without a date: rounded to fives.
HOUSEHOLD_ALONE_SHARE = 0.87
CATEGORIES = ("SC", "ST", "OBC", "OTHER")
CATEGORY_SHARES = (0.20, 0.15, 0.50, 0.15)
EDUCATIONS = ("ILLITERATE", "CAN_SIGN", "PRIMARY", "MIDDLE", "SECONDARY", "SENIOR_SECONDARY", "GRADUATE")
EDUCATION_SHARES = (0.22, 0.20, 0.22, 0.16, 0.12, 0.05, 0.03)
WIDOW_SHARE, BPL_SHARE = 0.08, 0.55  # Of the married, of all.
TOKEN_BYTES = 32


class Kind(IntEnum):
    """How a woman came to be entered twice."""

    REENROLLED = 1  # In another group of her village.
    MARRIED = 2  # Title, husband and village changed, often the phone.
    MOVED = 3  # To another village of the block.
    TWICE_IN_GROUP = 4
    DELIBERATE = 5  # Phone, account and birth date changed, no identity shown.
    OTHER_SCRIPT = 6  # Her name in the script of the state.


KIND_SHARES = {
    Kind.REENROLLED: 0.379,
    Kind.MARRIED: 0.139,
    Kind.MOVED: 0.140,
    Kind.TWICE_IN_GROUP: 0.160,
    Kind.DELIBERATE: 0.100,
    Kind.OTHER_SCRIPT: 0.082,
}


@dataclass(frozen=True, slots=True)
class Said:
    """What is told of a woman."""

    institution_id: UUID
    name: str
    name_local: str
    born_on: date | None
    birth_year: int
    relation: str
    relation_name: str
    social_category: str
    mobile: str
    account_number: str
    ifsc: str
    account_holding: str
    joined_on: date
    religion: str
    marital_status: str
    bpl: str
    education: str


@dataclass(slots=True)
class Woman:
    """A member as profiles will hold her. `shg` is her group's place in the block."""

    member_id: UUID
    serial: int
    shg: int
    said: Said
    identity_token: str
    active: bool = True

    def content(self) -> dict[str, Any]:
        """As her form keeps it: without what is empty."""
        said, own = self.said, str(self.member_id)
        content: dict[str, Any] = {"institution_id": str(said.institution_id), "name": said.name}
        if said.name_local:
            content["name_local"] = said.name_local
        content |= {"born_on": said.born_on.isoformat()} if said.born_on else {"birth_year": said.birth_year}
        content |= {
            "gender": "FEMALE",
            "joined_on": said.joined_on.isoformat(),
            "relation": said.relation,
            "relation_name": said.relation_name,
            "marital_status": said.marital_status,
            "social_category": said.social_category,
            "religion": said.religion,
            "minority": "NO" if said.religion == "HINDU" else "YES",
            "bpl": said.bpl,
            "education": said.education,
        }
        # The id of a row need be no other's within her record: hers, with another last digit, costs nothing.
        if said.mobile:
            content["phones"] = [{"row_id": f"{own[:-1]}1", "number": said.mobile, "is_default": "YES"}]
        if said.account_number:
            account = {"row_id": f"{own[:-1]}2", "ifsc": said.ifsc, "account_number": said.account_number, "holding": said.account_holding}
            content["accounts"] = [account | {"is_default": "YES"}]
        return content


@dataclass(frozen=True, slots=True)
class Pair:
    """What is true: the later record is the same woman as the earlier one."""

    member_id: UUID
    duplicate_of: UUID
    kind: Kind
    shares_identity: bool
    shares_account: bool
    pending: bool


def uuid7s(dice: np.random.Generator, milliseconds: np.ndarray[Any, np.dtype[np.int64]]) -> list[UUID]:
    """An id of each moment; they sort as the moments do, and within one by place where moments are a millisecond apart."""
    parts = np.empty((len(milliseconds), 16), np.uint8)
    parts[:, :6] = milliseconds.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    parts[:, 6:] = np.frombuffer(dice.bytes(10 * len(milliseconds)), np.uint8).reshape(-1, 10)
    parts[:, 6] = parts[:, 6] & 0x0F | 0x70
    parts[:, 8] = parts[:, 8] & 0x3F | 0x80
    raw = parts.tobytes()
    return [UUID(bytes=raw[place : place + 16]) for place in range(0, len(raw), 16)]


def moment_ms(day: date, within: int = 0) -> int:
    """Milliseconds of a day's beginning, and `within` more."""
    return (day - date(1970, 1, 1)).days * 86_400_000 + within


def mobiles(dice: np.random.Generator, count: int) -> list[str]:
    """Numbers of the right shape, drawn by chance: nothing may ever be sent to them."""
    return [str(number) for number in dice.integers(6_000_000_000, 9_999_999_999, count).tolist()]


def make(
    plan: Plan, block: Block, shg_ids: Sequence[UUID], formed_on: Sequence[date], bookkeeper_mobiles: Sequence[str]
) -> tuple[list[Woman], list[Pair]]:
    """The members of a block in the order of their serials, and its planted pairs."""
    dice = plan.inputs.dice(10, block.number)
    made = _Originals(plan, block, dice, bookkeeper_mobiles).make(shg_ids, formed_on)
    pairs = _Planting(plan, block, dice).plant(made)
    return made, pairs


class _Originals:
    """Women drawn column by column, as nobody's double."""

    def __init__(self, plan: Plan, block: Block, dice: np.random.Generator, bookkeeper_mobiles: Sequence[str]) -> None:
        self.plan, self.block, self.dice, self.bookkeeper_mobiles = plan, block, dice, bookkeeper_mobiles
        self.rates = plan.inputs.rates
        self.shg = np.repeat(np.arange(len(block.shg_sizes)), block.shg_sizes)
        self.count = len(self.shg)
        village_of_shg = np.unique(block.shg_villages, return_inverse=True)[1]
        village = village_of_shg[self.shg]
        begins = (dice.random(self.count) < HOUSEHOLD_ALONE_SHARE) | np.diff(village, prepend=-1).astype(bool)
        self.household = np.cumsum(begins) - 1
        # Muslim households live together: a village is mostly one or the other.
        share = dice.beta(0.3, 0.3 * (1 - self.rates["muslim"]) / self.rates["muslim"], int(village.max()) + 1)
        self.muslim = (dice.random(int(self.household[-1]) + 1) < share[village[begins]])[self.household]

    def make(self, shg_ids: Sequence[UUID], formed_on: Sequence[date]) -> list[Woman]:
        serials = range(self.block.first_member, self.block.first_member + self.count)
        entered = [self.plan.entered_on(serial) for serial in serials]
        ids = uuid7s(self.dice, np.array([moment_ms(day, serial) for day, serial in zip(entered, serials, strict=True)], np.int64))
        women, local = self._women_named()
        relation, relation_names = self._relations()
        born_on, birth_year, joined_on = self._dates(entered, formed_on)
        category = [CATEGORIES[one] for one in self.dice.choice(len(CATEGORIES), self.count, p=CATEGORY_SHARES).tolist()]
        accounts, holdings = self._accounts()
        columns = zip(
            (shg_ids[shg] for shg in self.shg.tolist()), women, local, born_on, birth_year, relation, relation_names,
            category, self._mobiles(), accounts, (f"{IFSC}{self.block.number % 1000:03}{int(a) % 7:03}" if a else "" for a in accounts), holdings,
            joined_on, *self._circumstances(relation), strict=True,
        )  # fmt: skip
        shown = self.dice.random(self.count) < self.rates["identity"]
        tokens = self.dice.bytes(TOKEN_BYTES * self.count).hex()
        width = 2 * TOKEN_BYTES
        return [
            Woman(member_id, serial, shg, Said(*said), tokens[place * width : (place + 1) * width] if shows else "")
            for place, (member_id, serial, shg, said, shows) in enumerate(zip(ids, serials, self.shg.tolist(), columns, shown.tolist(), strict=True))
        ]

    def _drawn(self, stocks: tuple[names.Stock, names.Stock]) -> list[tuple[names.Stock, int]]:
        hindu, muslim = (stock.draw(self.dice, self.count).tolist() for stock in stocks)
        return [
            (stocks[1], theirs) if is_muslim else (stocks[0], ours)
            for is_muslim, ours, theirs in zip(self.muslim.tolist(), hindu, muslim, strict=True)
        ]

    def _habits(self) -> list[int]:
        """Most names are spelt as most people do; otherwise as the group's registrar likes it."""
        usual = self.dice.random(self.count) < self.rates["canonical_spelling"]
        registrar = self.block.first_bookkeeper + self.shg // BOOKKEEPER_SHGS
        own = 1 + (registrar * 7 + self.dice.integers(0, 2, self.count)) % (len(names.HABITS) - 1)
        habits: list[int] = np.where(usual, 0, own).tolist()
        return habits

    def _women_named(self) -> tuple[list[str], list[str]]:
        """Names in Latin letters and in the script of the state (empty where it has none)."""
        firsts, habits = self._drawn(names.women()), self._habits()
        self.surnames = self._surnames()
        language = names.language(self.plan.inputs.state)
        usual, second = names.TITLES.get(language, names.TITLES["hi"])
        rates, chance = self.rates, self.dice.random(self.count).tolist()
        seconds = []
        for who, (is_muslim, one) in enumerate(zip(self.muslim.tolist(), chance, strict=True)):
            title = rates["muslim_title"] if is_muslim else rates["title"]
            if one < title:
                seconds.append(names.TITLES_MUSLIM[0] if is_muslim else usual)
            elif one < title + rates["second_title"]:
                seconds.append(names.TITLES_MUSLIM[1] if is_muslim else second)
            else:
                seconds.append(self.surnames[who] if one < title + rates["second_title"] + rates["surname"] else "")
        latin = [
            _joined(stock.spelt[place][habit], names.latin(more, habit) if more else "")
            for (stock, place), habit, more in zip(firsts, habits, seconds, strict=True)
        ]
        start = names.SCRIPTS.get(language, 0)
        if not start:
            return latin, [""] * self.count
        local = [
            _joined(names.script(stock.sounds[place], start), names.script(more, start)) for (stock, place), more in zip(firsts, seconds, strict=True)
        ]
        return latin, local

    def _surnames(self) -> list[str]:
        """The sounds of each woman's surname, which is her household's."""
        hindu, muslim = (stock.draw(self.dice, int(self.household[-1]) + 1).tolist() for stock in names.surnames())
        ours, theirs = names.surnames()
        return [
            (theirs.sounds[muslim[house]] if is_muslim else ours.sounds[hindu[house]])
            for house, is_muslim in zip(self.household.tolist(), self.muslim.tolist(), strict=True)
        ]

    def _relations(self) -> tuple[list[str], list[str]]:
        spouse = self.dice.random(self.count) < self.rates["relation_spouse"]
        mother = self.dice.random(self.count) < 0.15
        relation = ["SPOUSE" if one else "MOTHER" if other else "FATHER" for one, other in zip(spouse.tolist(), mother.tolist(), strict=True)]
        habits = self._habits()
        with_surname = (self.dice.random(self.count) < 0.5).tolist()
        men, mothers = self._drawn(names.men()), self._drawn(names.women())
        told = [
            _joined(
                (mothers if kind == "MOTHER" else men)[who][0].spelt[(mothers if kind == "MOTHER" else men)[who][1]][habits[who]],
                names.latin(self.surnames[who]) if with_surname[who] else "",
            )
            for who, kind in enumerate(relation)
        ]
        return relation, told

    def _circumstances(self, relation: Sequence[str]) -> tuple[list[str], list[str], list[str], list[str]]:
        """Religion, marital status, poverty by the state's list, schooling; by chance of their own, so that names stay what they were."""
        dice = self.plan.inputs.dice(14, self.block.number)
        widowed = (dice.random(self.count) < WIDOW_SHARE).tolist()
        poor = (dice.random(self.count) < BPL_SHARE).tolist()
        schooling = dice.choice(len(EDUCATIONS), self.count, p=EDUCATION_SHARES).tolist()
        return (
            ["MUSLIM" if one else "HINDU" for one in self.muslim.tolist()],
            ["SINGLE" if kind != "SPOUSE" else "WIDOW" if one else "MARRIED" for kind, one in zip(relation, widowed, strict=True)],
            ["YES" if one else "NO" for one in poor],
            [EDUCATIONS[one] for one in schooling],
        )

    def _dates(self, entered: Sequence[date], formed_on: Sequence[date]) -> tuple[list[date | None], list[int], list[date]]:
        """Birth as it was told (a date, a first of January, a year), and the day of joining, at 18 at least."""
        dice, count = self.dice, self.count
        age = dice.normal(AGE_MEAN, AGE_SD, count).round().clip(AGE_MIN, AGE_MAX).astype(np.int64)
        told = dice.random(count)
        year_alone = told >= self.rates["birth_exact"] + self.rates["birth_first_of_january"]
        heaped = year_alone & (dice.random(count) < AGE_HEAPED_SHARE)
        age = np.where(heaped, np.maximum((age + 2) // 5 * 5, 20), age)
        days = dice.integers(0, 365, count)
        first_of_january = ~year_alone & (told >= self.rates["birth_exact"])
        joined_later = dice.random(count)
        born_on: list[date | None] = []
        years: list[int] = []
        joined_on: list[date] = []
        for who, (years_old, alone, january, day, later, day_entered) in enumerate(
            zip(age.tolist(), year_alone.tolist(), first_of_january.tolist(), days.tolist(), joined_later.tolist(), entered, strict=True)
        ):
            year = day_entered.year - years_old
            years.append(year)
            born_on.append(None if alone else date(year, 1, 1) if january else date(year, 1, 1) + timedelta(days=day))
            formed = formed_on[self.shg[who]]
            joined = formed if later < 0.7 else formed + timedelta(days=int((day_entered - formed).days * (later - 0.7) / 0.3))
            joined_on.append(max(joined, date(year + AGE_MIN, 1, 1)))
        return born_on, years, joined_on

    def _mobiles(self) -> list[str]:
        rates, dice = self.rates, self.dice
        borders = np.cumsum([rates["mobile_own"], rates["mobile_household"], rates["mobile_bookkeeper"], rates["mobile_dummy"]])
        kind = np.searchsorted(borders, dice.random(self.count), side="right").tolist()
        own, households = mobiles(dice, self.count), mobiles(dice, int(self.household[-1]) + 1)
        sources: list[Callable[[int], str]] = [
            lambda who: own[who],
            lambda who: households[self.household[who]],
            lambda who: self.bookkeeper_mobiles[self.shg[who] // BOOKKEEPER_SHGS],
            lambda _who: DUMMY_MOBILE,
            lambda _who: "",
        ]
        return [sources[one](who) for who, one in enumerate(kind)]

    def _accounts(self) -> tuple[list[str], list[str]]:
        has = (self.dice.random(self.count) < self.rates["account"]).tolist()
        joint = (self.dice.random(self.count) < self.rates["account_joint"]).tolist()
        numbers = self.dice.integers(10_000_000_000, 99_999_999_999, self.count).tolist()
        accounts = [str(number) if one else "" for number, one in zip(numbers, has, strict=True)]
        return accounts, [("JOINT" if other else "SINGLE") if one else "" for one, other in zip(has, joint, strict=True)]


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


class _Planting:
    """Makes some of the women doubles of others, as registrars and time would have made them."""

    def __init__(self, plan: Plan, block: Block, dice: np.random.Generator) -> None:
        self.plan, self.block, self.dice = plan, block, dice
        self.rates = plan.inputs.rates

    def plant(self, women: list[Woman]) -> list[Pair]:
        """Overwrite a share of the women by doubles of earlier ones; who is a double is nobody's original."""
        of_shg: dict[int, list[int]] = {}
        for place, woman in enumerate(women):
            of_shg.setdefault(woman.shg, []).append(place)
        of_village: dict[str, list[int]] = {}
        for shg, village in enumerate(self.block.shg_villages):
            of_village.setdefault(village, []).append(shg)
        self.villages = list(of_village)
        count = round(len(women) * self.rates["duplicates"])
        chosen = sorted(self.dice.permutation(len(women))[:count].tolist())
        doubles = set(chosen)
        active = [len(of_shg.get(shg, ())) for shg in range(len(self.block.shg_sizes))]
        pairs = []
        for place in chosen:
            kind = self._kind()
            candidates = self._where(kind, women[place].shg, of_village)
            original = self._original(candidates, of_shg, doubles, women[place].shg, kind)
            if original is None:
                continue
            pending = bool(self.dice.random() < self.plan.inputs.pending_share) and active[women[place].shg] > SHG_MEMBERS_MIN
            active[women[place].shg] -= pending
            women[place] = self._double(women[place], women[original], kind)
            women[place].active = not pending
            one, other = women[place], women[original]
            pairs.append(
                Pair(
                    one.member_id,
                    other.member_id,
                    kind,
                    shares_identity=bool(one.identity_token) and one.identity_token == other.identity_token,
                    shares_account=bool(one.said.account_number) and one.said.account_number == other.said.account_number,
                    pending=pending,
                )
            )
        return pairs

    def _kind(self) -> Kind:
        kind = Kind(int(self.dice.choice(list(KIND_SHARES), p=list(KIND_SHARES.values()))))
        if kind in {Kind.MARRIED, Kind.MOVED} and len(self.villages) == 1:
            return Kind.REENROLLED  # There is nowhere to go.
        if kind == Kind.OTHER_SCRIPT and not names.language(self.plan.inputs.state):
            return Kind.REENROLLED
        return kind

    def _where(self, kind: Kind, shg: int, of_village: dict[str, list[int]]) -> list[int]:
        """The groups in which the original may be."""
        here = self.block.shg_villages[shg]
        if kind == Kind.TWICE_IN_GROUP:
            return [shg]
        if kind in {Kind.MARRIED, Kind.MOVED}:
            there = self.villages[(self.villages.index(here) + int(self.dice.integers(1, len(self.villages)))) % len(self.villages)]
            return of_village[there]
        return [one for one in of_village[here] if one != shg] or [shg]

    def _original(self, shgs: list[int], of_shg: dict[int, list[int]], doubles: set[int], own: int, kind: Kind) -> int | None:
        """One who is no double herself; None where a few draws find nobody."""
        if shgs == [own] and kind != Kind.TWICE_IN_GROUP:
            return None
        for _ in range(20):
            group = of_shg[shgs[int(self.dice.integers(len(shgs)))]]
            place = group[int(self.dice.integers(len(group)))]
            if place not in doubles:
                return place
        return None

    def _chance(self, rate: str) -> bool:
        return bool(self.dice.random() < self.rates[rate])

    def _double(self, slot: Woman, original: Woman, kind: Kind) -> Woman:
        """The original as she was entered again, in the group where the slot is."""
        new, old = slot.said, original.said
        deliberate = kind == Kind.DELIBERATE
        said = replace(
            old, institution_id=new.institution_id, joined_on=new.joined_on, name=self._spelt(old.name), relation_name=self._spelt(old.relation_name)
        )
        if kind == Kind.OTHER_SCRIPT:
            said = replace(said, name=old.name_local)
        if kind == Kind.MARRIED:
            said = replace(said, relation="SPOUSE", marital_status="MARRIED", relation_name=new.relation_name, name=self._married(said.name))
        said = self._born(said, new, always=deliberate)
        if deliberate or self._chance("mobile_changed") or (kind == Kind.MARRIED and self.dice.random() < 0.5):
            said = replace(said, mobile=new.mobile)
        if deliberate or not self._chance("account_kept"):
            said = replace(said, account_number=new.account_number, ifsc=new.ifsc, account_holding=new.account_holding)
        if self._chance("field_dropped"):
            said = replace(said, mobile="")
        keeps = not deliberate and bool(original.identity_token) and self._chance("identity_kept")
        # Whoever is the same woman cannot have another token: hers, or none.
        return Woman(slot.member_id, slot.serial, slot.shg, said, original.identity_token if keeps else "")

    def _spelt(self, name: str) -> str:
        if self._chance("respelt"):
            habits = [("i", "ee"), ("u", "oo"), ("v", "w"), ("sh", "s"), ("aa", "a"), ("ee", "i"), ("oo", "u"), ("a", "aa"), ("ph", "f")]
            for place in self.dice.permutation(len(habits)).tolist():
                before, after = habits[place]
                if before in name[1:]:
                    name = name[0] + name[1:].replace(before, after, 1)
                    break
        if self._chance("typo") and len(name) > 4:
            place = int(self.dice.integers(1, len(name) - 2))
            letter = string.ascii_lowercase[int(self.dice.integers(26))]
            name = name[:place] + (letter, "", name[place] * 2)[int(self.dice.integers(3))] + name[place + 1 :]
        return " ".join(name.split())

    def _married(self, name: str) -> str:
        usual, second = names.TITLES.get(names.language(self.plan.inputs.state), names.TITLES["hi"])
        first = name.split(maxsplit=1)[0]
        return name if name.endswith(names.latin(usual)) else f"{first} {names.latin(usual if self.dice.random() < 0.8 else second)}"

    def _born(self, said: Said, new: Said, *, always: bool) -> Said:
        """The birth as it was told the second time."""
        born, year, dice = said.born_on, said.birth_year, self.dice
        if always:
            return replace(said, born_on=new.born_on, birth_year=new.birth_year, joined_on=new.joined_on)
        if self._chance("year_off"):
            year -= 1
            born = born.replace(year=year, day=min(born.day, 28)) if born else None
        if born and self._chance("day_month_swapped") and born.day <= 12:
            born = date(born.year, born.day, born.month)
        elif born and self._chance("days_off") and 3 < born.day < 26:
            born += timedelta(days=int(dice.integers(1, 4)))
        if born and self._chance("birth_asked_anew") and new.born_on is None:
            born = None
        return replace(said, born_on=born, birth_year=year, joined_on=max(said.joined_on, date(year + AGE_MIN, 1, 1)))
