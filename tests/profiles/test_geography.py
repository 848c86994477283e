"""LGD's files into places, what changes from one import to the next, and how records follow."""

import csv
import hashlib
import io
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Date, Uuid, delete, insert, select, text

from loadtests import bench_places
from protos import profiles_pb2
from services.chassis import audit, database
from services.chassis.mailbox import outbox
from services.kernel.caller import OPERATOR, Caller
from services.kernel.errors import Conflict, Invalid, NotFound
from services.kernel.geography import Codes, Geography, Place, load, save
from services.kernel.ids import uuid7
from services.kernel.region import Level, level
from services.profiles import jobs, servicer
from services.profiles.commands import cutover
from services.profiles.commands import places as commands
from services.profiles.rules import geography
from services.profiles.tables import cutovers, institutions, members, submissions

SERVICE = "profiles"
ROOT = Path(__file__).parents[2]
DAY, NEXT_DAY, LATER = date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)
PAST = {"valid_to": DAY}

FILES = {
    "1-state.csv": "S.No.,State Code,State Version,State Name,State Name\n1,9,1,UTTAR PRADESH,उत्तर प्रदेश\n2,10,1,BIHAR,BIHAR\n",
    "2-district.csv": '\ufeff"State Code","State Name","District Code","District Name"\n'
    '9,"UTTAR PRADESH",178,"SANT KABEER NAGAR"\n10,BIHAR,212,PATNA\n',
    "3-subdistrict.csv": "S.No.,State Code,State Name,District Code,District Name,Sub-district Code,Sub-district Version,Sub-district Name\n"
    "1,9,UP,178,S,942,2,K\n",
    "blocks.csv": "S.No.,State Code,State Name,District Code,District Name,Block Code,Block Version,Block Name ,Block Name\n"
    "1,9,UP,178,S,1504,1,KHALILABAD,\n2,9,UP,999,S,1505,1,LOST,\n3,10,BIHAR,212,PATNA,1956,1,FATUHA,\n",
    "villages.csv": "A title of LGD\nS.No.,Village Code,Village Version,Village Name (In English),Village Name (In Local),"
    "State Code,District Code,Sub-District Code,Census 2001 Code,Census 2011 Code\n"
    "1,111,3,Chandanpatti,चन्दनपट्टी,9,178,942,,0200111\n2,112,1,Belwa,,9,178,942,,000000\n3,,1,Nameless,,9,178,942,,\n"
    "4,113,1,,,9,178,942,,\n5,114,1,Alone,,9,178,942,,\n",
    "gps.csv": "S.No.;State Code;Local Body Code;Local Body Name (In Englsih);Local Body Name (In Local)\n1;9;11;Chandanpatti;चन्दनपट्टी\n",
    "mapping.csv": "State Code,Village Code,Block Code,Local Body Code\n9,111,1504,11\n9,112,1504,\n9,115,1504,11\n9,111,1504,\n",
}


def read(old=(), **changes):
    """The places of the files, some of them changed (`gps="..."` is gps.csv), and the rows that are refused."""
    files = FILES | {f"{name.replace('_', '-')}.csv": text for name, text in changes.items()}
    directory = geography.read({name: io.StringIO(text, newline="") for name, text in files.items()}, 9)
    return directory, *geography.places(directory, old)


def refused(bad, file):
    return [(one.row, one.reason) for one in bad if one.file == file]


def test_lgds_files_make_the_places_of_one_state():
    _, places, bad = read()
    assert [(place.path, place.name, place.name_local, place.lgd_version, place.census_code) for place in places] == [
        ("9", "UTTAR PRADESH", "उत्तर प्रदेश", "1", ""),
        ("9.178", "SANT KABEER NAGAR", "", "", ""),
        ("9.178.1504", "KHALILABAD", "", "1", ""),
        ("9.178.1504.0", "No Gram Panchayat", "", "", ""),
        ("9.178.1504.0.112", "Belwa", "", "1", ""),
        ("9.178.1504.11", "Chandanpatti", "चन्दनपट्टी", "", ""),
        ("9.178.1504.11.111", "Chandanpatti", "चन्दनपट्टी", "3", "0200111"),
    ]
    assert [(one.file, one.row, one.reason) for one in bad] == [
        ("blocks.csv", 3, "the district 999 of the block 1505 is not known"),
        ("mapping.csv", 4, "the village 115 has no name in any file"),
        ("villages.csv", 5, "the code of the village is missing; no village ends until this row is corrected or taken out"),
        ("villages.csv", 6, "the name of the village 113 is missing"),
        ("villages.csv", 7, "the block (none) of the village 114 is not known"),
    ]


@pytest.mark.parametrize(
    ("villages", "mapping"),
    [
        ("village_code,village_version,village_name_english,village_name_local,state_code,census_2011_code", "State Code,village,block,local_body"),
        ("Village Code,Version,Name,Local Name,State Code,Census 2011 Code", "Village Code,Development Block Code,Gram Panchayat Code"),
        ("VillageCode,Village Version,Village Name(In English),Village Name(In Local),StateCode,Census 2011 code", "Village,Block,GP"),
    ],
)
def test_lgds_ways_to_write_a_column_are_one(villages, mapping):
    rows = "111,3,Chandanpatti,चन्दनपट्टी,9,0200111\n"
    ways = f"{mapping}\n" + ("9," if mapping.startswith("State") else "") + "111,1504,11\n"
    _, places, _ = read(villages=f"{villages}\n{rows}", mapping=ways)
    assert places[-1] == Place("9.178.1504.11.111", "Chandanpatti", "चन्दनपट्टी", geography.BEGINNING, None, "3", "0200111")


