"""What the protos say of each RPC: who may call, how far she reaches, and whether it may safely be run twice.

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


_REACH = {
    "UNSPECIFIED": "",
    "NOTHING": "nothing of anybody's",
    "OWN": "her own user, and what she began",
    "REGION": "her region",
    "INSTITUTION": "her region, or her institutions",
}

CONTRACTS = ("identity", "profiles", "transactions", "dedup", "reporting", "gateway")


def permissions_page() -> str:
    """docs/permissions.md, from the protos."""
    lines = [
        "# Who may call what",
        "",
        "Made from the protos by `python -m services.chassis.contracts`; a test holds it true, and another walks every call in every",
        "role. The region or institution that a request names in the field shown must be hers, and the query touches nothing else.",
        "A safe call may be sent again whatever became of the first.",
        "",
        "Her region is that of her role; of a Block Program Manager in charge of clusters, the Gram Panchayats of these, so what sits at",
        "the block itself, as a CLF, is for a manager without clusters. A bookkeeper's institutions are those mapped to her; an approver's",
        "are the VOs or CLFs, as is her side, that are mapped to her, and all below them. Of the rest nobody learns whether it exists.",
    ]
    for service in CONTRACTS:
        lines += ["", f"## {service}", "", "| RPC | who | what she reaches | field | safe to repeat |", "| --- | --- | --- | --- | --- |"]
        for rpc in rpcs(service).values():
            who = ["anyone"] if rpc.anyone else ["whoever is logged in"] if rpc.any_role else sorted(rpc.roles)
            if rpc.scope:
                who.append(f"the nation, scope `{rpc.scope}`")
            field = ", ".join(f"`{path}`" for path in (rpc.region, rpc.institution) if path)
            lines.append(f"| {rpc.name} | {', '.join(who)} | {_REACH[rpc.bound]} | {field} | {'yes' if rpc.idempotent else 'no'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(permissions_page())
