"""Files that are replaced whole, and read again when they were."""

import os

import pytest

from services.kernel.files import Latest, replace


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / "places.csv"

    def breaks_off():
        yield b"half"
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        replace(path, breaks_off())
    assert list(tmp_path.iterdir()) == []
    replace(path, [b"on", b"e"], mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    with pytest.raises(BrokenPipeError):
        replace(path, breaks_off())
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"places.csv": b"one"}


def test_what_a_file_gives_is_made_once_and_again_when_it_was_replaced(tmp_path):
    path, made = tmp_path / "places.csv", []

    def load(found):
        made.append(found)
        return found.read_bytes() if found else None

    latest = Latest(load)
    assert [latest.of(path), latest.of(path), latest.of(None)] == [None] * 3
    assert len(made) == 2
    replace(path, [b"one"])
    assert [latest.of(path), latest.of(path)] == [b"one"] * 2
    at = path.stat().st_mtime_ns
    replace(path, [b"two"])
    os.utime(path, ns=(at, at))
    assert latest.of(path) == b"two", "within one tick of the clock"
    assert len(made) == 4
    path.unlink()
    assert latest.of(path) is None
