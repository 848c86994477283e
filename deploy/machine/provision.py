"""Gives every instance what it needs: databases, broker users, keys, settings; then brings its tables up to date."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deploy.machine import keys, postgres, rabbitmq
from deploy.machine.layout import DATABASE_CONNECTIONS_MAX, PROJECT, VENV_PYTHON, Instance, Layout, read_env, say
from deploy.machine.setup import run
from services.chassis.process import CONNECTION_SECONDS_MAX
from services.kernel.statefile import NATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MIGRATE_MODULE = "services.chassis.migrate"
# Of a Consul that runs elsewhere.
CONSUL_SETTINGS = ("CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN_FILE", "CONSUL_CACERT")
MIGRATING_MAX = 2
SAMPLE_RESIDENTS = PROJECT / "samples" / "sandbox_residents.csv"


def secrets_of(instance: Instance) -> keys.Secrets:
    return keys.Secrets(instance.folder / "secrets.json")


def broker_admin_password(layout: Layout) -> str:
    """Return the password of the private broker's administrator."""
    return keys.Secrets(layout.run / "instances" / "secrets.json").word("rabbitmq")


def write_settings(layout: Layout) -> None:
    """Write every instance's keys, trust and env file; what is there keeps its secrets."""
    layout.run.mkdir(parents=True, exist_ok=True)
    instances = layout.instances()
    folders = [instance.folder for instance in instances.values()]
    for folder in (layout.run / "instances", layout.run / "registry", *folders):
        folder.mkdir(mode=0o700, exist_ok=True)
    keys.make_keys(instances)
    for instance in instances.values():
        settings = _settings(layout, instance, instances[NATION])
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        keys.write_private(instance.env_file, "# Written by `python3 -m deploy.machine up`.\n" + "".join(lines))


def _settings(layout: Layout, instance: Instance, nation: Instance) -> dict[str, str]:
    secret = secrets_of(instance).word
    folder = instance.keys
    signing = keys.signing_keys(folder, "identity")[-1]
    settings = {
        "LOKOS_STATE_FILE": str(instance.state_file),
        "LOKOS_SERVICES": " ".join(instance.services),
        "LOKOS_GRPC_PORT": str(instance.port),
        "LOKOS_FEDERATION_PORT": str(instance.port + 1),
        "LOKOS_ADVERTISE": instance.federation_address,
        "LOKOS_TLS_CERT_FILE": str(folder / "tls.pem"),
        "LOKOS_TLS_KEY_FILE": str(folder / "tls.key"),
        "LOKOS_TLS_CA_FILE": str(instance.ca_file),
        "LOKOS_NATION_CA_FILE": str(nation.ca_file),
        "LOKOS_SIGNING_KEY_FILE": str(signing),
        "LOKOS_SIGNING_KEY_ID": keys.key_id(instance, signing),
        "LOKOS_TRUST_FILE": str(instance.trust_file),
        "LOKOS_REGISTRY": layout.registry,
        "LOKOS_REGISTRY_DIR": str(layout.run / "registry"),
        "LOKOS_GEOGRAPHY_FILE": str(instance.folder / "geography.csv"),
        "LOKOS_PERSON_KEY": secret("person key"),
        "LOKOS_FINGERPRINT_KEY": secret("fingerprint key"),
        "LOKOS_AUDIT_KEY": secret("audit key"),
        "LOKOS_VAULT_KEYS": "file",
        "LOKOS_VAULT_KEYS_FILE": str(keys.make_vault_keys(instance, secret("vault key"), secret("vault token key"))),
        "DATABASE_CONNECTIONS_MAX": str(DATABASE_CONNECTIONS_MAX),
        "LOKOS_CONNECTION_SECONDS_MAX": os.environ.get("LOKOS_CONNECTION_SECONDS_MAX") or str(CONNECTION_SECONDS_MAX),
        "LOKOS_EKYC": "sandbox",
        "LOKOS_SMS": "sandbox",
        "LOKOS_MAIL": "sandbox",
        "LOKOS_MESSAGE_INBOX": str(instance.folder / "inbox"),
        "LOKOS_SANDBOX_RESIDENTS_FILE": os.environ.get("LOKOS_SANDBOX_RESIDENTS_FILE") or str(SAMPLE_RESIDENTS),
        "LOKOS_BANK": "sandbox",
        "LOKOS_IFSC_FILE": str(instance.folder / "ifsc.list"),
        "LOKOS_OBJECTS": "folder",
        "LOKOS_OBJECTS_FOLDER": str(instance.folder / "objects"),
        "LOKOS_OBJECTS_KEY": secret("objects key"),
        "MIGRATE_AMQP_URL": rabbitmq.service_url(layout, instance, rabbitmq.MIGRATE, secret("rabbitmq migrate")),
    }
    for role in instance.roles:
        url = postgres.service_url(layout, instance, role, secret(f"postgres {role}"))
        settings[f"{role.upper()}_DATABASE_URL"] = url
    for service in instance.services:
        url = rabbitmq.service_url(layout, instance, service, secret(f"rabbitmq {service}"))
        settings[f"{service.upper()}_AMQP_URL"] = url
    if layout.registry == "consul":
        settings["CONSUL_HTTP_ADDR"] = f"127.0.0.1:{layout.consul_port}"
        settings |= {name: os.environ[name] for name in CONSUL_SETTINGS if os.environ.get(name)}
    if instance.is_nation:
        snapshots = instance.folder / "snapshots"
        snapshots.mkdir(mode=0o700, exist_ok=True)
        asking = keys.signing_keys(folder, "gateway")[-1]
        settings |= {
            "GATEWAY_PORT": str(instance.port + 2),
            "GATEWAY_IDENTITY_ADDRESS": instance.federation_address,
            "GATEWAY_SIGNING_KEY_FILE": str(asking),
            "GATEWAY_SIGNING_KEY_ID": keys.key_id(instance, asking),
            "GATEWAY_TLS_CERT_FILE": str(folder / "gateway-tls.pem"),
            "GATEWAY_TLS_KEY_FILE": str(folder / "gateway-tls.key"),
            "GATEWAY_SNAPSHOT_DIR": str(snapshots),
        }
    return settings | own_settings(instance)