def test_a_bare_mapping_of_the_whole_nation_is_no_thousand_faults():
    _, _, bad = read(mapping="Village,Block,Local Body\n111,1504,11\n777,4242,4343\n")
    assert refused(bad, "mapping.csv") == []


def test_a_block_that_two_districts_claim_lies_in_the_first_and_the_other_row_is_told():
    twice = FILES["blocks.csv"] + "4,9,UP,179,BASTI,1504,1,KHALILABAD,\n"
    _, places, bad = read(blocks=twice, **{"2_district": FILES["2-district.csv"] + "9,UP,179,BASTI\n"})
    assert [place.path for place in places if place.code == "1504"] == ["9.178.1504"]
    assert refused(bad, "blocks.csv")[-1] == (5, "the block 1504 lies in the district 178 by a row before; it stays there")


def test_a_village_in_two_gram_panchayats_has_two_paths():
    _, places, _ = read(mapping=FILES["mapping.csv"] + "9,111,1504,12\n", gps=FILES["gps.csv"] + "2;9;12;Rampatti;\n")
    assert [place.path for place in places if place.path.endswith(".111")] == ["9.178.1504.11.111", "9.178.1504.12.111"]


@pytest.mark.parametrize(
    ("broken", "row", "words"),
    [
        ('6,116,1,"' + "x" * 200_000, 8, "cannot be read to its end"),
        ('6,116,1,"Nand', 8, "cannot be read to its end"),
        ('6,116,1,"Nand\n7,117,1,"Purwa",,9,178,942,,\n', 9, "cannot be read to its end"),
        ("6,116,1,Nand", 8, "it breaks off in its last row"),
    ],
)
def test_a_file_that_breaks_off_is_refused(broken, row, words):
    directory, *_ = read(villages=FILES["villages.csv"] + broken)
    [one] = directory.unreadable
    assert (one.file, one.row) == ("villages.csv", row)
    assert words in one.reason


def test_a_last_line_without_an_end_is_whole():
    directory, places, _ = read(mapping=FILES["mapping.csv"].rstrip("\n"), villages=FILES["villages.csv"].rstrip("\n"))
    assert directory.unreadable == []
    assert places == read()[1]


@pytest.mark.parametrize(
    ("file", "header", "needed"),
    [
        ("x", "a,b", "State Code, State Name; or"),
        ("x", "", "found: 1, 2, 3"),
        (
            "blocks",
            "S.No.,State Code,District Code,Block Code,Title",
            "needs District Code, Block Code, Block Name; found: S.No., State Code, District",
        ),
        (
            "villages",
            "Village Code,Habitation",
            "needs Village Code and Village Name, Block Code or Local Body Code; found: Village Code, Habitation",
        ),
        ("villages", "Village No,State Code,District Code,District Name,Sub-District Code", "needs Village Code and Village Name, Block Code or"),
        (
            "gps",
            "A title\nPanchayat No,Local Body Title,Block Code",
            "a file of this kind (gp) needs Local Body Code, Local Body Name; found: Panchayat No",
        ),
        ("2-district", "State Code,District No,District Name", "needs State Code, District Code, District Name; found: State Code, District No"),
        (
            "mapping",
            "Village Code,Village Name,Development Block Number",
            "no file says in which block the villages lie; needed are Village Code, Block",
        ),
        (
            "mapping",
            "Village Code,Block Code,Panchayat Number",
            "no file says in which Gram Panchayat the villages lie; needed are Village Code, Local Body",
        ),
    ],
)
def test_a_header_that_is_not_known_is_refused_with_what_is_needed_and_what_was_found(file, header, needed):
    directory, *_ = read(**{file.replace("-", "_"): f"{header}\n1,2,3,4,5\n"})
    assert needed in " ".join(one.reason for one in directory.unreadable)


def test_letters_that_cannot_be_read_are_refused_by_their_row():
    _, _, bad = read(blocks=FILES["blocks.csv"].replace("KHALILABAD", "KH\ufffd"))
    assert (2, "the name of the block 1504 is not written in UTF-8") in refused(bad, "blocks.csv")


def test_files_without_the_state_make_no_places_rather_than_end_all():
    assert geography.places(geography.read({"x.csv": ["State Code,State Name\n", "10,BIHAR\n"]}, 9))[0] == []


# --- What is refused stays as it stood.


def held_of(**changes):
    """What stands after an import of the good files with these changes, as an import before brought it."""
    return revise([], read(**GOOD | changes)[1], DAY).places


