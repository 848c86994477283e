"""Images: what is taken for one, whose they are, and that one goes only when no record names it."""

import struct
import threading
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from protos import profiles_pb2
from services.chassis import audit, database, interceptors, objects
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.kernel.ids import uuid7
from services.profiles import jobs, queries
from services.profiles.adapters import images as stored
from services.profiles.commands import image
from services.profiles.rules import image as rules
from services.profiles.servicer import Servicer
from services.profiles.tables import image_uses, images, institutions
from tests.profiles import rows

SERVICE = "profiles"
BLOCK = "9.178.1504"
VILLAGE = f"{BLOCK}.999011.999111"
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code, refused.value.field


# Files of the three kinds, as far as their frame tells


def jpeg(width=640, height=480, frame=0xC0, before=b"", after=b"scan"):
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    sof = bytes([0xFF, frame]) + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return start + before + sof + b"\xff\xda" + struct.pack(">H", 8) + b"\0" * 6 + after + b"\xff\xd9"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width=640, height=480):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def riff(kind, body):
    whole = b"WEBP" + kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def webp(width=640, height=480, kind="VP8 "):
    return {
        "VP8 ": lambda: riff(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0" * 4),
        "VP8L": lambda: riff(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0"),
        "VP8X": lambda: riff(b"VP8X", b"\0" * 4 + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")),
    }[kind]()


GOOD = [
    (jpeg(), "image/jpeg"),
    (jpeg(frame=0xC2), "image/jpeg"),
    (jpeg(before=b"\xff\xff\xff\xfe\x00\x04hi" + b"\xff\xe1" + struct.pack(">H", 6) + b"\xff\xc0zz"), "image/jpeg"),
    (jpeg() + b"\0\0", "image/jpeg"),
    (png(), "image/png"),
    *((webp(kind=kind), "image/webp") for kind in ("VP8 ", "VP8L", "VP8X")),
]


@pytest.mark.parametrize(("content", "media_type"), GOOD)
def test_an_image_is_known_by_its_first_bytes(content, media_type):
    found = rules.inspect(content)
    assert (found.media_type, found.size_bytes, len(found.sha256)) == (media_type, len(content), 32)


@pytest.mark.parametrize("make", [jpeg, png, webp])
@pytest.mark.parametrize(("sides", "good"), [((32, 32), True), ((8192, 32), True), ((31, 100), False), ((100, 8193), False), ((16383, 100), False)])
def test_its_sides_are_read_and_must_be_sane(make, sides, good):
    if good:
        assert rules.inspect(make(*sides))
    else:
        assert code_of(rules.inspect, make(*sides))[0] == "IMAGE_DIMENSIONS"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "IMAGE_TYPE"),
        (b"GIF89a" + b"\0" * 100, "IMAGE_TYPE"),
        (b"%PDF-1.7", "IMAGE_TYPE"),
        (b"<svg onload=x>", "IMAGE_TYPE"),
        (b"\xff\xd8\xff", "IMAGE_BROKEN"),
        (jpeg()[:-2], "IMAGE_BROKEN"),
        (jpeg()[:20] + b"\xff\xd9", "IMAGE_BROKEN"),
        (b"\xff\xd8\xff\xe0\0\0\xff\xd9", "IMAGE_BROKEN"),
        (png()[:-8], "IMAGE_BROKEN"),
        (png().replace(b"IHDR", b"IHDX"), "IMAGE_BROKEN"),
        (png()[:16] + b"\0\0\1\0" + png()[20:], "IMAGE_BROKEN"),
        (webp()[:-1], "IMAGE_BROKEN"),
        (b"RIFF\4\0\0\0WAVE", "IMAGE_BROKEN"),
        (riff(b"VP9 ", b"\0" * 40), "IMAGE_BROKEN"),
        (jpeg()[:-2] + b"\xff\x00\xff\xd0", "IMAGE_BROKEN"),
        (png()[:-12], "IMAGE_BROKEN"),
        (png()[:33] + struct.pack(">I", 1 << 31) + png()[37:], "IMAGE_BROKEN"),
        (jpeg(after=b"\0" * rules.BYTES_MAX), "IMAGE_TOO_LARGE"),
    ],
)
def test_what_is_no_image_is_refused(content, code):
    assert code_of(rules.inspect, content) == (code, "content")


