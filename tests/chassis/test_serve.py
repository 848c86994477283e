"""The server as a whole: health, reflection, request ids, and what happens when too much comes at once."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from deploy.demo.client import refused
from protos import reporting_pb2, reporting_pb2_grpc
from services.chassis import interceptors, serve, tokens
from services.kernel.caller import Caller, Role

READER = Caller("IUP_READER", Role.STATE_PROGRAM_MANAGER, "9")


@pytest.fixture
def channel(up):
    server, checks = serve.build(["reporting"])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    server.stop(None).wait()


def ask(channel, metadata=()):
    call = reporting_pb2_grpc.ReportingServiceStub(channel).Report
    bearer = ("authorization", f"Bearer {tokens.sign_caller(READER)[0]}")
    return call.with_call(reporting_pb2.ReportRequest(report="gossip"), metadata=(bearer, *metadata), timeout=10)


def test_health_and_reflection_answer_whoever_asks(channel):
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert "lokos.reporting.v1.ReportingService" in services


def test_the_request_id_that_came_goes_back_and_what_is_none_is_replaced(channel):
    for given, kept in (("device-7-call-9", True), ("x" * 65, False), ("a b\u0007".strip("\u0007"), False)):
        with pytest.raises(grpc.RpcError) as error:
            ask(channel, (("x-request-id", given),))
        assert refused(error.value).code == "REPORT_UNKNOWN"
        back = dict(error.value.initial_metadata())["x-request-id"]
        assert (back == given) is kept


def test_too_much_at_once_is_refused_at_once_with_a_time_to_try_again(channel, monkeypatch):
    monkeypatch.setattr(interceptors, "WAITING_MAX", -1)
    with pytest.raises(grpc.RpcError) as error:
        ask(channel)
    answer = refused(error.value)
    assert (answer.status, answer.code) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
    assert answer.retry_seconds == interceptors.RETRY_SECONDS


def test_our_own_bug_is_answered_without_detail(channel, monkeypatch):
    from services.reporting import rules

    def bug(*_):
        raise ZeroDivisionError("Sita Devi, 9876543210")

    monkeypatch.setattr(rules, "check", bug)
    with pytest.raises(grpc.RpcError) as error:
        ask(channel)
    assert error.value.code() == grpc.StatusCode.INTERNAL
    assert "Sita" not in error.value.details()