GOOD = {
    "villages": FILES["villages.csv"].split("3,,1,Nameless")[0],
    "blocks": FILES["blocks.csv"] + "4,9,UP,178,S,1506,1,MEHDAWAL,\n",
    "gps": FILES["gps.csv"] + "2;9;12;Rampatti;\n",
    "mapping": "State Code,Village Code,Block Code,Local Body Code\n9,111,1504,11\n9,112,1504,12\n",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"villages": GOOD["villages"].replace("Belwa", "")},
        {"villages": GOOD["villages"].replace("2,112,1,Belwa", "2,112,1,Be\ufffd")},
        {"villages": GOOD["villages"].replace("112,1,Belwa", "11x,1,Belwa")},
        {"villages": GOOD["villages"].replace("112,1,Belwa,,9,178,942,,000000", "112,1,Belwa")},
        {"mapping": GOOD["mapping"].replace("9,112,1504,12", "9,112,1504,1x")},
        {"mapping": GOOD["mapping"].replace("9,112,1504,12", "9,112,,12")},
        {"mapping": GOOD["mapping"].replace("9,112,1504,12", "9,112,1504,99")},
        {"mapping": GOOD["mapping"].replace("9,112,1504,12", "9,112,1504")},
        {"mapping": GOOD["mapping"].replace("9,112,1504,12\n", "")},
        {"gps": GOOD["gps"].replace("Rampatti", "")},
        {"blocks": GOOD["blocks"].replace("1506", "1506x")},
        {"blocks": GOOD["blocks"].replace("KHALILABAD", "")},
        {"2_district": FILES["2-district.csv"].replace('"SANT KABEER NAGAR"', '""')},
    ],
)
def test_a_row_that_is_refused_ends_nothing(changes):
    held = held_of()
    directory, places, bad = read(held, **GOOD | changes)
    assert bad, "the row is told"
    assert directory.unreadable == []
    after = geography.revise(held, places, directory, NEXT_DAY)
    assert (after.places, after.ended) == (held, 0)


def test_what_is_not_refused_ends_all_the_same():
    held = held_of()
    directory, places, _ = read(
        held,
        **GOOD
        | {
            "villages": GOOD["villages"].replace("2,112,1,Belwa,,9,178,942,,000000\n", "").replace("Chandanpatti", ""),
            "mapping": GOOD["mapping"].replace("9,112,1504,12\n", ""),
        },
    )
    after = geography.revise(held, places, directory, NEXT_DAY)
    assert [one.path for one in after.places if one.valid_to] == ["9.178.1504.12", "9.178.1504.12.112"]


def test_what_is_refused_goes_with_what_it_lies_in():
    held = held_of()
    directory, places, _ = read(
        held,
        **GOOD
        | {
            "2_district": FILES["2-district.csv"] + "9,UP,179,BASTI\n",
            "blocks": GOOD["blocks"].replace("178,S,1504", "179,S,1504"),
            "villages": GOOD["villages"].replace("Belwa", ""),
        },
    )
    after = Geography(geography.revise(held, places, directory, NEXT_DAY).places)
    assert after.now("9.178.1504.12.112", NEXT_DAY) == ["9.179.1504.12.112"]
    assert [path for path in after.within("9.178") if after.place(path, NEXT_DAY)] == ["9.178.1506"]


def test_an_import_that_would_end_many_places_is_told_by_level():
    old = [place("9"), *(place(f"9.{code}") for code in range(1, 101)), *(place(f"9.1.{code}", **PAST) for code in range(50))]
    assert geography.ending(old, old, 0) == {}
    assert geography.ending(old, old[:95], 1) == {"district": (6, 100)}
    assert geography.ending(old, old[:95], 6) == {}
    assert geography.ending(old, old[:96], 0) == {}, "so few may end by any import"


def test_old_codes_stand_beside_and_none_is_two_places():
    old = "Level,LGD Code,Legacy Code\nGP,11,1208005032\nVillage,111,1208005032001\nvillage,111,1208005032002\nvillage,112,1208005032001\n"
    _, places, bad = read(legacy=old + "hamlet,111,5\nvillage,,6\nvillage,112,\nvillage,999,7\nvillage,x,8\n")
    assert {place.path: place.legacy_codes for place in places if place.legacy_codes} == {
        "9.178.1504.11": ("1208005032",),
        "9.178.1504.11.111": ("1208005032001", "1208005032002"),
    }
    assert refused(bad, "legacy.csv") == [
        (5, "the legacy code 1208005032001 is that of the village 111 already"),
        (6, "'hamlet' is no level; these are: state, district, block, gp, village"),
        (7, "the LGD code is missing"),
        (8, "the legacy code is missing"),
        (9, "the village 999 of the legacy code 7 is not known"),
        (10, "'x' is no LGD code of a village"),
    ]
    land = Geography(places)
    assert land.find(Level.VILLAGE, "1208005032002", DAY, codes=Codes.LEGACY) == "9.178.1504.11.111"
    with pytest.raises(Invalid):
        land.find(Level.GP, "1208005032002", DAY, codes=Codes.LEGACY)


# --- From one import to the next.


def place(path, name="N", valid_from=geography.BEGINNING, valid_to=None, **more):
    return Place(path, name, "", valid_from, valid_to, **more)


def revise(old, new, on, successors="", legacy=""):
    files = {"s.csv": "Level,Code,Successor Codes,On\n" + successors, "l.csv": "Level,LGD Code,Legacy Code\n" + legacy}
    return geography.revise(old, new, geography.read({name: io.StringIO(text) for name, text in files.items()}, 9), on)


