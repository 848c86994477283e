"""A penny-drop service of invented answers on this machine's loopback, in the real one's JSON. The account number says what it answers."""

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

CLIENT_ID, CLIENT_SECRET = "sandbox", "sandbox"
BODY_BYTES_MAX = 10_000
HANGS_SECONDS = 60
OTHER_NAME = "KAMLA BAI"

# By the last four digits; any other number is a valid account of whoever it is asked for.
INVALID, PENDING_ONCE, ANOTHERS, FAILS, HANGS, PENDING_FOR_EVER, NAMELESS = "9901", "9902", "9903", "9904", "9905", "9906", "9907"


@dataclass
class Drop:
    """One question, which the same idempotency key asks once."""

    reference: str
    said: dict[str, Any]
    polls: int = 0


@dataclass
class Sandbox:
    """Answers while the process runs, and forgets with it."""

    server: ThreadingHTTPServer
    drops: dict[str, Drop] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def ask(self, key: str, asked: dict[str, Any], *, waits: bool) -> tuple[int, dict[str, Any]]:
        number = str(asked["bank_account"])
        if number.endswith(FAILS):
            return 503, {"code": "bank_away"}
        if number.endswith(HANGS):
            self.ended.wait(HANGS_SECONDS)
        drop = self.drops.setdefault(key, Drop(uuid4().hex, asked))
        if not waits or number.endswith((PENDING_ONCE, PENDING_FOR_EVER)):
            return 200, {"reference_id": drop.reference, "account_status": "RECEIVED", "account_status_code": "VALIDATION_IN_PROGRESS"}
        return 200, _answer(drop)

    def poll(self, reference: str) -> tuple[int, dict[str, Any]]:
        drop = next((one for one in self.drops.values() if one.reference == reference), None)
        if drop is None:
            return 404, {"code": "reference_id_not_found"}
        drop.polls += 1
        number = str(drop.said["bank_account"])
        if number.endswith(PENDING_FOR_EVER) or (number.endswith(PENDING_ONCE) and drop.polls == 1):
            return 200, {"reference_id": drop.reference, "account_status": "RECEIVED", "account_status_code": "VALIDATION_IN_PROGRESS"}
        return 200, _answer(drop)


def _answer(drop: Drop) -> dict[str, Any]:
    number, name = str(drop.said["bank_account"]), str(drop.said.get("name") or "")
    if number.endswith(INVALID):
        return {"reference_id": drop.reference, "account_status": "INVALID", "account_status_code": "INVALID_BANK_ACCOUNT"}
    said = {"reference_id": drop.reference, "account_status": "VALID", "account_status_code": "ACCOUNT_IS_VALID", "utr": drop.reference[:12]}
    if number.endswith(NAMELESS):
        return said
    return said | {"name_at_bank": OTHER_NAME if number.endswith(ANOTHERS) else name.upper()}


def start() -> Sandbox:
    """A server in a thread of its own, at a port of its own; `stop` ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    sandbox = Sandbox(server)
    server.RequestHandlerClass = _handler(sandbox)
    threading.Thread(target=server.serve_forever, args=(0.1,), name="sandbox-bank", daemon=True).start()
    return sandbox


started = cache(start)


def _handler(sandbox: Sandbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path = urlsplit(self.path).path
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX))
            if path not in {"/bank-account/sync", "/bank-account/async"}:
                self._say(404, {"code": "no_such_path"})
                return
            try:
                asked = json.loads(body)
                key = str(self.headers.get("x-idempotency-key") or f"{asked['bank_account']} {asked['ifsc']}")
            except (ValueError, KeyError, TypeError):
                self._say(400, {"code": "request_invalid"})
                return
            self._answer(lambda: sandbox.ask(key, asked, waits=path.endswith("/sync")))

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            self._answer(lambda: sandbox.poll(parse_qs(asked.query).get("reference_id", [""])[0]))

        def _answer(self, answer: Any) -> None:  # noqa: ANN401 - what gives status and body
            known = (self.headers.get("x-client-id"), self.headers.get("x-client-secret")) == (CLIENT_ID, CLIENT_SECRET)
            self._say(*(answer() if known else (401, {"code": "authentication_failed"})))

        def _say(self, status: int, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            with suppress(OSError):  # Whoever asked may have gone.
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing: a request line may tell a number."""

    return Handler
