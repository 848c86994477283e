"""Timers: a whole state compared with itself, in a program of its own that gives way to all others."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from services.chassis import database, settings
from services.chassis.jobs import Arguments, job
from services.chassis.logs import describe
from services.dedup import commands, queries
from services.dedup.adapters import batches
from services.dedup.rules import ARMS, Yardstick, batch

log = logging.getLogger(__name__)

Report = Callable[[str, int, int, int], None]  # The phase, how many are behind it, and how far it is itself.

THREADS, MEMORY_MB = 2, 4096
NOTED_EVERY = 500  # Members screened again.

_children: list[subprocess.Popen[bytes]] = []


@job(every_seconds=15)
def run_batch(service: str, _arguments: Arguments) -> None:
    """Start the program that carries a batch out where none does: a batch takes longer than a worker's lease, and much memory.

    Its lock says whether one does, so that one that outlived its worker is left alone, and one that died is begun again.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    with database.reading(service) as connection:
        waits = batches.running(connection)
    if waits and not _children:
        _children.append(subprocess.Popen([sys.executable, "-m", "services.dedup", "batch"], stdout=subprocess.DEVNULL))


def carry_out(service: str, report: Report = lambda *_: None) -> None:
    """Carry out the batch that was asked for, from where it was left; nothing where another program does."""
    with batches.alone(service) as mine:
        if not mine:
            return
        with database.transaction(service) as connection:
            batch_id = batches.running(connection)
            if batch_id is None or not batches.begin(connection, batch_id):
                return
        with contextlib.suppress(OSError):
            os.nice(19)
        try:
            Run(service, batch_id, report).through()
        except Exception as error:
            if not database.is_away(error):
                with database.transaction(service) as connection:
                    batches.fail(connection, batch_id, describe(error))
            raise


class Run:
    """One start of a batch. What a phase leaves is on the disk or in the database, and tells the next start that it is done."""

    def __init__(self, service: str, batch_id: UUID, report: Report) -> None:
        self._service = service
        self._id = batch_id
        self._report = report
        # A folder of its own, of which alone it deletes.
        base = Path(settings.text("DEDUP_BATCH_FOLDER", tempfile.gettempdir())) / f"lokos-batches-{settings.instance()}-{os.getuid()}"
        self.folder = base / str(batch_id)
        for old in base.glob("*"):  # It holds what is known of people.
            if old != self.folder:
                shutil.rmtree(old)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def through(self) -> None:
        from services.dedup.adapters import whole

        limits = whole.Limits(settings.number("DEDUP_BATCH_THREADS", THREADS), settings.number("DEDUP_BATCH_MEMORY_MB", MEMORY_MB))
        with contextlib.closing(whole.Whole(self.folder, limits)) as made:
            self._phase("READ")
            if not made.has("written"):
                file = self.folder / "people.csv"
                moment = batches.write_people(self._service, whole.COLUMNS, file)
                self._note(taken_at=moment)
                made.take(file)
                file.unlink()
            self._phase("KEYS")
            members = made.count("written")
            by = self._yardstick(made.villages(), members)
            self._note(members=members, model=by.model.name)
            made.know(by)
            for arm in ARMS:
                self._phase(f"ARM_{arm.name.upper()}")
                made.meet(by, arm)
            self._phase("PAIRS")
            made.gather(by.thresholds)
            self._phase("STORE")
            file = self.folder / "pairs.csv"
            made.write_pairs(self._id, batches.PAIR, file)
            with database.transaction(self._service) as connection:
                batches.store(connection, self._id, file)
        self._phase("RESCREEN")
        self._screen_again()
        self._note(state=batch.State.DONE, phases_done=len(batch.PHASES), ended_at=batches.NOW)
        shutil.rmtree(self.folder)

    def _yardstick(self, members_of: Mapping[int, int], members: int) -> Yardstick:
        """Fitted to the state as it is now; whoever is screened from here on is measured by the same."""
        with database.transaction(self._service) as connection:
            before = queries.yardstick(connection)
            fitted = batch.of_state(before.model, members_of, members)
            if fitted != before.model:
                commands.put_to_use(connection, fitted)
        return replace(before, model=fitted)

    def _screen_again(self) -> None:
        """Each in a transaction of her own, so that nobody else waits long."""
        with database.transaction(self._service) as connection:
            concerned = batches.says_otherwise(connection, self._id)
        for done, member_id in enumerate(concerned, 1):
            with database.transaction(self._service) as connection:
                commands.rescreen(connection, member_id)
            if done % NOTED_EVERY == 0 or done == len(concerned):
                self._note(phase_done=done, phase_of=len(concerned), screened_again=done)
                self._report("RESCREEN", batch.PHASES.index("RESCREEN"), done, len(concerned))

    def _phase(self, phase: str) -> None:
        self._note(phase=phase, phases_done=batch.PHASES.index(phase), phase_done=0, phase_of=0)
        self._report(phase, batch.PHASES.index(phase), 0, 0)

    def _note(self, **known: object) -> None:
        with database.transaction(self._service) as connection:
            batches.note(connection, self._id, **known)
