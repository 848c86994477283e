"""gRPC in: users and what each may do."""

from collections.abc import Iterable
from uuid import UUID

import grpc

from protos import identity_pb2
from services.chassis.audit import Reads
from services.chassis.interceptors import caller
from services.identity import queries
from services.identity.commands import user
from services.identity.rules import user as rules
from services.identity.rules.assignment import Asked
from services.identity.rules.user import Status
from services.identity.servicer.show import here, show, transaction
from services.kernel.caller import Role
from services.kernel.errors import Invalid
from services.kernel.ids import parse_id
from services.kernel.page import page_size, page_unknown

Context = grpc.ServicerContext


class Users:
    """Reads the request, runs a command or query, shows the answer."""

    reads: Reads

    def ListRoles(self, _request: identity_pb2.ListRolesRequest, _context: Context) -> identity_pb2.ListRolesResponse:
        roles = [identity_pb2.RoleInfo(role=role, label=role.label, aliases=role.aliases) for role in Role]
        return identity_pb2.ListRolesResponse(roles=roles)

    def CreateUser(self, request: identity_pb2.CreateUserRequest, _context: Context) -> identity_pb2.User:
        asked = user.Asked(
            request.user_id,
            request.full_name,
            request.mobile,
            _asked(request.assignment),
            request.password,
            request.email,
            request.language,
        )
        with transaction() as connection:
            return show(user.create(connection, caller(), here(), asked))

    def EditUser(self, request: identity_pb2.EditUserRequest, _context: Context) -> identity_pb2.User:
        given = {name: getattr(request, name) for name in ("full_name", "mobile", "email", "language") if request.HasField(name)}
        with transaction() as connection:
            return show(user.edit(connection, caller(), here(), request.user_id, given))

    def AssignRole(self, request: identity_pb2.AssignRoleRequest, _context: Context) -> identity_pb2.User:
        with transaction() as connection:
            return show(user.assign_role(connection, caller(), here(), request.user_id, _asked(request.assignment)))

    def RemoveRole(self, request: identity_pb2.RemoveRoleRequest, _context: Context) -> identity_pb2.User:
        with transaction() as connection:
            return show(user.remove_role(connection, caller(), request.user_id, request.role))

    def LinkInstitutions(self, request: identity_pb2.LinkInstitutionsRequest, _context: Context) -> identity_pb2.User:
        more, less = _ids(request.link, "link"), _ids(request.unlink, "unlink")
        with transaction() as connection:
            return show(user.link(connection, caller(), here(), request.user_id, request.role, more, less))

    def SetPassword(self, request: identity_pb2.SetPasswordRequest, _context: Context) -> identity_pb2.User:
        with transaction() as connection:
            return show(user.set_password(connection, caller(), request.user_id, request.password))

    def SetUserStatus(self, request: identity_pb2.SetUserStatusRequest, _context: Context) -> identity_pb2.User:
        status = _status(request.status)
        if status is None:
            raise Invalid("STATUS_MISSING", "Say whether she is to be active, inactive or deleted.", field="status")
        with transaction() as connection:
            return show(user.set_status(connection, caller(), request.user_id, status, request.reason))

    def GetUser(self, request: identity_pb2.GetUserRequest, _context: Context) -> identity_pb2.User:
        with transaction() as connection:
            seen = rules.must_see(caller(), queries.user(connection, rules.must_be_user_id(request.user_id)))
        self.reads.seen(caller(), "user.get", [seen.user_id])
        return show(rules.as_seen(caller(), seen))

    def ListUsers(self, request: identity_pb2.ListUsersRequest, _context: Context) -> identity_pb2.ListUsersResponse:
        size, after = page_size(request.page.size), request.page.after
        if after and not rules.is_user_id(after):
            raise page_unknown()
        search = rules.search(caller(), request.region, request.category, request.role, request.user_id_or_mobile, _status(request.status))
        with transaction() as connection:
            found = queries.list_users(connection, search, after, size)
        self.reads.seen(caller(), "user.list", [one.user_id for one in found])
        return identity_pb2.ListUsersResponse(
            users=[show(rules.as_seen(caller(), one)) for one in found], next=found[-1].user_id if len(found) == size else ""
        )


def _asked(assignment: identity_pb2.Assignment) -> Asked:
    return Asked(
        assignment.role,
        assignment.region,
        assignment.side,
        _ids(assignment.institution_ids, "assignment.institution_ids"),
        _ids(assignment.cluster_ids, "assignment.cluster_ids"),
    )


def _ids(texts: Iterable[str], field: str) -> frozenset[UUID]:
    return frozenset(parse_id(text, field) for text in texts)


def _status(value: int) -> Status | None:
    """None where it is not said; a value that a newer client may know, and we do not, is refused."""
    if value not in identity_pb2.UserStatus.values():
        raise Invalid("STATUS_UNKNOWN", "There is no such status.", field="status")
    return Status(identity_pb2.UserStatus.Name(value).removeprefix("USER_STATUS_")) if value else None
