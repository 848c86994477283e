"""The last good answer of each state to each question, so that a gap is filled with its age told; outlives the process."""

import asyncio
import hashlib
import logging
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from protos.reporting_pb2 import ReportRequest, ReportResponse

log = logging.getLogger(__name__)

KEPT_MAX = 2000
WRITE_SECONDS = 1.0
_SUFFIX: Final = ".snapshot"
_DIGEST_BYTES: Final = 32
_STATE_CHARACTERS: Final = 16
_TIME: Final = struct.Struct(">q")  # Microseconds since 1970.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An answer, and when the state gave it."""

    answer: ReportResponse
    at: datetime


class Snapshots:
    """In memory for reading, in a folder for the next process. The oldest give way once there are `most`."""

    def __init__(self, folder: Path, most: int = KEPT_MAX) -> None:
        self._folder = folder
        self._most = most
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self._epochs: dict[str, int] = {}
        self._unwritten: set[str] = set()
        self._given_up: set[str] = set()

    def get(self, state: str, question: ReportRequest) -> Snapshot | None:
        """What is asked for stays: the answers of a state that is away are the ones that matter, and no newer ones come."""
        key = _key(state, question)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, state: str, question: ReportRequest, snapshot: Snapshot) -> None:
        self._keep(_key(state, question), snapshot)

    def _keep(self, key: str, snapshot: Snapshot) -> None:
        self._kept[key] = snapshot
        self._kept.move_to_end(key)
        self._unwritten.add(key)
        while len(self._kept) > self._most:
            self._give_up(next(iter(self._kept)))
        self._mind_epoch(key, snapshot.answer.instance_epoch)

    def _mind_epoch(self, key: str, epoch: int) -> None:
        """A state whose books came back from a backup does not stand by what it said before. 0: its version does not say."""
        state = key[:_STATE_CHARACTERS]
        known = self._epochs.get(state, 1)
        if 0 < epoch < known:
            self._give_up(key)
        elif epoch > known:
            self._epochs[state] = epoch
            for older in [one for one, kept in self._kept.items() if one.startswith(state) and kept.answer.instance_epoch < epoch]:
                self._give_up(older)

    def _give_up(self, key: str) -> None:
        del self._kept[key]
        self._unwritten.discard(key)
        self._given_up.add(key)

    def load(self) -> None:
        """Read what an earlier process wrote; a file that is not whole is left out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found = {path.stem: snapshot for path in self._folder.glob(f"*{_SUFFIX}") if (snapshot := _read(path))}
        for key, snapshot in sorted(found.items(), key=lambda pair: pair[1].at):
            self._keep(key, snapshot)
        self._unwritten.clear()

    def write(self) -> None:
        """Bring the folder up to date."""
        unwritten = self._swap_unwritten()
        while unwritten:
            key = unwritten.pop()
            try:
                if snapshot := self._kept.get(key):
                    _write(self._folder / f"{key}{_SUFFIX}", snapshot)
            except OSError:
                self._unwritten |= unwritten | {key}  # For the next round, when there may be room again.
                raise
        given_up, self._given_up = self._given_up, set()
        for key in given_up - self._kept.keys():
            (self._folder / f"{key}{_SUFFIX}").unlink(missing_ok=True)

    def _swap_unwritten(self) -> set[str]:
        unwritten, self._unwritten = self._unwritten, set()
        return unwritten

    async def keep_writing(self) -> None:
        """Until cancelled: beside the answers, so that none waits for a disk."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            try:
                await asyncio.to_thread(self.write)
            except OSError:
                log.exception("snapshots cannot be written")


def _key(state: str, question: ReportRequest) -> str:
    """A name for state and question that is also fit for a file, whatever somebody wrote into either."""
    of_state = hashlib.sha256(state.encode()).hexdigest()[:_STATE_CHARACTERS]
    return of_state + hashlib.sha256(question.SerializeToString(deterministic=True)).hexdigest()


def _write(path: Path, snapshot: Snapshot) -> None:
    """Whole or not at all, also when the power goes: a digest stands before it."""
    content = _TIME.pack((snapshot.at - _EPOCH) // timedelta(microseconds=1)) + snapshot.answer.SerializeToString()
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial")
    partial.write_bytes(hashlib.sha256(content).digest() + content)
    partial.replace(path)


def _read(path: Path) -> Snapshot | None:
    try:
        raw = path.read_bytes()
        digest, content = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() == digest:
            (microseconds,) = _TIME.unpack_from(content)
            return Snapshot(ReportResponse.FromString(content[_TIME.size :]), _EPOCH + timedelta(microseconds=microseconds))
    except (OSError, DecodeError, struct.error) as error:
        log.warning("a snapshot cannot be read", extra={"file": path.name, "error": type(error).__name__})
        return None
    log.warning("a snapshot is not whole", extra={"file": path.name})
    return None