def test_what_changes_ends_on_the_day_and_what_stays_is_left_alone():
    first = revise([], [place("9"), place("9.1"), place("9.2")], DAY).places
    assert first == [place("9"), place("9.1"), place("9.2")]
    changed = revise(first, [place("9"), place("9.1", "M"), place("9.3")], DAY)
    assert changed.places == [
        place("9"),
        place("9.1", valid_to=DAY),
        place("9.1", "M", DAY),
        place("9.2", valid_to=DAY),
        place("9.3", valid_from=DAY),
    ]
    assert (changed.new_lines, changed.ended, [one.path for one in changed.alone]) == (4, 2, ["9.2"])
    again = revise(changed.places, [place("9"), place("9.1", "M"), place("9.3")], NEXT_DAY)
    assert (again.places, again.new_lines, again.alone) == (changed.places, 0, [])
    assert revise(changed.places, [place("9"), place("9.1", "L")], DAY).places[1:4] == [
        place("9.1", valid_to=DAY),
        place("9.1", "L", DAY),
        place("9.2", valid_to=DAY),
    ]


def test_a_place_that_ends_names_its_successors_or_is_told():
    old = [place("9"), place("9.1"), place("9.2"), place("9.4")]
    new = [place("9"), place("9.2"), place("9.3")]
    told = revise(old, new, NEXT_DAY)
    assert [one.path for one in told.alone] == ["9.1", "9.4"]
    named = "district,1,2 3,2026-04-01\nDistrict,4,2,\n"
    at_once = revise(old, new, NEXT_DAY, named)
    assert at_once.places == [
        place("9"),
        place("9.1", valid_to=DAY, successors=("2", "3")),
        place("9.2"),
        place("9.3", valid_from=DAY),
        place("9.4", valid_to=NEXT_DAY, successors=("2",)),
    ]
    assert at_once.alone == []
    # Named only afterwards, it is the same but for the day on which the new one began.
    after = revise(told.places, new, LATER, named)
    assert [one for one in after.places if one.path != "9.3"] == [one for one in at_once.places if one.path != "9.3"]
    for revised in (at_once, after):
        assert revise(revised.places, new, LATER, named).places == revised.places
        assert revise(revised.places, new, LATER).places == revised.places


def test_a_successor_that_does_not_fit_is_refused():
    old, new = [place("9"), place("9.1"), place("9.2")], [place("9"), place("9.2")]
    rows = "district,2,1,\ndistrict,7,2,\ndistrict,1,8,\ndistrict,1,2,\ndistrict,,2,\ndistrict,5,,\nblock,1,2,soon\n"
    files = {"s.csv": ["Level,Code,Successor Codes,On\n", *rows.splitlines(keepends=True)]}
    directory = geography.read(files, 9)
    assert refused(directory.bad, "s.csv") == [
        (5, "the district 1 stands here already; name all its successors in one row"),
        (6, "the code is missing"),
        (7, "the code of the successors is missing"),
        (8, "soon is no date; write it as 2026-01-31."),
    ]
    assert refused(geography.revise(old, new, directory, DAY).bad, "s.csv") == [
        (2, "the district 2 stands in LGD's files still"),
        (3, "the district 7 is not known"),
        (4, "the successor 8 of the district 1 is not known"),
    ]


def test_what_moves_takes_its_old_codes_along_and_is_not_told_as_ended():
    old = [place("9"), place("9.1"), place("9.1.5", legacy_codes=("77",)), place("9.2")]
    moved = revise(old, [place("9"), place("9.1"), place("9.2"), place("9.2.5", census_code="12")], DAY)
    assert moved.places[2] == place("9.1.5", valid_to=DAY, legacy_codes=("77",))
    assert moved.places[-1] == place("9.2.5", valid_from=DAY, census_code="12", legacy_codes=("77",))
    assert moved.alone == []
    assert Geography(moved.places).now("9.1.5", DAY) == ["9.2.5"]


