"""The vault's keeper: a process of its own, which has the vault's key and reads nothing that a stranger wrote (decision 27).

`serve` has one as its child, made when it is first asked, and made anew when it has ended. They speak over sockets that nobody
else can open: a line of JSON each way, of ids, a purpose, and one number that was checked. `serve` knows where the keys lie and never
reads them.
"""

import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from uuid import UUID

from services.chassis import settings
from services.chassis.logs import request_id
from services.identity.adapters.keys import must_be_named
from services.identity.rules.vault import Identity, Purpose, away
from services.kernel import errors

log = logging.getLogger(__name__)

LINES = 4  # Of one keeper: so much it does at once.
LINE_BYTES_MAX = 4096
ANSWER_SECONDS_MAX = 20
ENDING_SECONDS_MAX = 5
# All that it is told of this process's settings; what its module needs besides is named by LOKOS_VAULT_PKCS11_VARIABLES.
SETTINGS = (
    "VAULT_DATABASE_URL",
    "LOKOS_VAULT_KEYS",
    "LOKOS_VAULT_KEYS_FILE",
    "LOKOS_VAULT_PKCS11_MODULE",
    "LOKOS_VAULT_PKCS11_TOKEN",
    "LOKOS_VAULT_PKCS11_PIN_FILE",
)
KINDS = {kind.__name__: kind for kind in (errors.Invalid, errors.Conflict, errors.Unavailable, errors.Exhausted)}


class Keeper:
    """Asks the keeper. Raises Unavailable VAULT_AWAY where it, its keys or its rows do not answer; the same call may succeed later."""

    def __init__(self) -> None:
        settings.text("VAULT_DATABASE_URL")
        must_be_named()
        self._lock = Lock()
        self._child: _Child | None = None

    def must_be_there(self) -> None:
        """Before what cannot be taken back, such as a try or a one-time password."""
        self._ask("must_be_there")

    def store(self, number: str, purpose: Purpose, user_id: str) -> UUID:
        """The reference of the number; the one it has where the number is there already."""
        return UUID(self._ask("store", number=number, purpose=purpose, user_id=user_id))

    def identify(self, reference: UUID, purpose: Purpose, user_id: str) -> Identity:
        """Raises Conflict where the number was erased, as the next."""
        token, masked = self._ask("identify", reference=str(reference), purpose=purpose, user_id=user_id).split("|")
        return Identity(token, masked)

    def open_number(self, reference: UUID, purpose: Purpose, user_id: str) -> str:
        """The number itself, for the one who must hand it on to UIDAI."""
        return self._ask("open_number", reference=str(reference), purpose=purpose, user_id=user_id)

    def close(self) -> None:
        with self._lock:
            if self._child:
                self._child.end()
            self._child = None

    def _ask(self, act: str, **facts: str) -> str:
        asked = json.dumps({"act": act, "request_id": request_id.get(), **facts}).encode()
        child = self._living()
        answer = child.ask(asked)
        if answer is None:
            log.warning("the keeper of the vault did not answer")
            child.end()
            raise away()
        said: dict[str, str] = json.loads(answer)
        if "code" in said:
            raise KINDS[said["kind"]](said["code"], said["sentence"], field=said["field"])
        if "answer" not in said:
            raise RuntimeError("The keeper of the vault failed; its own log says how.")
        return said["answer"]

    def _living(self) -> "_Child":
        with self._lock:
            if self._child and self._child.has_ended:
                self._child.end()
                self._child = None
            self._child = self._child or _Child()
            return self._child


class _Child:
    """One keeper, and the lines to it."""

    def __init__(self) -> None:
        ours, theirs = zip(*(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(LINES)), strict=True)
        passed = [name for name in settings.text("LOKOS_VAULT_PKCS11_VARIABLES", "").split() if name in os.environ]
        environment = {name: os.environ[name] for name in (*SETTINGS, *passed) if name in os.environ}
        environment |= {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3]), "DATABASE_CONNECTIONS_MAX": str(LINES)}
        numbers = [str(one.fileno()) for one in theirs]
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-P", "-s", "-B", "-m", __name__, *numbers],
            env=environment,
            pass_fds=[one.fileno() for one in theirs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # A signal to this process's group is not for it: it ends when its lines do.
        )
        for one in theirs:
            one.close()
        self._lines: SimpleQueue[socket.socket] = SimpleQueue()
        for one in ours:
            one.settimeout(ANSWER_SECONDS_MAX)
            self._lines.put(one)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, asked: bytes) -> bytes | None:
        """What it answers; None where it does not."""
        try:
            line = self._lines.get(timeout=ANSWER_SECONDS_MAX)
        except Empty:
            raise errors.busy() from None
        try:
            line.sendall(asked)
            answer = line.recv(LINE_BYTES_MAX)
        except OSError:
            answer = b""
        if answer:
            self._lines.put(line)
            return answer
        line.close()
        return None

    def end(self) -> None:
        self._process.kill()
        self._process.wait(ENDING_SECONDS_MAX)
        with suppress(Empty):
            while True:  # To the last line that is not in use; whoever uses one closes it.
                self._lines.get_nowait().close()
