"""gRPC in: python -m services.chassis.serve NAME [NAME...]

One sync server with threads for any number of services, on two ports: LOKOS_GRPC_PORT for users (TLS) and
LOKOS_FEDERATION_PORT for the nation (mutual TLS). Health and reflection beside them. A second process may listen on the
same ports and take over (process.leave).
"""

import gc
import importlib
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.chassis import audit, contracts, database, discovery, ended, metrics, process, settings
from services.chassis.health import listen
from services.chassis.interceptors import WAITING_MAX, Door

log = logging.getLogger(__name__)

THREADS = 8
CALLS_MAX = THREADS + 4 * WAITING_MAX
CHECK_SECONDS = 2
MESSAGE_BYTES_MAX = 4 * 1024 * 1024


def server_credentials(*, nation_only: bool) -> grpc.ServerCredentials:
    """Give this instance's certificate; with `nation_only` a caller must show one of the nation's."""
    pair = (settings.file("LOKOS_TLS_KEY_FILE").read_bytes(), settings.file("LOKOS_TLS_CERT_FILE").read_bytes())
    if not nation_only:
        return grpc.ssl_server_credentials([pair])
    nation: Path = settings.file("LOKOS_NATION_CA_FILE")
    return grpc.ssl_server_credentials([pair], nation.read_bytes(), require_client_auth=True)


def build(services: list[str]) -> tuple[grpc.Server, health.HealthServicer]:
    """The server with all servicers added, not yet started."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="call")
    rpcs = {path: rpc for service in services for path, rpc in contracts.rpcs(service).items()}
    server = grpc.server(
        threads,
        interceptors=[Door(rpcs, threads._work_queue.qsize)],  # noqa: SLF001 - the only way to see how many wait
        maximum_concurrent_rpcs=CALLS_MAX,
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), *process.server_options()],
    )
    for service in services:
        servicer = importlib.import_module(f"services.{service}.servicer").Servicer()
        stubs = importlib.import_module(f"protos.{service}_pb2_grpc")
        getattr(stubs, f"add_{contracts.service_name(service).rpartition('.')[2]}Servicer_to_server")(servicer, server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection([*map(contracts.service_name, services), health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server, checks


def _look(services: list[str]) -> list[bool]:
    """Whether each service's database answers; from one that does, which sessions have ended."""
    return [database.is_back(service, ended.view(service).read) for service in services]


def watch(checks: health.HealthServicer, services: list[str], ports: list[int]) -> None:
    """Tell health what is true of each service's database, and the door which sessions have ended, until the process is asked to end."""
    while True:
        well = _look(services)
        for service, answers in zip(services, well, strict=True):
            checks.set(contracts.service_name(service), _health(answers))
            metrics.READY.labels(service, "serve").set(answers)
        checks.set("", _health(all(well)))
        asked = signal.sigtimedwait(process.STOP_SIGNALS | {process.LEAVE_SIGNAL}, CHECK_SECONDS)
        if asked and asked.si_signo == process.LEAVE_SIGNAL:
            process.leave(ports)
        elif asked:
            return


def _health(well: bool) -> int:  # noqa: FBT001 - one fact
    return health_pb2.HealthCheckResponse.SERVING if well else health_pb2.HealthCheckResponse.NOT_SERVING


def run(services: list[str]) -> None:
    """Serve until the process is asked to end."""
    server, checks = build(services)
    host = settings.text("LOKOS_GRPC_HOST", "127.0.0.1")
    ports = [settings.number("LOKOS_GRPC_PORT")]
    server.add_secure_port(f"{host}:{ports[0]}", server_credentials(nation_only=False))
    if federation := settings.number("LOKOS_FEDERATION_PORT", 0):
        ports.append(federation)
        server.add_secure_port(f"{host}:{federation}", server_credentials(nation_only=True))
    _look(services)  # Before the first call is taken.
    gc.freeze()  # What was imported stays for good: to look through all of it again and again holds up every call.
    server.start()
    probed = grpc.server(ThreadPoolExecutor(1, thread_name_prefix="health"))
    listen(probed, checks)
    probed.start()
    process.count_connections(ports)
    log.info("serve is up", extra={"services": " ".join(services)})
    with discovery.announced({service: contracts.service_name(service) for service in services}):
        watch(checks, services, ports)
    checks.enter_graceful_shutdown()
    server.stop(process.STOP_SECONDS_MAX).wait()
    probed.stop(None)
    audit.flush_reads()


def main() -> None:
    services = process.names("serve", __doc__)
    process.hold_signals()
    process.start("serve", services)
    run(services)


if __name__ == "__main__":
    main()
