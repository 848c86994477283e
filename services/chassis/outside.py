"""An address outside that this process asks over HTTPS, or over plain HTTP on its own machine's loopback. Follows no redirection."""

import http.client
import ipaddress
import re
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

_PLACE = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class Away(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """It did not answer, or not in HTTP; what was asked may have been done."""


class Outside:
    """`setting` is where the address stands, for the operator. Paths are what comes after the address."""

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
        connection = self._connect()
        try:
            connection.request(method, self.path + path, body or None, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(bytes_max)
        except (OSError, http.client.HTTPException) as error:
            raise Away from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self.place, timeout=self._seconds_max, context=self._tls)
        return http.client.HTTPConnection(self.place, timeout=self._seconds_max)


def _is_loopback(host: str | None) -> bool:
    """By its number: a name may lead anywhere."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
