"""Logging in for real: over gRPC, with one-time passwords out of the sandbox's inbox, and every service refusing what has ended."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.demo import books
from deploy.demo.cast import create_user, password
from deploy.demo.client import Client, Login, Pocket, refused
from deploy.demo.device import Device, wait_for_otp
from protos import dedup_pb2, identity_pb2, profiles_pb2, reporting_pb2, transactions_pb2
from services.chassis import tokens
from services.kernel.ids import uuid7
from tests.flows.world import database

pytestmark = pytest.mark.flow

AT_ONCE_SECONDS = 5


@pytest.fixture
def someone(world):
    """A new officer of UP's block, and her password."""
    name = f"LOGIN{secrets.token_hex(4).upper()}"
    create_user(world.up, world.up.admin, name, "BLOCK_PROGRAM_MANAGER", world.up.block, f"7{secrets.randbelow(10**9):09}")
    user_id = world.up.user_id(name)
    return Login(user_id, password(user_id), "BLOCK_PROGRAM_MANAGER")


def code_of(call):
    return books.refusal_of(call).args[0].partition(":")[0]


class Phone:
    """A device of somebody's own, and no other program's."""

    def __init__(self, world, login):
        self.client, self.login, self.device, self.inbox = world.up.nobody(), login, Device(), world.up.pocket.inbox

    def ask(self):
        request = self.device.login(self.login.user_id, self.login.password, self.login.role)
        return self.client(self.client.identity.Login, request)

    def prove(self, challenge):
        otp = wait_for_otp(self.inbox, challenge.challenge_id)
        proof = identity_pb2.ConfirmLoginRequest(challenge_id=challenge.challenge_id, otp=otp)
        self.device.begin(self.client(self.client.identity.ConfirmLogin, proof))

    def enter(self):
        answer = self.ask()
        if answer.HasField("challenge"):
            self.prove(answer.challenge)
        else:
            self.device.begin(answer.session)
        return self

    def refresh(self, request=None):
        self.device.begin(self.client(self.client.identity.Refresh, request or self.device.refresh()))

    def call(self, world, token=None):
        """One call of each service as this user; the codes of what refused, empty where all answered."""
        client = world.up.nobody()
        day = reporting_pb2.ReportRequest(report="summary", region=world.up.block, level="BLOCK", from_month="2026-01", to_month="2026-01")
        calls = {
            "identity": (client.identity.ListClusters, identity_pb2.ListClustersRequest(block=world.up.block)),
            "profiles": (client.profiles.ListInstitutions, profiles_pb2.ListInstitutionsRequest()),
            "transactions": (client.transactions.ListMeetings, transactions_pb2.ListMeetingsRequest(institution_id=str(uuid7()))),
            "dedup": (client.dedup.ListFlagged, dedup_pb2.ListFlaggedRequest()),
            "reporting": (client.reporting.Report, day),
        }
        out = {}
        for service, (method, request) in calls.items():
            try:
                method(request, metadata=(("authorization", f"Bearer {token or self.device.token}"),), timeout=10)
            except grpc.RpcError as error:
                found = refused(error)
                if found.code in {"SESSION_ENDED", "TOKEN_STALE", "TOKEN_EXPIRED", "CLOCK_SKEW", "TOKEN_MISSING"}:
                    out[service] = found.code
        return out


SERVICES = {"identity", "profiles", "transactions", "dedup", "reporting"}


def test_of_two_devices_at_once_one_works(world, someone):
    """Both hold a right one-time password; whoever proves it last works, and the other is out everywhere within five seconds."""
    one, other = Phone(world, someone), Phone(world, someone)
    asked = [phone.ask().challenge for phone in (one, other)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: pair[0].prove(pair[1]), zip((one, other), asked, strict=True)))
    began = time.monotonic()
    books.wait_until("one of the two is out everywhere", lambda: {len(phone.call(world)) for phone in (one, other)} == {0, len(SERVICES)})
    assert time.monotonic() - began < AT_ONCE_SECONDS
    out = next(phone for phone in (one, other) if phone.call(world))
    assert set(out.call(world).values()) == {"SESSION_ENDED"}
    assert code_of(out.refresh) == "SESSION_ENDED"


def test_a_stolen_secret_used_twice_ends_the_session_of_both(world, someone):
    phone = Phone(world, someone).enter()
    thief = Phone(world, someone)
    thief.device.session_id, thief.device.secret = phone.device.session_id, phone.device.secret
    thief.refresh()
    assert not thief.call(world)
    assert code_of(phone.refresh) == "SESSION_ENDED"
    began = time.monotonic()
    books.wait_until("the thief is out everywhere", lambda: len(thief.call(world)) == len(SERVICES))
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert code_of(thief.refresh) == "SESSION_ENDED"


def test_an_answer_that_was_lost_costs_nothing(world, someone):
    phone = Phone(world, someone).enter()
    lost = phone.device.refresh()
    phone.client(phone.client.identity.Refresh, lost)
    phone.refresh(lost)
    phone.refresh()
    assert not phone.call(world)