@given(st.lists(st.dictionaries(st.sampled_from(["9.1", "9.1.5", "9.2", "9.2.5", "9.2.6"]), st.sampled_from("AB")), min_size=1, max_size=6))
def test_whatever_the_files_bring_a_place_stands_once_and_as_they_say(snapshots):
    held = []
    for days, snapshot in enumerate(snapshots):
        on = DAY + timedelta(days=days // 2)  # Two imports on a day: the later one corrects.
        new = [place("9"), *(place(path, name) for path, name in sorted(snapshot.items()))]
        held = revise(held, new, on).places
        assert revise(held, new, on + timedelta(days=9)).places == held
        assert {one.path: one.name for one in held if one.stands(on)} == {one.path: one.name for one in new}
        for before, after in pairwise(held):
            assert before.path < after.path or (before.path == after.path and before.valid_to <= after.valid_from)


@pytest.mark.parametrize("state", ["9", "10", "31", "37"])
def test_the_real_directory_goes_in_whole(state):
    folder = Path(os.environ.get("LOKOS_LGD_DIR") or ROOT.parent / "shared/data/lgd")
    if not folder.is_dir():
        pytest.skip(f"LGD's own files are not in {folder}; LOKOS_LGD_DIR names another folder")
    texts = {file.name: file.read_text(encoding="utf-8-sig") for file in folder.glob("*.csv")}
    directory = geography.read({name: text.splitlines(keepends=True) for name, text in texts.items()}, int(state))
    found, bad = geography.places(directory)
    assert (bad, directory.unreadable) == ([], [])
    assert geography.revise(first := geography.revise([], found, directory, DAY).places, found, directory, NEXT_DAY).places == first
    for file, depth, column in (("2-district.csv", Level.DISTRICT, "District Code"), ("blocks.csv", Level.BLOCK, "Block Code")):
        rows = csv.DictReader(texts[file].splitlines())
        assert {one.code for one in found if level(one.path) == depth} == {row[column] for row in rows if row["State Code"] == state}


# --- Records follow.


BLOCK, OTHER = "9.178.1504", "9.178.9988001"
GP = f"{BLOCK}.9988011"
LAND = [
    place("9"),
    place("9.178"),
    place(BLOCK),
    place(OTHER),
    place(f"{BLOCK}.0", "No Gram Panchayat"),
    place(GP, **PAST),
    place(f"{OTHER}.9988011", "Sonpatti", DAY),
    # One moved with its GP, one went into the other, one was split.
    *(place(f"{GP}.{code}", **PAST) for code in ("9988111", "9988112", "9988113", "9988114")),
    place(f"{OTHER}.9988011.9988111", "Chandan Patti", DAY),
    place(f"{OTHER}.9988011.9988115", "Purab", DAY),
    place(f"{OTHER}.9988011.9988116", "Pachhim", DAY),
    # Of four blocks one got another code, one went into a block that stood already, one moved to another district, one was split.
    place("9.179", valid_from=DAY),
    *(place(f"9.178.{code}", **PAST) for code in ("9988002", "9988004", "9988005", "9988006")),
    *(place(path, valid_from=DAY) for path in ("9.178.9988003", "9.179.9988005", "9.178.9988007", "9.178.9988008")),
]
AFTER = {
    "9988112": ("9988111",),
    "9988113": ("9988115", "9988116"),
    "9988002": ("9988003",),
    "9988004": ("9988001",),
    "9988006": ("9988007", "9988008"),
}
LAND = [
    Place(**{name: getattr(one, name) for name in ("path", "name", "name_local", "valid_from", "valid_to")}, successors=AFTER.get(one.code, ()))
    for one in LAND
]


@pytest.fixture
def land(up, tmp_path, monkeypatch):
    path = tmp_path / "geography.csv"
    save(path, LAND)
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))
    return path


def row(table, **values):
    """A row of a table, whatever columns it has by now: those that must be filled are, by their type."""
    content = {"name": "Ujala", "formed_on": "2023-04-14", "gender": "FEMALE", "region": values.get("region", "")}
    plain = {"kind": "SHG", "status": "ACTIVE", "name": "Ujala", "name_key": "ujala", "content": content, "version": 3}
    made = {column.name: plain.get(column.name) for column in table.c}
    for column in table.c:
        if made[column.name] is None and not column.nullable and column.server_default is None:
            made[column.name] = _any(column)
    return {name: value for name, value in (made | values).items() if value is not None}


def _any(column):
    if isinstance(column.type, Date):
        return date(2023, 4, 14)
    if isinstance(column.type, Uuid):
        return uuid7()
    return {int: 0, str: "", bytes: b"", bool: False, dict: {}, list: [], datetime: datetime(2026, 4, 1, tzinfo=UTC)}[column.type.python_type]


@pytest.fixture
def settled(land):
    """SHGs with a member each, committed and taken away again, by a word for where they lie."""
    at = {"moved": "9988111", "merged": "9988112", "split": "9988113", "gone": "9988114"}
    shgs = {word: row(institutions, id=uuid7(), region=f"{GP}.{code}", name_key=word) for word, code in at.items()}
    # Two of one name, of which one lies where the other one's place has gone.
    shgs["twin"] = row(institutions, id=uuid7(), region=f"{GP}.9988112", name_key="twin")
    shgs["first"] = row(institutions, id=uuid7(), region=f"{OTHER}.9988011.9988111", name_key="twin")
    ids = [one["id"] for one in shgs.values()]
    of = [row(members, id=uuid7(), institution_id=one["id"], region=one["region"]) for one in shgs.values()]
    with database.transaction(SERVICE) as connection:
        connection.execute(insert(institutions), list(shgs.values()))
        connection.execute(insert(members), of)
    yield {word: one["id"] for word, one in shgs.items()}
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(outbox).where(outbox.c.subject.in_([str(one) for one in (*ids, *(member["id"] for member in of))])))
        connection.execute(delete(members).where(members.c.institution_id.in_(ids)))
        connection.execute(delete(institutions).where(institutions.c.id.in_(ids)))


def where(ids):
    """Region and version of each institution and of its member."""
    with database.reading(SERVICE) as connection:
        found = {}
        for word, one in ids.items():
            held = connection.execute(select(institutions.c.region, institutions.c.version).where(institutions.c.id == one)).one()
            of = connection.execute(select(members.c.region, members.c.version).where(members.c.institution_id == one)).one()
            assert tuple(held) == tuple(of)
            found[word] = (held.region.removeprefix("9.178."), held.version)
        return found


