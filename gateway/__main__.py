"""The gateway: python -m gateway

One asyncio server on GATEWAY_PORT for national users. Beside the answers it reads the registry, asks the standard questions
ahead, writes snapshots down, and asks which of its users' sessions have ended.
"""

import asyncio
import logging
from pathlib import Path

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gateway.ask import DEADLINE_SECONDS, Asker
from gateway.registry import States
from gateway.servicer import Servicer
from gateway.sessions import Sessions
from gateway.snapshots import Snapshots
from protos import gateway_pb2_grpc
from services.chassis import contracts, discovery, metrics, process, settings
from services.chassis.health import listen
from services.chassis.interceptors import AioDoor
from services.chassis.serve import server_credentials

log = logging.getLogger("gateway")

CALLS_MAX = 256
MESSAGE_BYTES_MAX = 64 * 1024
NAME = contracts.service_name("gateway")


async def build(servicer: Servicer) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """The server, not yet on a port and not yet started."""
    server = grpc.aio.server(
        interceptors=[AioDoor(contracts.rpcs("gateway"))],
        maximum_concurrent_rpcs=CALLS_MAX,  # Each asks every state; beyond, gRPC itself answers RESOURCE_EXHAUSTED.
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), *process.server_options()],
    )
    gateway_pb2_grpc.add_GatewayServiceServicer_to_server(servicer, server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    await checks.set(NAME, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection([NAME, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server, checks


async def run(states: States) -> None:
    stopping = asyncio.Event()
    for number in process.STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    snapshots = Snapshots(Path(settings.text("GATEWAY_SNAPSHOT_DIR")))
    snapshots.load()
    asker = Asker(states, snapshots, float(settings.text("GATEWAY_STATE_DEADLINE_SECONDS", str(DEADLINE_SECONDS))))
    server, checks = await build(Servicer(states, asker))
    sessions = Sessions()
    await sessions.read()  # Before the first call is taken.
    port = settings.number("GATEWAY_PORT")
    server.add_secure_port(f"{settings.text('LOKOS_GRPC_HOST', '127.0.0.1')}:{port}", server_credentials(nation_only=False))
    await server.start()
    probed = grpc.aio.server()
    listen(probed, checks)
    await probed.start()
    process.count_connections([port])
    asyncio.get_running_loop().add_signal_handler(process.LEAVE_SIGNAL, process.leave, [port])
    metrics.READY.labels("gateway", "gateway").set(1)
    beside = [asyncio.create_task(work) for work in (asker.keep_ready(), snapshots.keep_writing(), sessions.keep_reading())]
    log.info("the gateway is up", extra={"states": " ".join(instance.code for instance in states.all())})
    await stopping.wait()
    await checks.enter_graceful_shutdown()
    await server.stop(process.STOP_SECONDS_MAX)
    await probed.stop(None)
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    await asker.close()
    await sessions.close()
    snapshots.write()


def main() -> None:
    process.start("gateway")
    for name in ("GATEWAY_TLS_KEY_FILE", "GATEWAY_TLS_CERT_FILE", "GATEWAY_SIGNING_KEY_FILE"):
        settings.file(name)  # What is missing is said now, by name, and not at the first question.
    settings.text("GATEWAY_IDENTITY_ADDRESS")
    states = States(discovery.registry())
    states.start()
    uvloop.run(run(states))


if __name__ == "__main__":
    main()
