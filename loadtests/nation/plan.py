"""A state before anybody lives in it: its villages, the sizes of its groups, and where the serials of each block begin.

All of it follows from the inputs, so that any process can make any block by itself and gets the same one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from loadtests.nation import names
from services.kernel.geography import Place
from services.kernel.month import month_of, parse_month
from services.kernel.region import NO_GP
from services.kernel.statefile import StateFile

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]

VILLAGE_MEMBERS_MEAN = 311
VILLAGE_SPREAD = 0.8  # Of the logarithm.
BLOCK_VILLAGES = 85
DISTRICT_BLOCKS = 9.5
GP_VILLAGES = 2.3
SHG_MEMBERS, SHG_MEMBERS_SD, SHG_MEMBERS_MIN, SHG_MEMBERS_MAX = 10.7, 1.6, 5, 20
VO_SHGS = 16.75
CLF_VOS = 16.4
BOOKKEEPER_SHGS = 20
WITHOUT_GP = ("ML", "MZ", "NL")
# LGD's own codes are smaller at each level, so that none of these can be a real place's.
FIRST_DISTRICT, FIRST_BLOCK, FIRST_GP, FIRST_VILLAGE = 900, 9000, 800_000, 1_000_000
ENROLLED_DAYS = 700  # The years before the first meeting in which the state entered its members, block after block.
BEGINNING = date(1900, 1, 1)

# How often what is so. Given by name on the command line; printed with every run.
RATES: Mapping[str, float] = {
    "muslim": 0.14,
    "title": 0.58,
    "second_title": 0.13,
    "surname": 0.13,
    "muslim_title": 0.62,
    "canonical_spelling": 0.68,
    "relation_spouse": 0.80,
    "birth_exact": 0.47,
    "birth_first_of_january": 0.20,
    "mobile_own": 0.60,
    "mobile_household": 0.18,
    "mobile_bookkeeper": 0.06,
    "mobile_dummy": 0.003,
    "account": 0.90,
    "account_joint": 0.004,
    "identity": 0.80,
    "duplicates": 0.0319,
    "respelt": 0.50,
    "typo": 0.10,
    "birth_asked_anew": 0.50,
    "day_month_swapped": 0.04,
    "days_off": 0.06,
    "year_off": 0.08,
    "field_dropped": 0.10,
    "mobile_changed": 0.35,
    "account_kept": 0.55,
    "identity_kept": 0.70,
    "present": 0.88,
    "borrows": 0.60,
    "fined": 0.25,
    "unapproved": 0.10,
}


@dataclass(frozen=True)
class Inputs:
    """All that decides what is made."""

    state: StateFile
    members: int
    months: int
    last_month: str
    seed: int = 1
    meetings_share: float = 0.95
    pending_share: float = 0.10
    rates: Mapping[str, float] = field(default_factory=lambda: RATES)

    def facts(self) -> dict[str, Any]:
        """What is noted of a load: the same facts are the same rows."""
        plain = ("members", "months", "last_month", "seed", "meetings_share", "pending_share")
        return {name: getattr(self, name) for name in plain} | {"rates": dict(self.rates)}

    @cached_property
    def first_day(self) -> date:
        """Of the first month of meetings; who is enrolled was enrolled before."""
        last = date.fromisoformat(parse_month(self.last_month, "last_month") + "-01")
        count = last.year * 12 + last.month - max(self.months, 1)
        return date(count // 12, count % 12 + 1, 1)

    @property
    def month_days(self) -> list[date]:
        """The first day of each month in which meetings are held."""
        count = self.first_day.year * 12 + self.first_day.month - 1
        return [date(month // 12, month % 12 + 1, 1) for month in range(count, count + self.months)]

    def dice(self, *branch: int) -> np.random.Generator:
        """Chance of its own for each part, so that no part depends on how much another one drew."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, self.state.lgd_code, *branch]))


