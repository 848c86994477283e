"""What a geography costs: invented LGD files of as many villages as asked for, imported, imported again, loaded and searched.

python -m loadtests.bench_places --villages 600000     the whole nation as if it were one state
"""

import argparse
import csv
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from deploy.machine.layout import PROJECT
from services.kernel.geography import Geography, load
from services.kernel.month import today
from services.kernel.region import Level
from services.profiles.__main__ import import_geography

STATE = 9
VILLAGES_A_GP, GPS_A_BLOCK, BLOCKS_A_DISTRICT = 2.3, 36, 9.5  # Domain 1.1.
SEARCHES = 300
# Syllables that a name begins with, endings, and second words, in Latin letters and in Devanagari.
_CONSONANTS = list(
    zip(("k", "kh", "g", "ch", "j", "t", "d", "n", "p", "b", "bh", "m", "r", "l", "v", "s", "sh", "h"), "कखगचजतदनपबभमरलवसशह", strict=True)
)
_VOWELS = [("a", ""), ("aa", "ा"), ("i", "ि"), ("ee", "ी"), ("u", "ु"), ("oo", "ू"), ("e", "े"), ("o", "ो")]
_ENDINGS = [("pur", "पुर"), ("nagar", "नगर"), ("patti", "पट्टी"), ("gaon", "गाँव"), ("garh", "गढ़"), ("pura", "पुरा"), ("wa", "वा")]
_SECOND = [("khurd", "खुर्द"), ("kalan", "कलाँ"), ("tola", "टोला"), ("uttar", "उत्तर")]


def name(dice: random.Random) -> tuple[str, str]:
    """An invented name in both scripts; of 6 lakh some two thirds differ, more than in the field."""
    parts = [dice.choice(kind) for _ in range(dice.randint(1, 3)) for kind in (_CONSONANTS, _VOWELS)]
    parts.append(dice.choice(_ENDINGS))
    latin, local = ("".join(side) for side in zip(*parts, strict=True))
    if dice.random() < 0.2:
        second = dice.choice(_SECOND)
        latin, local = f"{latin} {second[0]}", f"{local} {second[1]}"
    return latin.title(), local


def make(folder: Path, villages: int, seed: int = 1) -> None:
    """Write the files of a state of so many villages, in LGD's columns; the same again for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - invented names
    gps = max(round(villages / VILLAGES_A_GP), 1)
    blocks = max(round(gps / GPS_A_BLOCK), 1)
    districts = max(round(blocks / BLOCKS_A_DISTRICT), 1)
    of_gp = [(300_000 + gp, *name(dice), gp % blocks) for gp in range(gps)]
    of_village = [(1_000_000 + village, *name(dice), of_gp[village % gps]) for village in range(villages)]
    _write(folder / "1-state.csv", "S.No.,State Code,State Version,State Name,State Name,Census 2011 Code", [(1, STATE, 1, "SABHI", "", "09")])
    _write(
        folder / "2-district.csv",
        "State Code,State Name,District Code,District Name,Census 2011 Code",
        ((STATE, "SABHI", 100 + district, name(dice)[0], f"{district:03}") for district in range(districts)),
    )
    _write(
        folder / "blocks.csv",
        "S.No.,State Code,District Code,Block Code,Block Version,Block Name ,Block Name",
        ((block, STATE, 100 + block % districts, 5000 + block, 1, *name(dice)) for block in range(blocks)),
    )
    _write(
        folder / "pri_local_bodies.csv",
        "S.No.,State Code,Local Body Code,Local Body Version,Local Body Name (In English),Local Body Name (In Local)",
        ((number, STATE, code, 1, latin, local) for number, (code, latin, local, _) in enumerate(of_gp)),
    )
    _write(
        folder / "villages.csv",
        "S.No.,Village Code,Village Version,Village Name (In English),Village Name (In Local),Village Status,State Code,Census 2011 Code",
        ((number, code, 1, latin, local, "Inhabitant", STATE, f"{number:06}") for number, (code, latin, local, _) in enumerate(of_village)),
    )
    _write(
        folder / "villages_by_blocks.csv",
        "S.No.,State Code,Village Code,Development Block Code,Local Body Code",
        ((number, STATE, code, 5000 + gp[3], gp[0]) for number, (code, _, _, gp) in enumerate(of_village)),
    )


def _write(path: Path, header: str, rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(header + "\n")
        csv.writer(file).writerows(rows)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    memory, began, busy = _resident_mib(), time.perf_counter(), time.process_time()
    yield
    took = f"{time.perf_counter() - began:.1f} seconds ({time.process_time() - busy:.1f} of a core)"
    sys.stdout.write(f"{what}: {took}, {_resident_mib() - memory:+.0f} MiB\n")


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _search(land: Geography, on: date) -> None:
    """Beginnings, whole names, other spellings and the other script, in the state and in a block."""
    dice = random.Random(2)  # noqa: S311 - which names are asked for
    paths = land.within(str(STATE))
    took = []
    for _ in range(SEARCHES):
        place = land.place(dice.choice(paths), on)
        assert place
        block = ".".join(place.path.split(".")[: Level.BLOCK])
        asked = [(place.name[:2], ""), (place.name[:5], ""), (place.name, ""), (place.name_local or place.name, ""), (place.name[:3], block)]
        for text, within in asked:
            began = time.perf_counter()
            land.search(text, within, on=on, most=20)
            took.append(1000 * (time.perf_counter() - began))
    took.sort()
    figures = ", ".join(f"{share} % within {took[int(len(took) * share / 100)]:.1f} ms" for share in (50, 95, 99))
    sys.stdout.write(f"{len(took)} searches: {figures}, the slowest {took[-1]:.1f} ms\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_places", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--villages", type=int, default=600_000, help="how many (600000)")
    parser.add_argument("--of", type=Path, help="a geography file that was made before: measure loading and searching alone")
    given = parser.parse_args()
    if given.villages < 1:
        parser.error("there is at least one village")
    on = today()
    if given.of:
        _measure(given.of, on)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = Path(scratch, "lgd"), Path(scratch, "geography.csv")
        folder.mkdir()
        os.environ |= {"LOKOS_STATE_FILE": str(PROJECT / "deploy/states/UP.toml"), "LOKOS_GEOGRAPHY_FILE": str(path)}
        make(folder, given.villages)
        with _timed(f"imported {sum(file.stat().st_size for file in folder.iterdir()) / 2**20:.0f} MiB of LGD's files"):
            import_geography(folder, on)
        first = path.read_bytes()
        with _timed("imported again"):
            import_geography(folder, on)
        if path.read_bytes() != first:
            sys.stdout.write("The second import made another file.\n")
            return 1
        sys.stdout.flush()
        apart = [sys.executable, "-m", "loadtests.bench_places", "--of", str(path)]
        return subprocess.run(apart, cwd=PROJECT, check=False).returncode  # noqa: S603 - itself


def _measure(path: Path, on: date) -> None:
    """What a service has of it, in a process of its own: without what the import leaves behind."""
    with _timed(f"loaded {path.stat().st_size / 2**20:.0f} MiB of places"):
        land = load(path)
    with _timed("the first place by its code"):
        land.find(Level.VILLAGE, "1000000", on)
    with _timed("the first search"):
        land.search("ram", on=on, most=20)
    _search(land, on)


if __name__ == "__main__":
    sys.exit(main())
