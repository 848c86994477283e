"""Health alone on a plain port: Kubernetes asks there, since its probe speaks no TLS, and all else is answered over TLS only."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from services.chassis import settings


def listen(server: grpc.Server | grpc.aio.Server, checks: Any) -> None:  # noqa: ANN401 - the health servicer that fits the server, untyped
    """Give a server of its own what `checks` says, on LOKOS_HEALTH_PORT where that is set.

    Of its own, because one server answers everything on each of its ports; and so a probe waits behind no call.
    """
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if port := settings.number("LOKOS_HEALTH_PORT", 0):
        server.add_insecure_port(f"{settings.text('LOKOS_GRPC_HOST', '127.0.0.1')}:{port}")
