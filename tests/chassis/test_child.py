"""A child ends within its limits, whatever it runs, and has nothing of its parent's."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from services.chassis import child
from services.kernel.errors import Exhausted, Invalid

SECONDS = 2
MEMORY_BYTES = 256 * 1024 * 1024
OUTPUT_BYTES_MAX = 100_000
LIMITS = {"seconds": SECONDS, "cpu_seconds": SECONDS, "memory_bytes": MEMORY_BYTES, "output_bytes_max": OUTPUT_BYTES_MAX}
GRACE_SECONDS = 5  # For a machine with other work.


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a module that the child finds, and gives its name."""
    monkeypatch.setitem(child.ENVIRONMENT, "PYTHONPATH", f"{tmp_path}{os.pathsep}{child.ENVIRONMENT['PYTHONPATH']}")

    def write(code):
        (tmp_path / "strange.py").write_text(textwrap.dedent(code))
        return "strange"

    return write


def run(module, request=b"", **limits):
    return child.run(module, request, **LIMITS | limits)


def test_it_is_given_its_request_and_heard_to_its_end(written):
    module = written("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])")
    request = bytes(range(256)) * 300  # More than a pipe holds at once.
    assert run(module, request) == request[::-1]
    assert run(module, b"") == b""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("loops", "while True: pass"),
        ("sleeps", "import time; time.sleep(60)"),
        ("will not be told to stop", "import signal, time; [signal.signal(one, signal.SIG_IGN) for one in (14, 15, 24)]\nwhile True: time.sleep(1)"),
        ("eats memory", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"),
        ("eats memory at once", "bytearray(1 << 40)"),
        ("writes without end", "import os\nwhile True: os.write(1, b'x' * 65536)"),
        ("drips", "import os, time\nwhile True: os.write(1, b'x'); time.sleep(0.01)"),
        ("says it is done and goes on", "import os, time; os.write(1, b'{}'); os.close(1); time.sleep(60)"),
        ("fails", "print('half'); raise ValueError"),
        ("breaks", "import os; os.kill(os.getpid(), 11)"),
        ("is not there", "import nothing_of_that_name"),
        ("recurses", "import sys; sys.setrecursionlimit(1 << 30)\ndef deeper(): deeper()\ndeeper()"),
    ],
)
def test_whatever_it_does_it_ends_within_its_limits_and_has_said_nothing(written, name, code):
    begun = time.monotonic()
    assert run(written(code)) is None
    assert time.monotonic() - begun < SECONDS + GRACE_SECONDS


def test_what_it_says_is_cut_off_while_it_is_read(written):
    assert run(written("print('x' * 1000, end='')"), output_bytes_max=1000) == b"x" * 1000
    assert run(written("print('x' * 1001, end='')"), output_bytes_max=1000) is None


def test_whatever_it_has_begun_ends_with_it(written, tmp_path):
    module = written("""
        import os, time
        inner, outer = os.pipe()
        if os.fork():
            os.read(inner, 1)
            print(os.getpgid(0), flush=True)
        else:
            os.write(outer, b"x")
            os.close(1)
            time.sleep(60)
    """)
    said = run(module)
    if os.getuid():
        assert said is None  # It may begin nothing.
        return
    await_none(lambda: [one for one in Path("/proc").glob("[0-9]*") if is_running(one.name) and os.getpgid(int(one.name)) == int(said)])


def test_one_that_forks_without_end_ends_in_time(written):
    begun = time.monotonic()
    assert run(written("import os, time\nfor _ in range(200): os.fork() or time.sleep(60)\ntime.sleep(60)")) is None
    assert time.monotonic() - begun < SECONDS + GRACE_SECONDS


def test_it_cannot_look_into_its_parent_nor_end_it(written):
    """A parent such as `serve`: what is in its memory is read by nobody whom a picture has taken over."""
    module = written("""
        import ctypes, os, signal
        from services.chassis import child

        def tried(what):
            try:
                return what()
            except OSError as error:
                return error.errno

        class Vector(ctypes.Structure):
            _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

        libc = ctypes.CDLL(None, use_errno=True)
        into = ctypes.create_string_buffer(64)

        def look(address):
            here, there = Vector(ctypes.addressof(into), 16), Vector(address, 16)
            return libc.process_vm_readv(os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)

        def work(request):
            read = look(int(request))
            return {"uid": os.getuid(), "read": read, "saw": into.raw[:16].hex(), "killed": tried(lambda: os.kill(os.getppid(), 0) or "did")}

        child.answer(work)
    """)
    parent = f"""
import ctypes, os
from services.chassis import child
child.ENVIRONMENT["PYTHONPATH"] = os.environ["PYTHONPATH"]
ctypes.CDLL(None).prctl(4, 0)  # As services.chassis.process.start has it.
secret = ctypes.create_string_buffer(b"the vault's keys")
limits = dict(seconds=10, cpu_seconds=10, memory_bytes=1 << 30, output_bytes_max=10_000)
print(child.run({module!r}, str(ctypes.addressof(secret)).encode(), **limits).decode())
"""
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, env=child.ENVIRONMENT, check=False)
    said = json.loads(done.stdout)
    assert said["uid"] != 0
    assert (said["read"], bytes.fromhex(said["saw"])) == (-1, bytes(16))
    if not os.getuid():  # Who runs as somebody else than root is killed by her own child; it is begun anew.
        assert said["killed"] == errno.EPERM


