"""What the process kinds share: names from the command line, logs, metrics, and a stop that finishes what is begun."""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from services.chassis import discovery, logs, metrics, settings

log = logging.getLogger(__name__)

STOP_SECONDS_MAX = 15
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def names(kind: str, about: str | None = None) -> list[str]:
    """The services named on the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m services.chassis.{kind}", description=about)
    parser.add_argument("services", nargs="+", metavar="SERVICE", choices=settings.services(), help=", ".join(settings.services()))
    return list(parser.parse_args().services)


def start(kind: str, services: Sequence[str] = ()) -> None:
    """Logs, metrics, and a look at every setting that this kind of process needs; each calls it before anything else."""
    logs.start(f"{settings.instance()}-{kind}")
    for service in services:
        for name in ("DATABASE_URL",) if kind == "serve" else ("DATABASE_URL", "AMQP_URL"):
            settings.service_setting(service, name)
    if kind in {"serve", "gateway"}:
        for name in ("LOKOS_TLS_CERT_FILE", "LOKOS_TLS_KEY_FILE", "LOKOS_TLS_CA_FILE", "LOKOS_TRUST_FILE"):
            settings.file(name)
    if kind == "serve" and "identity" in services:  # It alone signs; no other process needs to see the key.
        settings.file("LOKOS_SIGNING_KEY_FILE")
        settings.text("LOKOS_SIGNING_KEY_ID")
        for name in ("LOKOS_TLS_CERT_FILE", "LOKOS_TLS_CA_FILE", *(("GATEWAY_TLS_CERT_FILE",) if kind == "gateway" else ())):
            _gauge_certificate(name)
    if kind in {"serve", "work"} and settings.state_lgd():
        settings.text("LOKOS_GEOGRAPHY_FILE")
        discovery.check()
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
    """Let stop signals wait for `wait_for_stop`; called before any thread starts, since threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def wait_for_stop() -> None:
    """Sleep until the process is asked to end."""
    signal.sigwait(STOP_SIGNALS)


def ask_to_stop() -> None:
    """Ask this very process to end, from any thread."""
    os.kill(os.getpid(), signal.SIGTERM)


def run_threads(kind: str, about: str | None, body: Callable[[str, threading.Event], None]) -> None:
    """Run `body(service, stopping)` in a thread a service. One that ends by itself ends the process, for the supervisor to see."""
    services = names(kind, about)
    hold_signals()
    start(kind, services)
    stopping = threading.Event()
    failed: list[str] = []

    def guarded(service: str) -> None:
        try:
            body(service, stopping)
        except BaseException:  # Whatever ends a thread, be it a missing setting, must end the process.
            log.exception("a thread ended", extra={"service": service})
        if not stopping.is_set():
            failed.append(service)
            ask_to_stop()

    threads = [threading.Thread(target=guarded, args=(service,), name=service, daemon=True) for service in services]
    for thread in threads:
        thread.start()
    log.info("%s is up", kind, extra={"services": " ".join(services)})
    wait_for_stop()
    stopping.set()
    for thread in threads:
        thread.join(STOP_SECONDS_MAX)
    sys.exit(1 if failed else 0)