@pytest.mark.parametrize("make", [jpeg, png, webp, lambda: webp(kind="VP8L"), lambda: webp(kind="VP8X")])
@pytest.mark.parametrize("trailer", [b"PK\3\4 a zip", b"<script>", b"\0\0x", jpeg(), png(), webp()])
def test_nothing_may_follow_an_image_in_its_file(make, trailer):
    assert code_of(rules.inspect, make() + trailer) == ("IMAGE_TRAILED", "content")


def test_nor_within_a_webp_file_after_its_one_chunk():
    picture = webp()[12:]
    hidden = riff(b"", b"")[:8] + b"WEBP" + picture + b"PK  \4\0\0\0zip!"
    whole = hidden[:4] + struct.pack("<I", len(hidden) - 8) + hidden[8:]
    assert code_of(rules.inspect, whole) == ("IMAGE_TRAILED", "content")


def test_an_image_within_an_image_does_not_end_it():
    assert rules.inspect(jpeg(before=b"\xff\xe1" + struct.pack(">H", len(jpeg()) + 2) + jpeg()))
    assert rules.inspect(jpeg(after=b"scan\xff\x00\xff\xd0more\xff\xc4" + struct.pack(">H", 4) + b"hh\xff\xda" + struct.pack(">H", 4) + b"hhscan"))


def test_a_whole_mebibyte_is_taken():
    assert rules.inspect(jpeg(after=b"\0" * (rules.BYTES_MAX - len(jpeg(after=b""))))).size_bytes == rules.BYTES_MAX


@given(st.sampled_from([content for content, _ in GOOD]), st.data())
def test_a_damaged_image_is_taken_or_refused_and_nothing_else(content, data):
    start = data.draw(st.integers(0, len(content)))
    damaged = content[:start] + data.draw(st.binary(max_size=20)) + content[start + data.draw(st.integers(0, 20)) :]
    with suppress(Refused):  # Anything else that is raised would be our bug.
        assert rules.inspect(damaged).size_bytes == len(damaged)


def named(image_id, **more):
    return {"image_id": str(image_id)} | more


def test_a_profile_names_its_images_wherever_they_stand():
    photo, front, rear, passbook = (uuid7() for _ in range(4))
    content = {
        "name": "Sunita",
        "photo": named(photo),
        "accounts": [{"row_id": "1"}, {"row_id": "2", "passbook": named(passbook)}],
        "documents": [{"front": named(front), "rear": named(rear)}],
        "consent_form": named(photo),
        "livelihoods": ["FISHERY"],
    }
    found = {image_id: one.field for image_id, one in rules.names_of_images(content).items()}
    assert found == {photo: "photo", front: "documents[0].front", rear: "documents[0].rear", passbook: "accounts[1].passbook"}
    assert rules.names_of_images({"name": "Sunita", "photo": {}}) == {}
    assert code_of(rules.names_of_images, {"photo": named("7")}) == ("ID_INVALID", "photo.image_id")


# Whose they are


@pytest.fixture
def connection(connection):
    for table in ("institutions", "members", "images", "audit"):
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    connection.execute(text("create temporary table image_uses (like image_uses including all) on commit drop"))
    return connection


def bookkeeper(*institution_ids, user="IUP_BK"):
    return Caller(user, Role.SHG_BOOKKEEPER, VILLAGE, frozenset(institution_ids), user)


def manager(region=BLOCK):
    return Caller("IUP_BPM", Role.BLOCK_PROGRAM_MANAGER, region)


def put(connection, who, institution_id, content=None, now=NOW):
    """An image as the servicer puts it, but for the store."""
    image_id = image.begin(connection, who, institution_id, rules.inspect(content or jpeg()), now)
    image.finish(connection, who, image_id, "0123abcd", now)
    return image_id


def loose(connection):
    return set(connection.scalars(select(images.c.id).where(images.c.loose_since.is_not(None))))


def uses(connection):
    return {(row.image_id, row.record_id) for row in connection.execute(select(image_uses))}


def test_the_same_bytes_for_the_same_institution_are_one_image(connection):
    shg, other = rows.institution(connection, VILLAGE), rows.institution(connection, VILLAGE)
    who = bookkeeper(shg, other)
    first = put(connection, who, shg)
    assert put(connection, who, shg) == first
    assert put(connection, bookkeeper(shg, user="IUP_B2"), shg) == first
    assert put(connection, who, shg, png()) != first
    assert put(connection, who, other) != first
    assert len(connection.execute(select(audit.audit).where(audit.audit.c.action == "image.put")).all()) == 5