def told(ids):
    with database.reading(SERVICE) as connection:
        rows = connection.execute(
            select(outbox.c.event, outbox.c.body, outbox.c.version).where(outbox.c.subject.in_([str(one) for one in ids]))
        ).all()
    return [(profiles_pb2.InstitutionChanged.FromString(one.body).region, one.version) for one in rows if one.event == "InstitutionChanged"]


def test_records_follow_their_places_and_what_must_be_decided_is_told(settled, caplog):
    done = jobs.follow(SERVICE)
    assert where(settled) == {
        "moved": ("9988001.9988011.9988111", 4),
        "merged": ("9988001.9988011.9988111", 4),
        "split": ("1504.9988011.9988113", 3),
        "gone": ("1504.9988011.9988114", 3),
        "twin": ("1504.9988011.9988112", 3),
        "first": ("9988001.9988011.9988111", 3),
    }
    assert (done.institutions, done.members) == (2, 2)
    assert done.undecided[f"{GP}.9988113"] == ([f"{OTHER}.9988011.9988115", f"{OTHER}.9988011.9988116"], [settled["split"]])
    assert done.undecided[f"{GP}.9988114"] == ([], [settled["gone"]])
    assert done.hindered == {settled["twin"]: f"{OTHER}.9988011.9988111"}
    assert told([settled["moved"]]) == [(f"{OTHER}.9988011.9988111", 4)]
    with database.reading(SERVICE) as connection:
        facts = connection.execute(
            select(audit.audit).where(audit.audit.c.action == "institution.place").order_by(audit.audit.c.id.desc()).limit(2)
        ).all()
    assert {str(settled["moved"]), str(settled["merged"])} == {subject for one in facts for subject in one.subjects}
    assert {one.user_id for one in facts} == {"operator"}
    # Run again, as the timer does, it has nothing left to do but to tell.
    jobs.follow_places.function(SERVICE, {})
    assert "institutions lie in places that stand no more" in caplog.text
    again = jobs.follow(SERVICE)
    assert (again.institutions, again.members, again.undecided, again.hindered) == (0, 0, done.undecided, done.hindered)


@pytest.fixture
def serving(land):
    """Two VOs, committed and taken away again: one serves places that are no more, the other will if its edit is let in."""
    stands, gone_from = f"{OTHER}.9988011", [f"{GP}.{code}" for code in ("9988111", "9988112", "9988113", "9988114")]
    plain = {"kind": "VO", "region": stands, "name": "Pragati", "formed_on": "2023-04-14"}
    live = row(institutions, id=uuid7(), kind="VO", region=stands, name_key="live", content=plain | {"area": [stands, *gone_from]})
    other = row(institutions, id=uuid7(), kind="VO", region=stands, name_key="other", content=plain)
    waiting = row(submissions, record_id=other["id"], kind="VO", act="PROFILE", status="SUBMITTED", institution_id=other["id"], region=stands)
    waiting |= {"block": OTHER, "gp": stands, "content": plain | {"area": gone_from[:1]}, "previous": plain | {"area": gone_from[1:2]}}
    ids = [live["id"], other["id"]]
    with database.transaction(SERVICE) as connection:
        connection.execute(insert(institutions), [live, other])
        connection.execute(insert(submissions).values(waiting))
    yield ids
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(outbox).where(outbox.c.subject.in_(map(str, ids))))
        connection.execute(delete(submissions).where(submissions.c.record_id.in_(ids)))
        connection.execute(delete(institutions).where(institutions.c.id.in_(ids)))


def test_a_federation_serves_what_its_places_have_become(serving):
    live, other = serving
    done = jobs.follow(SERVICE, caller=Caller("operator IUP_X"))
    assert done.areas == 2
    assert done.unserved == {f"{GP}.9988114": [live]}
    at = f"{OTHER}.9988011"
    with database.reading(SERVICE) as connection:
        held = {one.id: one for one in connection.execute(select(institutions).where(institutions.c.id.in_(serving)))}
        waiting = connection.execute(select(submissions).where(submissions.c.record_id == other)).one()
        noted = connection.execute(select(audit.audit).where(audit.audit.c.action == "institution.area").order_by(audit.audit.c.id.desc())).first()
    assert held[live].content["area"] == sorted([at, f"{GP}.9988114", f"{at}.9988111", f"{at}.9988115", f"{at}.9988116"])
    assert "area" not in held[other].content
    assert (waiting.content["area"], waiting.previous["area"]) == ([f"{at}.9988111"], [f"{at}.9988111"])
    assert [one.version for one in held.values()] == [4, 4]
    assert told(serving) == [(at, 4), (at, 4)]
    assert (noted.user_id, set(noted.subjects)) == ("operator IUP_X", set(map(str, serving)))
    again = jobs.follow(SERVICE)
    assert (again.areas, again.unserved) == (0, done.unserved)


@pytest.fixture
def cut_over(land):
    """Blocks with a cut-over day, committed and taken away again."""
    days = {f"9.178.{code}": DAY + timedelta(days=number) for number, code in enumerate(("9988002", "9988004", "9988005", "9988006", "9988007"))}
    with database.transaction(SERVICE) as connection:
        connection.execute(insert(cutovers), [{"block": block, "on": on} for block, on in days.items()])
    yield days
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(cutovers).where(cutovers.c.block.contains("99880")))