def own_settings(instance: Instance) -> dict[str, str]:
    """The operator's own, which stand above ours."""
    return read_env(instance.messages_file) if instance.messages_file.exists() else {}


def provision_databases(layout: Layout, instances: Iterable[Instance]) -> None:
    """Make each instance's database, roles and schemas."""
    for instance in instances:
        say(f"provision: database {instance.database}")
        provision_database(layout, instance, instance.database)


def provision_database(layout: Layout, instance: Instance, database: str) -> None:
    """Make one database of this name for an instance; what is in it stays."""
    secret = secrets_of(instance).word
    postgres.provision(layout, instance, {role: secret(f"postgres {role}") for role in instance.roles}, database)


def provision_broker(layout: Layout) -> None:
    """Bring all instances' virtual hosts, users and rights into the broker."""
    instances = layout.instances()
    users = {code: (*instance.services, rabbitmq.MIGRATE) for code, instance in instances.items()}
    passwords: Mapping[str, Mapping[str, str]] = {
        code: {user: secrets_of(instances[code]).word(f"rabbitmq {user}") for user in names} for code, names in users.items()
    }
    settings = (instance.env.items() for instance in instances.values())
    logins = [url for pairs in settings for name, url in pairs if name.endswith("_AMQP_URL")]
    rabbitmq.provision(layout, rabbitmq.definitions(instances, passwords), logins)


def migrate(instances: Sequence[Instance]) -> None:
    """Bring each instance's tables, queues and bindings up to date, some at a time, and say what came of it."""

    def one(instance: Instance) -> str:
        # A service that is still to be written has no tables to make; saying so is better than not starting at all.
        there = [name for name in instance.services if (PROJECT / "services" / name / "__init__.py").exists()]
        missing = sorted(set(instance.services) - set(there))
        told = [f"{instance.code}: no tables for {', '.join(missing)}, which are not there yet"] if missing else []
        if there:
            told.append(run(VENV_PYTHON, "-m", MIGRATE_MODULE, *there, env={**os.environ, **instance.env}).strip())
        return "\n".join(told)

    with ThreadPoolExecutor(MIGRATING_MAX) as pool:
        for number, told in enumerate(pool.map(one, instances), 1):
            say(f"provision: {told} [{number} of {len(instances)}]")
