"""The private RabbitMQ: how it is started, and who may do what on it as one definitions file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from deploy.machine.layout import MachineError, say
from deploy.machine.setup import rabbitmq_programs, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from deploy.machine.layout import Instance, Layout

NODE = "lokos@localhost"
ADMIN = "lokos_admin"
# Declares every exchange, queue and binding in the migrate step; the services themselves may declare nothing.
MIGRATE = "migrate"
CONNECT_SECONDS_MAX = 5
IMPORT_SECONDS_MAX = 30
POLL_SECONDS = 0.1

CONFIGURATION = """\
# Written by `python3 -m deploy.machine up`; changes here are lost.
listeners.tcp.1 = 127.0.0.1:{amqp_port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics_port}
# There is no guest: the first user is the administrator, with a password made for this run folder.
default_user = {admin}
default_pass = {password}
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 256MB
# In milliseconds, ten hours: a consumer that waits for its database holds its messages, and must not be thrown out.
consumer_timeout = 36000000
"""


def _folder(layout: Layout) -> Path:
    return layout.run / "rabbitmq"


def definitions_file(layout: Layout) -> Path:
    return _folder(layout) / "definitions.json"


def environment(layout: Layout) -> dict[str, str]:
    """Return the environment of the node and of its command line tools: all that makes it private stands here."""
    folder = _folder(layout)
    return {
        "HOME": str(folder),  # The Erlang cookie lies here.
        "PATH": f"{rabbitmq_programs()}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(layout.erlang_port),
        "ERL_EPMD_PORT": str(layout.epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-such-file"),  # Otherwise the one below /etc is read.
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",  # To the supervisor, like every other program.
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # The name server is a program of its own here, so the node must not start another one.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
        # Together these let the start script replace itself by the virtual machine, so that the supervisor holds
        # the very process that tests kill.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
    }


def server_command() -> list[str]:
    """How to run the node in the foreground."""
    return [f"{rabbitmq_programs()}/rabbitmq-server"]


def epmd_command(layout: Layout) -> list[str]:
    """How to run Erlang's name server in the foreground."""
    return ["epmd", "-port", str(layout.epmd_port), "-address", "127.0.0.1"]


def initialise(layout: Layout, admin_password: str) -> None:
    """Write the node's configuration."""
    folder = _folder(layout)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = CONFIGURATION.format(amqp_port=layout.amqp_port, metrics_port=layout.broker_metrics_port, admin=ADMIN, password=admin_password)
    file = folder / "rabbitmq.conf"
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    (folder / "enabled_plugins").write_text("[rabbitmq_prometheus].\n", encoding="utf-8")


def admin_url(layout: Layout, admin_password: str) -> str:
    """Return the address of the private node with its administrator's login."""
    return f"amqp://{ADMIN}:{admin_password}@127.0.0.1:{layout.amqp_port}/%2F"


def service_url(layout: Layout, instance: Instance, user: str, password: str) -> str:
    """Return the address with which one service of one instance reaches its virtual host."""
    server = urlsplit(os.environ.get("AMQP_URL") or f"amqp://127.0.0.1:{layout.amqp_port}")
    place = server.netloc.rpartition("@")[2]
    login = f"{instance.prefix}_{user}:{quote(password, safe='')}"
    return urlunsplit((server.scheme, f"{login}@{place}", f"/{instance.virtual_host}", server.query, ""))


def _password_hash(user: str, password: str) -> str:
    """RabbitMQ's form: base64 of a salt of four bytes and sha256(salt, password).

    The salt is taken from the password itself so that the same definitions make the same file. That is safe here only
    because the passwords are long and random: no table of hashes of them can exist.
    """
    salt = hashlib.sha256(f"{user}:{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(instances: Mapping[str, Instance], passwords: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Define a virtual host an instance, a user a service. `passwords` has them by code and then by user.

    A service tells on its own exchange only and listens on its own queues only.
    """
    users, permissions = [], []
    for code, instance in instances.items():
        rights = {service: ("^$", rf"^{service}\.events$", rf"^{service}\..*") for service in instance.services}
        rights[MIGRATE] = (".*", ".*", ".*")
        for user, (configure, write, read) in rights.items():
            name = f"{instance.prefix}_{user}"
            users.append(
                {
                    "name": name,
                    "password_hash": _password_hash(name, passwords[code][user]),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": [],
                }
            )
            permissions.append(
                {
                    "user": name,
                    "vhost": instance.virtual_host,
                    "configure": configure,
                    "write": write,
                    "read": read,
                }
            )
    hosts = [{"name": instance.virtual_host} for instance in instances.values()]
    return {"vhosts": hosts, "users": users, "permissions": permissions}


def can_log_in(url: str) -> bool:
    """Whether the broker takes this login."""
    import pika  # Not there yet while setup runs.
    import pika.exceptions  # The same.

    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.blocked_connection_timeout = CONNECT_SECONDS_MAX
    try:
        pika.BlockingConnection(parameters).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


def provision(layout: Layout, wanted: dict[str, Any], logins: list[str]) -> None:
    """Bring users and rights into the broker, unless these very definitions are in it already.

    `logins` are addresses that must work afterwards. Raises MachineError when the broker is somebody else's and its
    administrator still has to import the definitions.
    """
    file = definitions_file(layout)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps(wanted, indent=1)
    stamp = file.with_suffix(".imported")
    digest = hashlib.sha256(text.encode()).hexdigest()
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    if os.environ.get("AMQP_URL"):
        if all(can_log_in(login) for login in logins):
            return
        raise MachineError(
            "The broker of AMQP_URL does not know LokOS's users yet. Run this where you administer it, and then run this "
            f"command again:\n    rabbitmqctl import_definitions {file}"
        )
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    say("rabbitmq: importing virtual hosts, users and rights")
    run("rabbitmqctl", "import_definitions", file, env=environment(layout))
    # The import goes on after the command has returned.
    deadline = time.monotonic() + IMPORT_SECONDS_MAX
    while not all(can_log_in(login) for login in logins):
        if time.monotonic() > deadline:
            raise MachineError(f"RabbitMQ did not take {file}; {layout.logs}/rabbitmq.log tells why.")
        time.sleep(POLL_SECONDS)
    stamp.write_text(digest, encoding="utf-8")


def drop(layout: Layout, instance: Instance) -> None:
    """Delete the instance's virtual host and users; idempotent."""
    users = [f"{instance.prefix}_{user}" for user in (*instance.services, MIGRATE)]
    steps = [("delete_vhost", instance.virtual_host), *(("delete_user", user) for user in users)]
    if os.environ.get("AMQP_URL"):
        lines = "\n".join(f"    rabbitmqctl {' '.join(step)}" for step in steps)
        say(f"rabbitmq: run this where you administer the broker of AMQP_URL:\n{lines}")
        return
    for verb, name in steps:
        kind = verb.removeprefix("delete_")
        there = run("rabbitmqctl", "--quiet", f"list_{kind}s", "--no-table-headers", env=environment(layout)).splitlines()
        if name in (line.split("\t")[0] for line in there):
            run("rabbitmqctl", "--quiet", verb, name, env=environment(layout))