def test_a_blocks_cut_over_day_goes_where_the_block_goes(up, cut_over, land):
    done = jobs.follow(SERVICE)
    renamed, merged, moved, split, first = cut_over.values()
    with database.reading(SERVICE) as connection:
        days = {block: on for block, on in cutover.days(connection).items() if "99880" in block}
    assert days == {
        "9.178.9988003": renamed,
        "9.178.9988004": merged,  # What it went into never had another system: a person must say.
        "9.178.9988007": first,  # Its own day holds.
        "9.178.9988008": split,
        "9.179.9988005": moved,
    }
    assert (done.blocks, done.days) == (3, {"9.178.9988004": merged})
    again = jobs.follow(SERVICE)
    assert (again.blocks, again.days) == (0, done.days)
    command = [sys.executable, "-m", "services.profiles", "cutover", "9.178.9988004", "--forget"]
    settings = {**up.instances["UP"].env, "LOKOS_GEOGRAPHY_FILE": str(land)}
    forgotten = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert forgotten.returncode == 0, forgotten.stderr
    assert jobs.follow(SERVICE).days == {}


def test_the_operator_chooses_where_nobody_else_can(up, settled, land):
    first, second = (f"{OTHER}.9988011.{code}" for code in ("9988115", "9988116"))

    def placed(to, *words):
        command = [sys.executable, "-m", "services.profiles", "place", "--to", to, "--by", "IUP_X", *(str(settled[word]) for word in words)]
        settings = {**up.instances["UP"].env, "LOKOS_GEOGRAPHY_FILE": str(land)}
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert placed(first, "split", "gone") == (0, "UP: 2 institutions and 2 members are now in 9.178.9988001.9988011.9988115.\n")
    with database.reading(SERVICE) as connection:
        noted = connection.execute(select(audit.audit).where(audit.audit.c.action == "institution.place").order_by(audit.audit.c.id.desc())).first()
    assert (noted.user_id, set(noted.subjects)) == ("operator IUP_X", {str(settled["split"]), str(settled["gone"])})
    assert placed(first, "split", "gone")[1].startswith("UP: 0 institutions")
    code, printed = placed(second, "split")
    assert code == 1
    assert "which stands" in printed
    assert where(settled)["split"] == ("9988001.9988011.9988115", 4)


def test_a_place_that_is_chosen_must_stand_and_be_of_the_same_level(settled, connection):
    for code, kind, region, which in (
        ("REGION_UNKNOWN", Invalid, f"{GP}.9988113", "gone"),
        ("PLACE_LEVEL", Invalid, BLOCK, "gone"),
        ("PLACE_STANDS", Conflict, f"{OTHER}.9988011.9988115", "first"),
    ):
        with pytest.raises(kind) as no:
            commands.place(connection, OPERATOR, [settled[which]], region, LATER)
        assert no.value.code == code
    with pytest.raises(NotFound):
        commands.place(connection, OPERATOR, [uuid7()], f"{OTHER}.9988011.9988115", LATER)


def test_a_batch_goes_on_where_the_one_before_ended(land, connection, monkeypatch):
    for table in ("institutions", "members", "submissions", "outbox", "audit"):
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    monkeypatch.setattr(commands, "BATCH", 2)
    old, new = f"{GP}.9988111", f"{OTHER}.9988011.9988111"
    ids = sorted(uuid7() for _ in range(5))
    connection.execute(insert(institutions), [row(institutions, id=one, region=old, name_key=str(one)) for one in ids])
    after, batches = UUID(int=0), []
    while after:
        moved = commands.move_batch(connection, OPERATOR, old, new, after)
        batches.append(moved.institutions)
        after = moved.after
    assert batches == [2, 2, 1]
    assert connection.execute(select(institutions.c.region).distinct()).scalars().all() == [new]
    assert connection.execute(select(institutions.c.content["region"].astext).distinct()).scalars().all() == [new]


def test_without_a_geography_of_the_state_nothing_is_taken_to_have_moved(settled, tmp_path, monkeypatch):
    before = where(settled)
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(tmp_path / "none.csv"))
    assert jobs.follow(SERVICE) == jobs.Followed()
    assert where(settled) == before


# --- The calls, and the command line.


def test_places_are_found_and_shown_with_what_they_lie_in(land):
    asked = servicer.Servicer()
    found = asked.SearchPlaces(profiles_pb2.SearchPlacesRequest(text="chandanpati", level="VILLAGE"), None).places
    assert [(one.place.path, list(one.wider)) for one in found] == [(f"{OTHER}.9988011.9988111", ["N", "N", "Sonpatti"])]
    assert not asked.SearchPlaces(profiles_pb2.SearchPlacesRequest(text="chandanpati", level="GP"), None).places
    assert not asked.SearchPlaces(profiles_pb2.SearchPlacesRequest(text="chandanpati", within=BLOCK), None).places
    with pytest.raises(Invalid):
        asked.SearchPlaces(profiles_pb2.SearchPlacesRequest(text="x", within="9.4"), None)


