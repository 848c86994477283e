"""What the process kinds share: names from the command line, logs, metrics, and an end that finishes what is begun."""

import argparse
import ctypes
import logging
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.chassis import discovery, logs, metrics, settings

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 15
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
# Another process has come up on the same ports: listen no more, go on with the connections that there are.
LEAVE_SIGNAL = signal.SIGUSR1
CONNECTION_SECONDS_MAX = 20
PR_SET_DUMPABLE = 4  # Of prctl(2).


def names(kind: str, about: str | None = None) -> list[str]:
    """The services named on the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m services.chassis.{kind}", description=about)
    parser.add_argument("services", nargs="+", metavar="SERVICE", choices=settings.services(), help=", ".join(settings.services()))
    return list(parser.parse_args().services)


def forbid_looking() -> None:
    """The memory of this process holds keys: nobody but root looks into it, also not a child of its own (services.chassis.child)."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)


def start(kind: str, services: Sequence[str] = ()) -> None:
    """Logs, metrics, and a look at every setting that this kind of process needs; each calls it before anything else."""
    logs.start(f"{settings.instance()}-{kind}")
    forbid_looking()
    for service in services:
        for name in ("DATABASE_URL",) if kind == "serve" else ("DATABASE_URL", "AMQP_URL"):
            settings.service_setting(service, name)
    if kind in {"serve", "gateway", "whole"}:
        for name in ("LOKOS_TLS_CERT_FILE", "LOKOS_TLS_KEY_FILE", "LOKOS_TLS_CA_FILE", "LOKOS_TRUST_FILE"):
            settings.file(name)
        for name in ("LOKOS_TLS_CERT_FILE", "LOKOS_TLS_CA_FILE", *(("GATEWAY_TLS_CERT_FILE",) if kind == "gateway" else ())):
            _gauge_certificate(name)
        from services.chassis import tokens  # Of the process kinds, only those that answer calls need it.

        tokens.must_have_trust()
    if kind in {"serve", "whole"} and "identity" in services:  # It alone signs; no other process needs to see the key.
        settings.file("LOKOS_SIGNING_KEY_FILE")
        settings.text("LOKOS_SIGNING_KEY_ID")
    if kind in {"work", "whole"}:  # It seals the audit.
        settings.text("LOKOS_AUDIT_KEY")
    if kind in {"serve", "work", "whole"} and settings.state_lgd():
        settings.text("LOKOS_GEOGRAPHY_FILE")
        discovery.check()
    if kind in {"work", "whole"}:
        from services.chassis import jobs  # Of the process kinds, only those that do jobs need it.

        jobs.check(services)
    metrics.start()


def _gauge_certificate(name: str) -> None:
    """The time left to the certificates in a setting's file, as they are read now; a new file counts from the next start."""
    from cryptography import x509  # Of the process kinds, only those that answer calls need it.

    file = settings.file(name)
    try:
        ends = min(certificate.not_valid_after_utc.timestamp() for certificate in x509.load_pem_x509_certificates(file.read_bytes()))
    except ValueError:
        raise SystemExit(f"The setting {name} names {file}, which holds no certificate in PEM.") from None
    metrics.CERTIFICATE_SECONDS_LEFT.labels(name).set_function(lambda: ends - time.time())


def hold_signals() -> None:
    """Let signals wait for whoever asks for them; called before any thread starts, since threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {LEAVE_SIGNAL})


def server_options() -> list[tuple[str, int]]:
    """How a gRPC server shares its ports with another process, and hands over to it.

    It asks a connection of some age to be made anew, and loses no call by it. So, that long after it stopped to listen, nobody is
    connected to it and it may end.
    """
    seconds = settings.number("LOKOS_CONNECTION_SECONDS_MAX", CONNECTION_SECONDS_MAX)
    return [("grpc.so_reuseport", 1), ("grpc.max_connection_age_ms", seconds * 1000)]


def wait_for_stop() -> None:
    """Sleep until the process is asked to end."""
    signal.sigwait(STOP_SIGNALS)


def ask_to_stop() -> None:
    """Ask this very process to end, from any thread."""
    os.kill(os.getpid(), signal.SIGTERM)


def _sockets(ports: Collection[int]) -> Iterator[socket.socket]:
    """The sockets of this process on these ports: gRPC made them and shows them to nobody."""
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        with suppress(OSError):  # It was closed meanwhile.
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as found:
                    if found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockname()[1] in ports:
                        yield found


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_connected(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def count_connections(ports: Collection[int]) -> None:
    """Show in the metrics how many are connected to these ports, and one more for each that is listened on."""
    metrics.CONNECTIONS.set_function(lambda: sum(_listens(one) or _is_connected(one) for one in _sockets(ports)))


def leave(ports: Collection[int]) -> None:
    """Listen on these ports no more. gRPC has no call for it, but shutting a listening socket down is all that it takes."""
    for one in _sockets(ports):
        if _listens(one):
            one.shutdown(socket.SHUT_RD)
    log.info("listens no more", extra={"ports": " ".join(map(str, sorted(ports)))})


Bodies = Mapping[str, Callable[[threading.Event], None]]


class Threads:
    """Bodies that run until they are asked to stop. One that ends by itself ends the process, for the supervisor to see."""

    def __init__(self, bodies: Bodies) -> None:
        self._stopping = threading.Event()
        self._failed: list[str] = []
        self._threads = [threading.Thread(target=self._guarded, args=pair, name=pair[0], daemon=True) for pair in bodies.items()]
        for thread in self._threads:
            thread.start()

    def _guarded(self, name: str, body: Callable[[threading.Event], None]) -> None:
        try:
            body(self._stopping)
        except BaseException:  # Whatever ends a thread, be it a missing setting, must end the process.
            log.exception("a thread ended", extra={"service": name})
        if not self._stopping.is_set():
            self._failed.append(name)
            ask_to_stop()

    def stop(self) -> int:
        """Wait until all have finished what they began; the exit code of the process."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS_MAX)
        return 1 if self._failed else 0


def run_threads(kind: str, about: str | None, bodies: Callable[[str], Bodies]) -> None:
    """Be a process that runs each service's bodies, by name, in threads of their own."""
    services = names(kind, about)
    hold_signals()
    start(kind, services)
    threads = Threads({name: body for service in services for name, body in bodies(service).items()})
    log.info("%s is up", kind, extra={"services": " ".join(services)})
    wait_for_stop()
    sys.exit(threads.stop())