def test_images_are_put_for_her_own_institutions_and_those_to_come(connection):
    shg, made, others = (rows.waiting_institution(connection, VILLAGE, user) for user in ("X", "IUP_BK", "X"))
    for institution_id in (shg, made, uuid7()):
        image_id = put(connection, bookkeeper(shg), institution_id)
        assert queries.image(connection, bookkeeper(shg), image_id).region == VILLAGE
    assert code_of(put, connection, bookkeeper(shg), others) == ("INSTITUTION_NOT_YOURS", "institution_id")
    far = rows.waiting_institution(connection, "9.178.1505.1.1", "IUP_BK")
    assert code_of(put, connection, bookkeeper(), far)[0] == "REGION_NOT_YOURS"


def test_an_image_is_seen_by_whoever_sees_a_record_that_names_it(connection):
    shg, next_shg = rows.institution(connection, VILLAGE), rows.institution(connection, VILLAGE)
    image_id = put(connection, bookkeeper(shg), shg)
    before = (bookkeeper(shg), bookkeeper(user="IUP_BK"), manager())
    nobody = (bookkeeper(next_shg, user="IUP_B2"), manager("9.178.1505"))
    for who in before:
        assert queries.image(connection, who, image_id).id == image_id
    member = rows.member(connection, shg, VILLAGE)
    image.name_images(connection, member, shg, [{"photo": named(image_id)}])
    for who in nobody:
        assert code_of(queries.image, connection, who, image_id) == ("IMAGE_UNKNOWN", "image_id")
    # She moves to another SHG: her photo moves with her, out of the sight of those whom she left.
    connection.execute(text("update members set institution_id = :shg"), {"shg": next_shg})
    image.name_images(connection, member, next_shg, [{"photo": named(image_id)}])
    assert queries.image(connection, bookkeeper(next_shg, user="IUP_B2"), image_id)
    assert queries.image(connection, manager(), image_id)
    assert code_of(queries.image, connection, bookkeeper(shg), image_id)[0] == "IMAGE_UNKNOWN"
    assert queries.records_that_name(connection, image_id) == [member]


def test_an_image_that_is_not_stored_yet_is_not_there(connection):
    shg = rows.institution(connection, VILLAGE)
    image_id = image.begin(connection, bookkeeper(shg), shg, rules.inspect(jpeg()), NOW)
    assert code_of(queries.image, connection, bookkeeper(shg), image_id)[0] == "IMAGE_UNKNOWN"
    assert code_of(image.name_images, connection, uuid7(), shg, [{"photo": named(image_id)}]) == ("IMAGE_UNKNOWN", "photo")


def test_a_record_names_images_of_its_institution_as_they_are(connection):
    shg, other = rows.institution(connection, VILLAGE), rows.institution(connection, VILLAGE)
    who, record_id = bookkeeper(shg, other), uuid7()
    here, there = put(connection, who, shg), put(connection, who, other)
    right = named(here, media_type="image/jpeg", size_bytes=len(jpeg()), sha256=rules.inspect(jpeg()).sha256.hex())
    image.name_images(connection, record_id, shg, [{"photo": right}])
    for wrong in ({"media_type": "image/png"}, {"size_bytes": 1}, {"sha256": "0" * 64}):
        assert code_of(image.name_images, connection, record_id, shg, [{"photo": right | wrong}]) == ("IMAGE_DIFFERS", "photo")
    for image_id in (there, uuid7()):
        content = {"photo": right, "accounts": [{"passbook": named(image_id)}]}
        assert code_of(image.name_images, connection, record_id, shg, [content]) == ("IMAGE_UNKNOWN", "accounts[0].passbook")
    assert uses(connection) == {(here, record_id)}


