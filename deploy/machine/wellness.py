"""Whether a program is well: it does not only run, it answers."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

from deploy.machine import postgres, provision, rabbitmq
from deploy.machine.layout import WHOLE

if TYPE_CHECKING:
    from deploy.machine.layout import Layout, Program

ANSWER_SECONDS_MAX = 2.0


def is_well(layout: Layout, program: Program) -> bool:
    """Ask the program once, in the way that fits it."""
    host, _, port = program.address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS_MAX).close()
    except OSError:
        return False
    match program.proof:
        case "port":
            return True
        case "postgres":
            return _takes_logins(layout)
        case "rabbitmq":
            return rabbitmq.can_log_in(rabbitmq.admin_url(layout, provision.broker_admin_password(layout)))
        case "ready":
            return _is_ready(program)
        case "serves":
            return _is_ready(program) and _serves(program)


def _takes_logins(layout: Layout) -> bool:
    import psycopg  # Heavy, and not every asking needs it.

    try:
        postgres.connect(layout).close()
    except psycopg.OperationalError:
        return False
    return True


def _serves(program: Program) -> bool:
    import grpc  # Heavy, and not every asking needs it.
    from grpc_health.v1 import health_pb2  # The same.

    if program.instance is None:
        return False
    credentials = grpc.ssl_channel_credentials(program.instance.ca_file.read_bytes())
    with grpc.secure_channel(program.address, credentials) as channel:
        # The stub that grpc_health brings has no types for its calls; this is the same call.
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=ANSWER_SECONDS_MAX)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _is_ready(program: Program) -> bool:
    """Whether each of its parts says so for each service. Its metrics have a port of their own: this is surely it, and no other."""
    parts, shown = WHOLE if program.kind == "whole" else (program.kind,), _metrics(program)
    return all(f'lokos_ready{{part="{part}",service="{service}"}} 1.0' in shown for part in parts for service in program.services)


def is_left(program: Program) -> bool:
    """Whether it listens to no new caller, and nobody is connected to it any more."""
    return "lokos_connections 0.0" in _metrics(program)


def _metrics(program: Program) -> list[str]:
    """What it shows for Prometheus, by line; nothing where it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", program.metrics_port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode().splitlines()
    except (OSError, http.client.HTTPException):
        return []
    finally:
        connection.close()
