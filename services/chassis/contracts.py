"""What the protos say of each RPC: who may call, and whether it may safely be run twice.

python -m services.chassis.contracts > docs/permissions.md
"""

import importlib
import sys
from dataclasses import dataclass
from functools import cache

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from protos import common_pb2


@dataclass(frozen=True, slots=True)
class Rpc:
    """One line of docs/permissions.md."""

    path: str
    anyone: bool
    any_role: bool
    roles: frozenset[str]
    scope: str
    bound: str
    region: str
    institution: str
    idempotent: bool

    @property
    def service(self) -> str:
        """In whose proto it stands: "profiles"."""
        return self.path.split(".")[1]

    @property
    def name(self) -> str:
        """Without its service: "GetMember"."""
        return self.path.rpartition("/")[2]


def descriptor(service: str) -> FileDescriptor:
    """The proto file of a service or of the gateway."""
    file: FileDescriptor = importlib.import_module(f"protos.{service}_pb2").DESCRIPTOR
    return file


def service_name(service: str) -> str:
    """The full name of the one gRPC service in that file: "lokos.profiles.v1.ProfilesService"."""
    return next(iter(descriptor(service).services_by_name.values())).full_name


@cache
def rpcs(service: str) -> dict[str, Rpc]:
    """Every RPC of a service, by the path that travels: "/lokos.profiles.v1.ProfilesService/GetMember"."""
    methods = next(iter(descriptor(service).services_by_name.values())).methods
    return {rpc.path: rpc for rpc in map(_rpc, methods)}


def _rpc(method: MethodDescriptor) -> Rpc:
    options = method.GetOptions()
    permission: common_pb2.Permission = options.Extensions[common_pb2.permission]  # type: ignore[index]  # the stubs of descriptors know no extensions
    return Rpc(
        path=f"/{method.containing_service.full_name}/{method.name}",
        anyone=permission.anyone,
        any_role=permission.any_role,
        roles=frozenset(permission.roles),
        scope=permission.scope,
        bound=common_pb2.Bound.Name(permission.bound).removeprefix("BOUND_"),
        region=permission.region,
        institution=permission.institution,
        idempotent=options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
    )


CONTRACTS = ("identity", "profiles", "transactions", "dedup", "reporting", "gateway")


def permissions_page() -> str:
    """docs/permissions.md, from the protos."""
    lines = [
        "# Who may call what",
        "",
        "Made from the protos by `python -m services.chassis.contracts`; a test holds it true. What a caller then sees is",
        "bounded by her region or institutions in the query itself. A safe call may be sent again whatever became of the first.",
    ]
    for service in CONTRACTS:
        lines += ["", f"## {service}", "", "| RPC | who | safe to repeat |", "| --- | --- | --- |"]
        for rpc in rpcs(service).values():
            who = ["anyone"] if rpc.anyone else ["whoever is logged in"] if rpc.any_role else sorted(rpc.roles)
            if rpc.scope:
                who.append(f"the nation, scope `{rpc.scope}`")
            lines.append(f"| {rpc.name} | {', '.join(who)} | {'yes' if rpc.idempotent else 'no'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(permissions_page())
