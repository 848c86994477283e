"""Structured logs, one JSON object a line, with the request id. What is logged is a sentence and ids: never a name, a phone, a number."""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

from services.kernel.errors import Refused

request_id: ContextVar[str] = ContextVar("request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """Time, level, process, request id, sentence, and what `extra=` gave."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        line.update({key: str(value) for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe(record.exc_info[1])
            line["trace"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line, ensure_ascii=False)


def start(process: str) -> None:
    """Send this process's logs to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Libraries speak only when something is wrong; their chatter may quote what they carry.
    for noisy in ("pika", "kombu", "amqp", "nameko", "alembic", "sqlalchemy", "grpc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def describe(error: BaseException) -> str:
    """An error without what it quotes, since that may be people's data: its kind and, of a refusal, the code, or from a database, the SQLSTATE."""
    original = getattr(error, "orig", None)
    name = type(error).__name__
    if isinstance(error, Refused):
        return f"{name}: {error.code}"
    if original is None:
        return name
    return f"{name}: {type(original).__name__} {getattr(original, 'sqlstate', '') or ''}".strip()
