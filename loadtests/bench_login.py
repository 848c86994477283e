"""How many users log in a second in the morning: python -m loadtests.bench_login [--seconds 10]

Each on the device that she has worked on before, with a one-time password, since yesterday's session has ended: Login and
ConfirmLogin over gRPC, against one `serve` process of identity alone. Beside it what the password hash takes by itself, and so
its share of that process's time. Needs an instance's settings: python3 -m deploy.machine with UP -- python -m loadtests.bench_login
The users are invented, and go again; the audit of them stays, as it always does.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import grpc
from sqlalchemy import Connection, delete, insert, text

from deploy.demo.device import Device
from protos import identity_pb2, identity_pb2_grpc
from services.chassis import database, settings
from services.identity.commands import password as passwords
from services.identity.rules import otp
from services.identity.rules.session import keyed
from services.identity.tables import OF_USERS, devices, sessions, user_roles, users
from services.kernel.ids import uuid7
from services.kernel.month import today

SERVICE = "identity"
ROLE = "SHG_BOOKKEEPER"
PASSWORD = "of nobody but the bench 7"  # noqa: S105 - of invented users, who are gone afterwards
AT_ONCE = 16
USERS_A_SECOND = 120  # More than any process takes.
HASHES = 20
START_SECONDS_MAX = 30


def prepare(count: int, key: bytes) -> list[tuple[str, Device]]:
    """Bookkeepers who worked yesterday, each on a device of her own."""
    prefix, region = settings.state().user_prefix, str(settings.state_lgd())
    people = [(f"{prefix}BENCH{number:06}", Device(name="Bench")) for number in range(count)]
    hashed, yesterday = passwords.hashed(PASSWORD), datetime.now(UTC) - timedelta(days=2)
    with database.transaction(SERVICE) as connection:
        _clear(connection, prefix)
        for table, rows in (
            (
                users,
                [
                    {"user_id": one, "full_name": "Bench", "mobile": f"7{number:09}", "password_hash": hashed}
                    | {"status": "ACTIVE", "made_on": today(), "version": 1}
                    for number, (one, _) in enumerate(people)
                ],
            ),
            (user_roles, [{"user_id": one, "role": ROLE, "region": region} for one, _ in people]),
            (
                devices,
                [
                    {
                        "user_id": one,
                        "device": keyed(key, "device", held.device_id),
                        "kind": "APP",
                        "name": "Bench",
                        "bound": True,
                        "otp_at": yesterday,
                    }
                    for one, held in people
                ],
            ),
            (
                sessions,
                [
                    {"session_id": uuid7(), "user_id": one, "role": ROLE, "device": keyed(key, "device", held.device_id), "generation": 0}
                    | {"secret_hash": b"", "began_at": yesterday, "ends_at": yesterday + timedelta(days=1)}
                    for one, held in people
                ],
            ),
        ):
            connection.execute(insert(table), rows)
    return people


def _clear(connection: Connection, prefix: str) -> None:
    """The bench's own alone: six digits after the word, and the name that nobody has."""
    ours = {"ours": f"^{prefix}BENCH[0-9]{{6}}$"}
    if connection.execute(text("select count(*) from users where user_id ~ :ours and full_name <> 'Bench'"), ours).scalar_one():
        raise SystemExit("There are users with the bench's user ids who are not the bench's; it leaves them alone and ends.")
    for table in OF_USERS:
        connection.execute(delete(table).where(table.c.user_id.regexp_match(ours["ours"])))
    connection.execute(text("delete from jobs where arguments ->> 'user_id' ~ :ours"), ours)


@contextmanager
def one_serve_process(service: str) -> Iterator[tuple[str, int]]:
    """One service alone, on a port of its own; its address and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"LOKOS_GRPC_PORT": str(port), "LOKOS_FEDERATION_PORT": "0", "METRICS_PORT": "0", "LOKOS_HEALTH_PORT": "0"}
    with subprocess.Popen([sys.executable, "-m", "services.chassis.serve", service], env=env) as process:  # noqa: S603 - our own
        try:
            yield f"localhost:{port}", process.pid
        finally:
            process.terminate()


def cpu_seconds(pid: int) -> float:
    """Of a process and its threads, so far."""
    used = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def log_in(stub: identity_pb2_grpc.IdentityServiceStub, user_id: str, device: Device, key: bytes) -> None:
    challenge_id = stub.Login(device.login(user_id, PASSWORD, ROLE), timeout=60).challenge.challenge_id
    # The password that work is sending meanwhile: whoever has the instance's key can tell it.
    proof = identity_pb2.ConfirmLoginRequest(challenge_id=challenge_id, otp=otp.code(key, UUID(challenge_id)))
    device.begin(stub.ConfirmLogin(proof, timeout=60))


def hash_seconds() -> float:
    """What one password costs, with nothing else going on."""
    hashed = passwords.hashed(PASSWORD)
    started = time.perf_counter()
    for _ in range(HASHES):
        passwords.is_right(PASSWORD, hashed)
    return (time.perf_counter() - started) / HASHES


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench_login", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring")
    given = parser.parse_args()
    if settings.text("LOKOS_SMS") != "sandbox":
        raise SystemExit("This instance sends real messages, and the bench's users have invented numbers: run it where LOKOS_SMS is sandbox.")
    secret = settings.text("LOKOS_PERSON_KEY").encode()
    key, alone = otp.key_of(secret), hash_seconds()
    people = prepare(int(given.seconds * USERS_A_SECOND), secret)
    credentials = grpc.ssl_channel_credentials(settings.file("LOKOS_TLS_CA_FILE").read_bytes())
    try:
        with one_serve_process(SERVICE) as (address, pid), grpc.secure_channel(address, credentials) as channel, ThreadPoolExecutor(AT_ONCE) as pool:
            stub = identity_pb2_grpc.IdentityServiceStub(channel)
            grpc.channel_ready_future(channel).result(START_SECONDS_MAX)
            waiting = iter(people)
            for user_id, device in (next(waiting) for _ in range(AT_ONCE)):
                log_in(stub, user_id, device, key)
            begun, used = time.perf_counter(), cpu_seconds(pid)
            ends = begun + given.seconds

            def work() -> int:
                done = 0
                while time.perf_counter() < ends and (one := next(waiting, None)):
                    log_in(stub, *one, key)
                    done += 1
                return done

            logins = sum(future.result() for future in [pool.submit(work) for _ in range(AT_ONCE)])
            took, used = time.perf_counter() - begun, cpu_seconds(pid) - used
    finally:
        with database.transaction(SERVICE) as connection:
            _clear(connection, settings.state().user_prefix)
    sys.stdout.write(
        f"bench-login logins_per_second={logins / took:.1f} hash_share={logins * alone / used:.2f} "
        f"hash_milliseconds={alone * 1000:.1f} process_milliseconds={used * 1000 / logins:.1f}\n"
    )


if __name__ == "__main__":
    main()