@dataclass(frozen=True)
class Block:
    """One block's part of the plan. SHGs lie village by village; serials begin where those of the block before end."""

    number: int
    path: str
    shg_sizes: Ints
    shg_villages: list[str]  # The path of each SHG's village.
    vo_gps: list[str]  # The path of each VO's GP, or of the block's "no GP".
    clfs: int
    first_member: int
    first_shg: int
    first_vo: int
    first_clf: int
    first_bookkeeper: int

    @property
    def bookkeepers(self) -> int:
        return -(-len(self.shg_sizes) // BOOKKEEPER_SHGS)


@dataclass(frozen=True)
class Plan:
    """The whole state."""

    inputs: Inputs

    @cached_property
    def shg_sizes(self) -> Ints:
        """Sizes drawn from a truncated normal until they hold everybody; the last ones give or take what is over."""
        wanted = self.inputs.members
        dice = self.inputs.dice(1)
        sizes = dice.normal(SHG_MEMBERS, SHG_MEMBERS_SD, int(wanted / SHG_MEMBERS) + 1).round().astype(np.int64)
        sizes = np.where((sizes < SHG_MEMBERS_MIN) | (sizes > SHG_MEMBERS_MAX), round(SHG_MEMBERS), sizes)
        place, over = len(sizes) - 1, int(sizes.sum()) - wanted
        while over and place >= 0:
            change = min(over, int(sizes[place]) - SHG_MEMBERS_MIN) if over > 0 else -min(-over, SHG_MEMBERS_MAX - int(sizes[place]))
            sizes[place] -= change
            over -= change
            place -= 1
        return sizes

    @cached_property
    def village_of_shg(self) -> Ints:
        """Villages are log-normal; a group belongs to the village in which its middle member falls."""
        count = max(1, round(self.inputs.members / VILLAGE_MEMBERS_MEAN))
        weights = self.inputs.dice(2).lognormal(0, VILLAGE_SPREAD, count)
        borders = np.cumsum(weights) / weights.sum() * self.inputs.members
        middles = np.cumsum(self.shg_sizes) - self.shg_sizes / 2
        found = np.searchsorted(borders, middles).clip(max=count - 1)
        # A village that no group falls into is none.
        return np.unique(found, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def village_paths(self) -> list[str]:
        """The path of each village, in their order."""
        villages = np.arange(int(self.village_of_shg[-1]) + 1)
        blocks = villages // BLOCK_VILLAGES
        districts = (blocks / DISTRICT_BLOCKS).astype(np.int64)
        gps = blocks * BLOCK_VILLAGES + (villages % BLOCK_VILLAGES / GP_VILLAGES).astype(np.int64)  # A GP lies in one block.
        lgd, without_gp = self.inputs.state.lgd_code, self.inputs.state.code in WITHOUT_GP
        return [
            f"{lgd}.{FIRST_DISTRICT + district}.{FIRST_BLOCK + block}.{NO_GP if without_gp else FIRST_GP + gp}.{FIRST_VILLAGE + village}"
            for village, block, gp, district in zip(villages.tolist(), blocks.tolist(), gps.tolist(), districts.tolist(), strict=True)
        ]

    @cached_property
    def blocks(self) -> list[Block]:
        levels = self.inputs.state.federation_levels
        made: list[Block] = []
        paths = [self.village_paths[village] for village in self.village_of_shg]
        block_of_shg = self.village_of_shg // BLOCK_VILLAGES
        borders = np.searchsorted(block_of_shg, np.arange(int(block_of_shg[-1]) + 2))
        member = shg = vo = clf = bookkeeper = 1
        for number in range(len(borders) - 1):
            first, beyond = int(borders[number]), int(borders[number + 1])
            of_block = paths[first:beyond]
            gps: dict[str, int] = {}
            for path in of_block:
                gp = path.rpartition(".")[0]
                gps[gp] = gps.get(gp, 0) + 1
            vo_gps = [gp for gp, shgs in gps.items() for _ in range(max(1, round(shgs / VO_SHGS)))] if "VO" in levels else []
            clfs = max(1, round(len(vo_gps) / CLF_VOS)) if "CLF" in levels else 0
            block_path = of_block[0].rsplit(".", 2)[0]
            made.append(Block(number, block_path, self.shg_sizes[first:beyond], of_block, vo_gps, clfs, member, shg, vo, clf, bookkeeper))
            member, shg = member + int(made[-1].shg_sizes.sum()), shg + beyond - first
            vo, clf, bookkeeper = vo + len(vo_gps), clf + clfs, bookkeeper + made[-1].bookkeepers
        return made

    def entered_on(self, member_serial: int) -> date:
        """The day on which the members around this one were entered: the state was taken in one block after another."""
        before = ENROLLED_DAYS - member_serial * (ENROLLED_DAYS - 1) // max(self.inputs.members, 1)
        return self.inputs.first_day - timedelta(days=before)

    def places(self) -> Iterator[Place]:
        """The geography, with names in both scripts."""
        block = names.SCRIPTS.get(names.language(self.inputs.state), 0)
        seen: dict[str, None] = {}
        for path in self.village_paths:
            codes = path.split(".")
            seen |= dict.fromkeys(".".join(codes[: depth + 1]) for depth in range(1, len(codes)))
        yield Place(str(self.inputs.state.lgd_code), self.inputs.state.name, "", BEGINNING)
        for path, sounds in zip(seen, names.place_names(self.inputs.dice(3), len(seen)), strict=True):
            if path.endswith(f".{NO_GP}"):
                yield Place(path, "No Gram Panchayat", "", BEGINNING)
            else:
                yield Place(path, names.latin(sounds), names.script(sounds, block) if block else "", BEGINNING)


def month_before(day: date) -> str:
    """The last month that is over."""
    return month_of(day.replace(day=1) - timedelta(days=1))
