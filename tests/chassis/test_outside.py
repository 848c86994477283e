"""An address outside: a call ends in time, and whole or not at all, whatever the other side does."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from deploy.machine import keys
from deploy.machine.layout import Layout
from services.chassis.outside import Away, Outside
from tests.identity.outside import tls

SECONDS_MAX = 0.6
DRIP_SECONDS = 0.05
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "


@contextmanager
def server(answer, certificate=None):
    """Gives each caller these bytes, one after the other and ever so slowly after `at_once` of them."""
    content, at_once = answer
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with suppress(OSError):
                while True:
                    line, _ = listening.accept()
                    threading.Thread(target=talk, args=(line,)).start()

        def talk(line):
            with suppress(OSError):
                if certificate:
                    line = tls(certificate / "tls.pem", certificate / "tls.key").wrap_socket(line, server_side=True)
                with line:
                    line.recv(10_000)
                    line.sendall(content[:at_once])
                    for byte in content[at_once:]:
                        if ended.wait(DRIP_SECONDS):
                            break
                        line.sendall(bytes([byte]))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def ask(port, scheme="http", seconds_max=SECONDS_MAX, bytes_max=10_000):
    return Outside("LOKOS_X_URL", f"{scheme}://127.0.0.1:{port}", seconds_max).ask("GET", "/x", b"", {}, bytes_max=bytes_max)


DRIPPING = [
    (HEAD + b"1000\r\n" + b"X-Slow: yes\r\n" * 1000, 0),
    (HEAD + b"1000\r\n\r\n" + b"x" * 1000, 40),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000, 50),
    (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1000, 20),
]


@pytest.mark.parametrize("answer", DRIPPING)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_that_drips_in_is_given_up(answer, scheme, tmp_path, monkeypatch):
    certificate = None
    if scheme == "https":
        instances = Layout(tmp_path, 30000).instances()
        keys.make_keys(instances)
        certificate = instances["UP"].keys
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    with server(answer, certificate) as port:
        began = time.monotonic()
        with pytest.raises(Away):
            ask(port, scheme)
        # Each byte came well in time, and all of them together would have taken a minute.
        assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "content",
    [HEAD + b"5\r\n\r\nwhole", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nwhole"],
)
def test_an_answer_that_comes_in_time_is_had_whole(content):
    with server((content, 10)) as port:
        assert ask(port, seconds_max=30) == (200, b"whole")


def test_an_answer_that_is_cut_short_is_none():
    with server((HEAD + b"50\r\n\r\ncut", 1000)) as port:
        with pytest.raises(Away):
            ask(port, seconds_max=30)
        assert ask(port, seconds_max=30, bytes_max=3) == (200, b"cut"), "more is not wanted"
