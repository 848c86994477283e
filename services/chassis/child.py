"""What strangers hand in is read in a child process, which has little memory and time, no key, and no open door (decision 39).

The parent `ask`s a module, which runs as a program of its own and `answer`s: what it is given comes on its standard input,
what it says goes to its standard output. A child that fails, or takes more than it may, has said nothing.
"""

import importlib
import json
import logging
import os
import resource
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.kernel.errors import Invalid, Refused, busy

log = logging.getLogger(__name__)

CHILDREN_MAX = 2  # At once, in a process: each may take a core.
WAIT_SECONDS_MAX = 5  # It waits on a thread that answers calls.
NOBODY = 65534
FILES_MAX = 64  # While it imports its libraries; none once it reads.
CHUNK_BYTES = 64 * 1024
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}

_places = threading.BoundedSemaphore(CHILDREN_MAX)


def run(module: str, request: bytes, *, seconds: int, cpu_seconds: int, memory_bytes: int, output_bytes_max: int) -> bytes | None:
    """What the module says; None where it fails, or takes too long or too much, or says too much. Raises busy.

    `seconds` by the clock, in which a busy machine may have other things to do; `cpu_seconds` of work.
    """
    if not _places.acquire(timeout=WAIT_SECONDS_MAX):
        raise busy()
    command = [sys.executable, "-P", "-s", "-B", "-m", __name__, module, str(seconds), str(cpu_seconds), str(memory_bytes)]
    try:
        with os.fdopen(os.memfd_create("request"), "w+b") as given:
            given.write(request)
            given.seek(0)
            with subprocess.Popen(
                command, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, cwd="/", start_new_session=True
            ) as child:
                said = _heard(child, time.monotonic() + seconds, output_bytes_max)
    finally:
        _places.release()
    if said is None:
        log.warning("A child that ran %s said nothing; it ended with %s.", module, child.returncode)
    return said


def ask(module: str, request: bytes, *, seconds: int, cpu_seconds: int, memory_bytes: int, output_bytes_max: int) -> dict[str, Any] | None:
    """What a module says with `answer`; None as for `run`. Raises Invalid where it refuses."""
    said = run(module, request, seconds=seconds, cpu_seconds=cpu_seconds, memory_bytes=memory_bytes, output_bytes_max=output_bytes_max)
    try:
        answer = json.loads(said or b"null")
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, dict) and "refused" in answer:
        raise Invalid(answer["refused"], answer["sentence"], field=answer["field"], **answer["params"])
    return answer if isinstance(answer, dict) else None


def answer(work: Callable[[bytes], dict[str, Any]], *libraries: str) -> None:
    """For the child: do the work and say what comes of it, or the refusal. The libraries are those that the work would import by and by.

    From the first byte of a stranger's on it can open nothing: no file, no library, no line to anywhere; and it is nobody, who may not
    look into the memory of its parent.
    """
    for library in libraries:
        importlib.import_module(library)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    if not os.geteuid():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        said = work(sys.stdin.buffer.read())
    except Refused as refused:
        said = {"refused": refused.code, "sentence": refused.sentence, "field": refused.field, "params": refused.params}
    sys.stdout.write(json.dumps(said))


def _heard(child: subprocess.Popen[bytes], ends: float, bytes_max: int) -> bytes | None:
    assert child.stdout
    ended = os.pidfd_open(child.pid)
    try:
        said = _read(child.stdout.fileno(), ends, bytes_max)
        if said is not None:
            _is_ready(ended, ends)
    finally:
        os.close(ended)
        # Also whatever it has begun. The number cannot be another's before the child was waited for.
        os.killpg(child.pid, signal.SIGKILL)
    return None if child.wait() else said


def _read(pipe: int, ends: float, bytes_max: int) -> bytes | None:
    said = bytearray()
    while len(said) <= bytes_max and _is_ready(pipe, ends):
        chunk = os.read(pipe, CHUNK_BYTES)
        if not chunk:
            return bytes(said)
        said += chunk
    return None


def _is_ready(descriptor: int, ends: float) -> bool:
    """Whether it can be read, or for a process has ended, before that moment of the monotonic clock."""
    left = ends - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return left > 0 and bool(poll.poll(left * 1000))


def _main(module: str, seconds: int, cpu_seconds: int, memory_bytes: int) -> None:
    """The child's first steps: its limits, before anything of the module is there."""
    signal.alarm(seconds + 1)  # For one whose parent is gone.
    for kind, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),  # Holds for whoever is not root.
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        _, hard = resource.getrlimit(kind)
        held = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (held, held))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(sys.argv[1], *map(int, sys.argv[2:]))