def test_an_image_is_loose_while_no_record_names_it(connection):
    shg = rows.institution(connection, VILLAGE)
    who, one, two = bookkeeper(shg), uuid7(), uuid7()
    old, new = put(connection, who, shg), put(connection, who, shg, png())
    assert loose(connection) == {old, new}
    live, waiting = {"photo": named(old)}, {"photo": named(new)}
    for _ in range(2):
        image.name_images(connection, one, shg, [live, waiting])
    image.name_images(connection, two, shg, [live])
    assert (loose(connection), uses(connection)) == (set(), {(old, one), (new, one), (old, two)})
    image.name_images(connection, one, shg, [waiting])  # Approved.
    assert loose(connection) == set(), "the other record names it still"
    image.name_images(connection, two, shg, [{}])
    assert (loose(connection), uses(connection)) == ({old}, {(new, one)})
    image.name_images(connection, two, shg, [live])
    assert loose(connection) == set(), "within its week it may be named again"


def test_loose_images_are_erased_after_a_week_and_put_anew_they_are_others(connection):
    shg = rows.institution(connection, VILLAGE)
    who, record_id = bookkeeper(shg), uuid7()
    kept, gone, again = put(connection, who, shg), put(connection, who, shg, png()), put(connection, who, shg, webp())
    image.name_images(connection, record_id, shg, [{"photo": named(kept)}])
    week = NOW + rules.LOOSE_KEPT
    assert image.to_erase(connection, week) == []
    put(connection, who, shg, webp(), now=NOW + timedelta(days=1))
    for _ in range(2):  # The second time as after a round that was cut short.
        assert image.to_erase(connection, week + timedelta(seconds=1)) == [gone]
    assert code_of(queries.image, connection, who, gone)[0] == "IMAGE_UNKNOWN"
    assert code_of(image.name_images, connection, record_id, shg, [{"photo": named(gone)}])[0] == "IMAGE_UNKNOWN"
    anew = put(connection, who, shg, png(), now=week)
    assert anew != gone, "so that erasing the one takes nothing from the other"
    image.forget(connection, [gone])
    assert set(connection.scalars(select(images.c.id))) == {kept, again, anew}


def test_nobody_fills_the_store_with_images_that_no_profile_names(connection, monkeypatch):
    monkeypatch.setattr(rules, "LOOSE_MAX", 2)
    shg = rows.institution(connection, VILLAGE)
    who = bookkeeper(shg)
    first = put(connection, who, shg)
    put(connection, who, shg, png())
    assert code_of(image.begin, connection, who, shg, rules.inspect(webp()), NOW)[0] == "IMAGES_TOO_MANY"
    assert put(connection, who, shg) == first, "the same once more is no more"


# The calls


@pytest.fixture
def calls(up, monkeypatch, tmp_path):
    """The servicer with a store of its own, an SHG, and whoever calls. What is here is committed, and taken away again."""
    monkeypatch.setenv("LOKOS_OBJECTS_FOLDER", str(tmp_path / "objects"))
    stored.store.cache_clear()
    with database.transaction(SERVICE) as connection:
        shg = rows.institution(connection, VILLAGE)
    yield Servicer(), shg, tmp_path / "objects"
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(images).where(images.c.institution_id == shg))
        connection.execute(delete(institutions).where(institutions.c.id == shg))
    stored.store.cache_clear()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_image_is_put_got_and_erased(calls):
    servicer, shg, folder = calls
    interceptors._caller.set(bookkeeper(shg))
    request = profiles_pb2.PutImageRequest(institution_id=str(shg), content=jpeg())
    put_image = servicer.PutImage(request, None)
    assert servicer.PutImage(request, None) == put_image
    assert (put_image.media_type, put_image.size_bytes) == ("image/jpeg", len(jpeg()))
    [file] = files(folder)
    assert jpeg() not in file.read_bytes()
    got = servicer.GetImage(profiles_pb2.GetImageRequest(image_id=put_image.image_id), None)
    assert (got.image, got.content) == (put_image, jpeg())
    interceptors._caller.set(bookkeeper(user="IUP_B2"))
    assert code_of(servicer.GetImage, profiles_pb2.GetImageRequest(image_id=put_image.image_id), None)[0] == "IMAGE_UNKNOWN"
    jobs.erase_images.function(SERVICE, {})
    assert files(folder) == [file], "it is not a week yet"
    with database.transaction(SERVICE) as connection:
        connection.execute(update(images).where(images.c.institution_id == shg).values(loose_since=datetime.now(UTC) - timedelta(days=8)))
    jobs.erase_images.function(SERVICE, {})
    assert files(folder) == []
    with database.transaction(SERVICE) as connection:
        assert connection.execute(select(images).where(images.c.institution_id == shg)).all() == []


