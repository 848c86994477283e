"""The nation asks the states: both fresh, one away, one back; and nobody gets in by the wrong door."""

from pathlib import Path

import grpc
import psycopg
import pytest

from deploy.demo import books
from deploy.demo.client import Client, RefusedError
from protos import gateway_pb2, reporting_pb2, reporting_pb2_grpc
from services.kernel import month
from tests.flows.world import figures

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

FRESH, STALE, MISSING = gateway_pb2.FRESHNESS_FRESH, gateway_pb2.FRESHNESS_STALE, gateway_pb2.FRESHNESS_MISSING


def national(world, **changes):
    this_month = month.month_of(month.today())
    plain = {"report": "summary", "level": "STATE", "from_month": "2000-01", "to_month": this_month}
    gateway = world.nation.gateway()
    return gateway(gateway.gateway.NationalReport, gateway_pb2.NationalReportRequest(**{**plain, **changes}))


def parts(answer):
    return {part.state: part.freshness for part in answer.parts}


def all_fresh(world):
    return books.wait_until("both states are fresh", lambda: (a := national(world)) and parts(a) == {"UP": FRESH, "BR": FRESH} and a)


def test_the_national_report_is_the_sum_of_the_states(world):
    answer = all_fresh(world)
    columns = [column.name for column in answer.columns]
    rows = {row.region: dict(zip(columns, row.values, strict=True)) for row in answer.rows}
    assert rows["9"] == figures(world.up)
    assert rows["10"] == figures(world.br)
    total = national(world, level="NATION")
    assert len(total.rows) == 1
    summed = dict(zip(columns, total.rows[0].values, strict=True))
    assert summed == {name: rows["9"][name] + rows["10"][name] for name in columns}
    assert answer.members_covered == answer.members_registered


def test_a_state_that_is_away_costs_its_own_part_and_comes_back(world):
    all_fresh(world)
    world.machine.stop("br-serve")
    try:
        answer = national(world)
        assert parts(answer) == {"UP": FRESH, "BR": STALE}
        away = next(part for part in answer.parts if part.state == "BR")
        assert away.age_seconds >= 0
        assert away.reason
        assert national(world, from_month="2001-02").parts[0].state
        assert parts(national(world, from_month="2001-02"))["BR"] == MISSING
        refusal = books.refusal_of(lambda: national(world, complete=True))
        assert refusal.code == "ANSWER_INCOMPLETE"
        assert "BR" in refusal.sentence
    finally:
        world.machine.start("br-serve")
        world.machine.wait_well("br-serve")
    all_fresh(world)


def ask_state(world, state, *, certificate=True):
    """As somebody who has got hold of a user's token, or of no certificate, at the federation's port."""
    own = world.nation.instance.env
    pair = (
        {
            "private_key": Path(own["GATEWAY_TLS_KEY_FILE"]).read_bytes(),
            "certificate_chain": Path(own["GATEWAY_TLS_CERT_FILE"]).read_bytes(),
        }
        if certificate
        else {}
    )
    credentials = grpc.ssl_channel_credentials(state.instance.ca_file.read_bytes(), **pair)
    channel = grpc.secure_channel(state.instance.federation_address, credentials)
    return channel, reporting_pb2_grpc.ReportingServiceStub(channel)


def test_the_federations_port_lets_in_the_nations_certificate_alone(world):
    channel, stub = ask_state(world, world.up, certificate=False)
    with channel, pytest.raises(grpc.RpcError) as error:
        stub.Report(reporting_pb2.ReportRequest(), timeout=5)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_users_token_is_worth_nothing_at_the_federations_port_nor_in_another_state(world):
    token = world.up.reader.token
    channel, stub = ask_state(world, world.up)
    with channel, pytest.raises(grpc.RpcError) as error:
        stub.Report(reporting_pb2.ReportRequest(), timeout=5, metadata=(("authorization", f"Bearer {token}"),))
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    stranger = Client(world.br.instance.grpc_address, world.br.instance.ca_file)
    with pytest.raises(grpc.RpcError) as error:
        stranger.reporting.Report(reporting_pb2.ReportRequest(), timeout=5, metadata=(("authorization", f"Bearer {token}"),))
    stranger.close()
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("role", ["identity", "profiles", "transactions", "dedup", "reporting", "vault"])
def test_no_states_role_enters_another_states_database_and_no_services_role_another_services_tables(world, role):
    url = world.up.instance.env[f"{role.upper()}_DATABASE_URL"].replace("+psycopg", "")
    with pytest.raises(psycopg.OperationalError, match=r"permission denied|CONNECT"):
        psycopg.connect(url.replace("lokos_up", "lokos_br"))
    with psycopg.connect(url, autocommit=True) as connection:
        for other in ("identity", "profiles", "transactions", "dedup", "reporting", "vault"):
            tables = connection.execute("select table_name from information_schema.tables where table_schema = %s", [other]).fetchall()
            assert bool(tables) == (other == role), f"{role} sees {other}"
            if other != role:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"create table {other}.mine (x int)")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to_month": "2099-01"}, "MONTH_IN_FUTURE"),
        ({"to_month": "soon"}, "MONTH_INVALID"),
        ({"level": "HAMLET"}, "REGION_LEVEL"),
        ({"region": "77"}, "REGION_UNKNOWN"),
        ({"region": "9.9999999", "level": "DISTRICT"}, "REGION_UNKNOWN"),
        ({"region": "9; drop table figures"}, "REGION_INVALID"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_words(world, changes, code):
    with pytest.raises(RefusedError) as refused:
        national(world, **changes)
    assert refused.value.code == code
    assert refused.value.status != grpc.StatusCode.INTERNAL