def test_it_has_no_secret_and_no_open_door(written, monkeypatch, tmp_path):
    monkeypatch.setenv("VAULT_KEY", "very secret")
    (tmp_path / "secret").write_text("very secret")
    module = written(f"""
        import os, resource, socket, threading
        from services.chassis import child

        def tried(what):
            try:
                what()
            except OSError as error:
                return type(error).__name__ and error.errno
            return "did"

        def work(_request):
            return {{
                "environment": sorted(os.environ),
                "cwd": os.getcwd(),
                "read": tried(lambda: open({str(tmp_path / "secret")!r})),
                "write": tried(lambda: open({str(tmp_path / "new")!r}, "w")),
                "connect": tried(socket.socket),
                "core": resource.getrlimit(resource.RLIMIT_CORE),
                "descriptors": [number for number in range(3, 64) if tried(lambda: os.fstat(number)) == "did"],
            }}

        child.answer(work)
    """)
    said = json.loads(run(module))
    assert set(said["environment"]) - {"LC_CTYPE"} == {"PATH", "PYTHONPATH"}
    assert (said["cwd"], said["core"], said["descriptors"]) == ("/", [0, 0], [])
    assert {said["read"], said["write"], said["connect"]} == {24}  # Too many open files: any is.


def test_a_child_s_refusal_is_raised_and_its_nonsense_is_nothing(written):
    refusing = written("""
        from services.chassis import child
        from services.kernel.errors import Invalid

        def work(request):
            raise Invalid("PAPER_TORN", "The paper is torn at {place}.", field="paper", place=request.decode())

        child.answer(work)
    """)
    with pytest.raises(Invalid) as refused:
        child.ask(refusing, b"the fold", **LIMITS)
    assert (refused.value.code, refused.value.field, str(refused.value)) == ("PAPER_TORN", "paper", "The paper is torn at the fold.")
    for nonsense in ("", "{", "7", "[]", "null", "[" * 50_000):
        assert child.ask(written(f"print({nonsense!r})"), b"", **LIMITS) is None


def test_as_many_as_may_run_at_once_and_the_next_waits_for_its_turn(written, monkeypatch):
    monkeypatch.setattr(child, "WAIT_SECONDS_MAX", 0.1)
    module = written("import time; time.sleep(60)")
    running = [threading.Thread(target=run, args=(module,)) for _ in range(child.CHILDREN_MAX)]
    for one in running:
        one.start()
    time.sleep(0.3)
    with pytest.raises(Exhausted):
        run(module)
    for one in running:
        one.join()
    assert run(written("print(1)")) == b"1\n"


def test_a_child_whose_parent_is_gone_ends(written, tmp_path):
    module = written(f"import os, time; os.close(1); open({str(tmp_path)!r} + f'/{{os.getpid()}}.pid', 'x'); time.sleep(60)")
    program = f"""
from services.chassis import child
child.ENVIRONMENT = {child.ENVIRONMENT!r}
child.run({module!r}, b"", seconds=1, cpu_seconds=1, memory_bytes=1 << 28, output_bytes_max=9)
"""
    with subprocess.Popen([sys.executable, "-c", program], env={"PYTHONPATH": child.ENVIRONMENT["PYTHONPATH"]}) as parent:
        while not (begun := list(tmp_path.glob("*.pid"))):
            time.sleep(0.01)
        parent.kill()
    await_none(lambda: is_running(begun[0].stem))


def await_none(running):
    ends = time.monotonic() + 2 + GRACE_SECONDS
    while running() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not running()


def is_running(number):
    """A zombie, which is only waited for, has no command line any more."""
    try:
        return "strange" in Path(f"/proc/{number}/cmdline").read_text()
    except FileNotFoundError:
        return False
