"""The keeper itself: python -m services.identity.keeper LINE [LINE...], started by `serve` with the ends of its sockets."""

import json
import logging
import socket
import sys
from collections.abc import Callable
from threading import Lock, Thread
from uuid import UUID

from services.chassis import database, logs, process
from services.chassis.logs import request_id
from services.identity.adapters import keys
from services.identity.keeper import LINE_BYTES_MAX
from services.identity.keeper.vault import Vault
from services.identity.rules.vault import away, check_purpose
from services.kernel.errors import Refused

log = logging.getLogger(__name__)


class Lines:
    """Answers on every line until its other end closes; then the process ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._vault: Vault | None = None

    def answer(self, line: socket.socket) -> None:
        while asked := line.recv(LINE_BYTES_MAX):
            line.sendall(json.dumps(self._answered(json.loads(asked))).encode())

    def _answered(self, asked: dict[str, str]) -> dict[str, str]:
        request_id.set(asked["request_id"])
        try:
            return {"answer": ACTS[asked["act"]](self._there(), asked)}
        except Refused as refused:
            if refused.code == away().code:
                self._forget()
            return {"kind": type(refused).__name__, "code": refused.code, "sentence": refused.sentence, "field": refused.field}
        except (Exception, SystemExit):  # A setting that is missing, too.
            log.exception("our bug", extra={"act": asked["act"], "record": asked.get("reference", "")})
            return {}

    def _there(self) -> Vault:
        with self._lock:
            self._vault = self._vault or Vault(keys.provider(), database.of("vault"))
            return self._vault

    def _forget(self) -> None:
        with self._lock:
            self._vault = None


ACTS: dict[str, Callable[[Vault, dict[str, str]], str]] = {
    "must_be_there": lambda vault, _asked: str(vault.must_be_there()),
    "store": lambda vault, asked: str(vault.store(asked["number"], check_purpose(asked["purpose"]), asked["user_id"])),
    "identify": lambda vault, asked: "|".join(_identified(vault, asked)),
    "open_number": lambda vault, asked: vault.open_number(UUID(asked["reference"]), check_purpose(asked["purpose"]), asked["user_id"]),
}


def _identified(vault: Vault, asked: dict[str, str]) -> tuple[str, str]:
    identity = vault.identify(UUID(asked["reference"]), check_purpose(asked["purpose"]), asked["user_id"])
    return identity.token, identity.masked


def main() -> None:
    logs.start("keeper")
    process.forbid_looking()
    lines = Lines()
    threads = [Thread(target=lines.answer, args=(socket.socket(fileno=int(number)),)) for number in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
