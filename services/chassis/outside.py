"""An address outside that this process asks over HTTPS, or over plain HTTP on its own machine's loopback. Follows no redirection."""

import http.client
import io
import ipaddress
import re
import ssl
import time
from collections.abc import Mapping
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PLACE = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class Away(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """It did not answer, or not in HTTP; what was asked may have been done."""


class _Heard(io.RawIOBase):
    """What comes from a socket until a moment of the monotonic clock. A socket's own timeout begins anew with each byte that drips in."""

    def __init__(self, raw: io.RawIOBase, line: socket, ends: float) -> None:
        self._raw = raw
        self._line = line
        self._ends = ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        _give(self._line, self._ends)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, line: socket, *arguments: Any, ends: float, **named: Any) -> None:  # noqa: ANN401 - what http.client gives
        super().__init__(line, *arguments, **named)
        self.fp = io.BufferedReader(_Heard(self.fp.detach(), line, ends))


def _give(line: socket, ends: float) -> None:
    """Let the next step have all of the time that is left."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    line.settimeout(left)


class Outside:
    """`setting` is where the address stands, for the operator. Paths are what comes after the address.

    A call that has no answer `seconds_max` after its start is given up, however its bytes drip in. Only connecting and sending are
    not cut short by each other: each of them is given up when it took as long by itself.
    """

    def __init__(self, setting: str, url: str, seconds_max: float) -> None:
        parts = urlsplit(url)
        self.place = parts.netloc
        self.path = parts.path.rstrip("/")
        self._seconds_max = seconds_max
        self.is_loopback = _is_loopback(parts.hostname)
        secret = parts.scheme == "https"
        plain = parts.scheme == "http" and self.is_loopback
        if not _PLACE.fullmatch(parts.netloc) or parts.query or parts.fragment or not (secret or plain):
            raise SystemExit(f"The setting {setting} must be an https address, such as https://host/path (http on this machine's loopback alone).")
        self._tls = ssl.create_default_context() if secret else None

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, bytes_max: int) -> tuple[int, bytes]:
        """Status and body of the answer, of which no more than `bytes_max` is read. Raises Away."""
        ends = time.monotonic() + self._seconds_max
        connection = self._connection()
        try:
            connection.connect()
            _give(connection.sock, ends)
            connection.response_class = partial(_Answer, ends=ends)  # type: ignore[assignment]  # it is called, and nothing else
            connection.request(method, self.path + path, body or None, dict(headers))
            answer = connection.getresponse()
            said = answer.read(bytes_max)
            if answer.length and len(said) < bytes_max:
                raise http.client.IncompleteRead(said, answer.length)
            return answer.status, said
        except (OSError, http.client.HTTPException) as error:
            raise Away from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self.place, timeout=self._seconds_max, context=self._tls)
        return http.client.HTTPConnection(self.place, timeout=self._seconds_max)


def _is_loopback(host: str | None) -> bool:
    """By its number: a name may lead anywhere."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