def test_all_that_is_due_is_erased_in_one_round_some_at_a_time(calls, monkeypatch):
    servicer, shg, folder = calls
    interceptors._caller.set(bookkeeper(shg))
    for width in range(100, 105):
        servicer.PutImage(profiles_pb2.PutImageRequest(institution_id=str(shg), content=jpeg(width)), None)
    with database.transaction(SERVICE) as connection:
        connection.execute(update(images).where(images.c.institution_id == shg).values(loose_since=datetime.now(UTC) - timedelta(days=8)))
    monkeypatch.setattr(image, "ERASED_AT_ONCE_MAX", 2)
    monkeypatch.setattr(jobs, "ERASING_SECONDS_MAX", 0)
    jobs.erase_images.function(SERVICE, {})
    assert len(files(folder)) == 5, "its time is up before it begins"
    monkeypatch.setattr(jobs, "ERASING_SECONDS_MAX", 60)
    jobs.erase_images.function(SERVICE, {})
    assert files(folder) == []


def test_an_image_that_the_store_lost_is_put_again(calls):
    servicer, shg, folder = calls
    interceptors._caller.set(bookkeeper(shg))
    request = profiles_pb2.PutImageRequest(institution_id=str(shg), content=jpeg())
    put_image = servicer.PutImage(request, None)
    [file] = files(folder)
    file.unlink()
    asked = profiles_pb2.GetImageRequest(image_id=put_image.image_id)
    assert code_of(servicer.GetImage, asked, None)[0] == "IMAGE_GONE"
    assert servicer.PutImage(request, None) == put_image
    assert servicer.GetImage(asked, None).content == jpeg()


def test_an_image_that_the_store_did_not_take_is_not_there(calls, monkeypatch):
    servicer, shg, folder = calls
    interceptors._caller.set(bookkeeper(shg))
    folder.write_text("in the way")
    assert code_of(servicer.PutImage, profiles_pb2.PutImageRequest(institution_id=str(shg), content=jpeg()), None)[0] == "OBJECTS_AWAY"
    with database.transaction(SERVICE) as connection:
        assert [row.stored_at for row in connection.execute(select(images).where(images.c.institution_id == shg))] == [None]


def test_a_missing_key_ends_the_process_at_its_start(up, monkeypatch):
    monkeypatch.delenv("LOKOS_OBJECTS_KEY")
    for start in (objects.objects, jobs.check, Servicer):
        stored.store.cache_clear()
        with pytest.raises(SystemExit, match="LOKOS_OBJECTS_KEY"):
            start()
    jobs._banks.cache_clear()


# A record names an image just when it is to be erased


@pytest.fixture
def week_old(up):
    """An image that nobody has named for more than a week, committed; its id, and the SHG that it was put for."""
    shg = uuid7()
    with database.transaction(SERVICE) as connection:
        image_id = put(connection, bookkeeper(shg), shg, now=datetime.now(UTC) - timedelta(days=8))
    yield image_id, shg
    with database.transaction(SERVICE) as connection:
        connection.execute(delete(image_uses).where(image_uses.c.image_id == image_id))
        connection.execute(delete(images).where(images.c.id == image_id))


def sweep():
    with database.transaction(SERVICE) as connection:
        return image.to_erase(connection, datetime.now(UTC))


def test_an_image_that_is_being_named_is_not_erased(week_old):
    image_id, shg = week_old
    with database.transaction(SERVICE) as connection:
        image.name_images(connection, uuid7(), shg, [{"photo": named(image_id)}])
        assert image_id not in sweep(), "nor does it wait for her"
    assert image_id not in sweep()


def test_an_image_that_is_being_erased_is_not_named(week_old):
    image_id, shg = week_old
    answers = []

    def name():
        with database.transaction(SERVICE) as connection:
            try:
                image.name_images(connection, uuid7(), shg, [{"photo": named(image_id)}])
            except Refused as refused:
                answers.append(refused.code)

    with database.transaction(SERVICE) as connection:
        assert image_id in image.to_erase(connection, datetime.now(UTC))
        other = threading.Thread(target=name)
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits for what becomes of the image"
    other.join()
    assert answers == ["IMAGE_UNKNOWN"]
