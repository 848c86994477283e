"""The plain port that Kubernetes asks: it says what health says, and answers nothing else."""

import os
import socket
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import gateway_pb2, gateway_pb2_grpc, reporting_pb2, reporting_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@pytest.fixture(params=["serve", "gateway"])
def probed(request, up):
    """A real process beside the machine's own, and its plain port."""
    code, module = ("UP", ["services.chassis.serve", "reporting"]) if request.param == "serve" else ("IN", ["gateway"])
    port = free_port()
    ports = {"LOKOS_GRPC_PORT": free_port(), "LOKOS_FEDERATION_PORT": "0", "GATEWAY_PORT": free_port(), "LOKOS_HEALTH_PORT": port}
    started = subprocess.Popen([sys.executable, "-m", *module], env={**os.environ, **up.instances[code].env, **ports}, stderr=subprocess.DEVNULL)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield request.param, channel
    started.terminate()
    assert started.wait(30) == 0


def test_it_says_what_health_says_and_answers_nothing_else(probed):
    kind, channel = probed
    health, deadline = health_pb2_grpc.HealthStub(channel), time.monotonic() + 60
    while True:
        try:
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=2).status == SERVING
            break
        except grpc.RpcError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    if kind == "serve":
        call, question = reporting_pb2_grpc.ReportingServiceStub(channel).Report, reporting_pb2.ReportRequest()
    else:
        call, question = gateway_pb2_grpc.GatewayServiceStub(channel).NationalReport, gateway_pb2.NationalReportRequest()
    with pytest.raises(grpc.RpcError) as refused:
        call(question, timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