def test_a_device_takes_its_places_page_by_page_and_only_when_they_changed(land):
    asked = servicer.Servicer()
    request = profiles_pb2.ListPlacesRequest(within=BLOCK)
    request.page.size = 2
    places = []
    while True:
        answer = asked.ListPlaces(request, None)
        places += answer.places
        request.page.after = answer.next
        if not answer.next:
            break
    assert [one.path for one in places] == [
        one.path for one in sorted(LAND, key=lambda one: one.path) if one.path in {"9", "9.178"} or BLOCK in one.path
    ]
    assert [tuple(one.successors) for one in places if one.valid_to][-2:] == [("9988115", "9988116"), ()]
    same = asked.ListPlaces(profiles_pb2.ListPlacesRequest(within=BLOCK, known_version=answer.version), None)
    assert (same.unchanged, len(same.places)) == (True, 0)
    save(land, [*LAND, place(f"{OTHER}.9988012")])
    assert asked.ListPlaces(profiles_pb2.ListPlacesRequest(within=BLOCK, known_version=answer.version), None).unchanged
    save(land, [*LAND, place(f"{BLOCK}.9988012")])
    assert not asked.ListPlaces(profiles_pb2.ListPlacesRequest(within=BLOCK, known_version=answer.version), None).unchanged


def test_a_state_that_would_lose_all_its_gram_panchayats_forgot_a_file():
    wider = [place("9"), place("9.178"), place(BLOCK)]
    stood = [*wider, place(f"{BLOCK}.77"), place(f"{BLOCK}.77.5")]
    without = [*wider, place(f"{BLOCK}.0"), place(f"{BLOCK}.0.5")]
    assert geography.missing(stood, without) == "gp"
    assert geography.missing(without, without) == "", "a state may have none"
    assert geography.missing(stood, stood) == ""


def test_the_import_says_what_it_did_and_the_same_again_is_the_same_file(up, tmp_path):
    path, folder = tmp_path / "made.csv", tmp_path / "lgd"
    folder.mkdir()
    for file in (ROOT / "samples/lgd").glob("*.csv"):
        (folder / file.name).write_bytes(file.read_bytes())

    def run(*further):
        command = [sys.executable, "-m", "services.profiles", "geography", str(folder), *further]
        settings = {**up.instances["UP"].env, "LOKOS_GEOGRAPHY_FILE": str(path)}
        return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    assert "refused: villages.csv, row 10:" in first.stdout
    assert "members followed their places.\n" in first.stdout
    assert first.stderr == ""  # The bar is for a terminal alone.
    content = path.read_bytes()
    assert "0 lines are new" in run("--on", "2030-01-01").stdout
    assert path.read_bytes() == content
    (folder / "legacy.csv").write_text("Level,LGD Code,Legacy Code\nVillage,999111,0900500100101\n")
    run()
    assert load(path).find(Level.VILLAGE, "0900500100101", DAY, codes=Codes.LEGACY) == "9.178.1504.999011.999111"
    mapping = folder / "villages_by_blocks.csv"
    mapping.write_text("".join(line for line in mapping.read_text().splitlines(keepends=True) if "999111" not in line))
    villages = folder / "villages.csv"
    villages.write_text("".join(line for line in villages.read_text().splitlines(keepends=True) if "999111" not in line))
    which = run("--on", "2030-01-01").stdout
    assert "no village ends until this row is corrected" in which
    assert "0 places end" in which
    villages.write_text(villages.read_text().replace("99912X", "999123"))
    assert "ended: 9.178.1504.999011.999111 (" in run("--on", "2030-01-01", "--by", "IUP_X").stdout
    with database.reading(SERVICE) as connection:
        noted = connection.execute(select(audit.audit).where(audit.audit.c.action == "geography.import").order_by(audit.audit.c.id.desc())).first()
    assert (noted.user_id, noted.subjects, noted.facts["on"]) == ("operator IUP_X", ["9"], "2030-01-01")
    assert noted.facts["file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    content = path.read_bytes()
    villages.unlink()
    mapping.unlink()
    forgotten = run()
    assert forgotten.returncode == 1
    assert "leave no village standing" in forgotten.stdout
    assert path.read_bytes() == content
    villages.write_text("Village,Title\n1,X\n")
    unknown = run()
    assert unknown.returncode == 1
    assert "refused: villages.csv, row 1: its columns are not all there" in unknown.stdout
    assert "nothing was changed" in unknown.stdout
    assert path.read_bytes() == content


def test_an_import_that_would_end_many_places_is_done_only_when_the_operator_says_so(up, tmp_path):
    path, folder = tmp_path / "made.csv", tmp_path / "lgd"
    folder.mkdir()
    bench_places.make(folder, 100)

    def run(*further):
        command = [sys.executable, "-m", "services.profiles", "geography", str(folder), *further]
        settings = {**up.instances["UP"].env, "LOKOS_GEOGRAPHY_FILE": str(path)}
        return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)

    assert run().returncode == 0
    content = path.read_bytes()
    for name in ("villages.csv", "villages_by_blocks.csv"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:-12]))
    for further in ((), ("--end-percent", "11.9")):
        many = run(*further)
        assert many.returncode == 1
        assert "These would end: 12 of 100 of level village. Where that is meant, say `--end-percent 12`; nothing was changed.\n" in many.stdout
        assert path.read_bytes() == content
    meant = run("--end-percent", "12")
    assert meant.returncode == 0, meant.stdout
    assert "12 places end" in meant.stdout