def test_whoever_logs_out_or_is_given_a_new_password_is_out(world, someone):
    phone = Phone(world, someone).enter()
    bearer = (("authorization", f"Bearer {phone.device.token}"),)
    phone.client.identity.Logout(identity_pb2.LogoutRequest(), metadata=bearer, timeout=10)
    books.wait_until("she is out", lambda: set(phone.call(world).values()) == {"SESSION_ENDED"} and len(phone.call(world)) == len(SERVICES))
    assert code_of(phone.refresh) == "SESSION_ENDED"


def test_a_forgotten_password_is_set_anew_by_whoever_has_the_mobile(world, someone):
    phone = Phone(world, someone).enter()
    nobody = world.up.nobody()
    asked = nobody(nobody.identity.ForgotPassword, identity_pb2.ForgotPasswordRequest(user_id=someone.user_id, device=Device().told))
    otp = wait_for_otp(phone.inbox, asked.challenge_id)
    anew = identity_pb2.SetForgottenPasswordRequest(challenge_id=asked.challenge_id, otp=otp, new_password="quite another password")
    nobody(nobody.identity.SetForgottenPassword, anew)
    assert code_of(phone.refresh) == "SESSION_ENDED"
    assert code_of(phone.ask) == "LOGIN_FAILED"
    phone.login = Login(someone.user_id, "quite another password", someone.role)
    phone.enter()
    assert not phone.call(world)


def test_a_device_whose_clock_is_five_minutes_off_works_and_a_server_whose_clock_is_does_not(world, someone):
    """Devices are told seconds from now. A token out of the future is another machine's, and its clock is to be set."""
    phone = Phone(world, someone).enter()
    assert 0 < phone.device.token_ends - time.time() <= tokens.ACCESS_LIFE.total_seconds()
    claims = jwt.decode(phone.device.token, options={"verify_signature": False})
    env = world.up.instance.env
    key = load_pem_private_key(Path(env["LOKOS_SIGNING_KEY_FILE"]).read_bytes(), password=None)
    for minutes, code in ((5, "CLOCK_SKEW"), (-5, None), (-11, "TOKEN_EXPIRED")):
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        shifted = claims | {"iat": now, "exp": now + tokens.ACCESS_LIFE, "jti": str(uuid4())}
        token = jwt.encode(shifted, key, algorithm="EdDSA", headers={"kid": env["LOKOS_SIGNING_KEY_ID"]})
        assert phone.call(world, token) == (dict.fromkeys(SERVICES, code) if code else {})


def test_ten_thousand_wrong_passwords_come_to_a_few_tries(world, someone):
    """From as many devices as there are tries; she herself goes on, and logs in on her own phone meanwhile.

    A machine that stands still for a while loses its connections: such a try is made again.
    """
    phone = Phone(world, someone).enter()

    def wrong(_number):
        client = world.up.nobody()
        request = Device().login(someone.user_id, "not the password", someone.role)
        for _ in range(5):
            try:
                client.identity.Login(request, timeout=30)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    return refused(error).code
            else:
                return ""
        return "UNREACHABLE"

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(wrong, range(10_000)))
    # Some tries are on their way together when the first of them is counted.
    assert codes.count("LOGIN_FAILED") <= 40
    assert codes.count("LOGIN_FAILED") + codes.count("SLOW_DOWN") == 10_000
    assert not phone.call(world)
    phone.enter()
    assert not phone.call(world)


def test_every_outcome_is_on_record_without_the_password_or_the_code(world, someone):
    phone = Phone(world, someone).enter()
    books.refusal_of(Phone(world, Login(someone.user_id, "not the password", someone.role)).ask)
    with database(world.up, "identity") as stored:
        rows = stored.execute("select action, facts::text from audit where subjects ? %s order by id", [someone.user_id]).fetchall()
        challenge = stored.execute("select c::text from challenges c where user_id = %s", [someone.user_id]).fetchall()
        waiting = stored.execute("select arguments::text from jobs where arguments ->> 'user_id' = %s", [someone.user_id]).fetchall()
    actions = [action for action, _ in rows]
    assert [one for one in actions if one != "user.create"] == ["otp.ask.login", "login", "login.fail"]
    everything = str([rows, challenge, waiting])
    for secret in (someone.password, "not the password", phone.device.secret, phone.device.device_id, phone.device.token):
        assert secret not in everything


def test_a_pocket_is_one_device_for_all_its_programs(world, someone):
    """Two programs of this machine, one user: neither sends the other away."""
    pocket = world.up.pocket
    clients = [Client(world.up.instance.grpc_address, world.up.instance.ca_file, someone, pocket=pocket) for _ in range(2)]
    assert clients[0].token == clients[1].token
    clients[0].forget_token()
    assert clients[0].token != clients[1].token
    for client in clients:
        client(client.profiles.ListInstitutions, profiles_pb2.ListInstitutionsRequest())
        client.close()
    other = Pocket(pocket.devices / "another", pocket.inbox)
    elsewhere = Client(world.up.instance.grpc_address, world.up.instance.ca_file, someone, pocket=other)
    assert elsewhere.token
    elsewhere.close()
