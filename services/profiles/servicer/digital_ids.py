"""gRPC in: digital ids, shown by the record or by what was scanned, and printed."""

from collections.abc import Sequence
from uuid import UUID

import grpc
from sqlalchemy import Connection

from protos import profiles_pb2
from services.chassis import settings
from services.chassis.audit import Reads
from services.chassis.interceptors import caller
from services.kernel.approval import Status
from services.kernel.ids import parse_id
from services.profiles import queries
from services.profiles.adapters import cards
from services.profiles.adapters.cards import Card
from services.profiles.commands.evidence import verified_of
from services.profiles.queries import MEMBER, Subject
from services.profiles.rules import digital_id as rules
from services.profiles.rules.rows import default
from services.profiles.servicer import show
from services.profiles.servicer.show import transaction

Context = grpc.ServicerContext


class DigitalIds:
    """Reads the request, runs a query, shows the answer."""

    reads: Reads

    def GetDigitalId(self, request: profiles_pb2.GetDigitalIdRequest, _context: Context) -> profiles_pb2.DigitalId:
        with transaction() as connection:
            if request.WhichOneof("of") == "scanned":
                found = queries.by_code(connection, caller(), rules.read(request.scanned, settings.state_lgd()))
            else:
                found = queries.record(connection, caller(), parse_id(request.record_id, "record_id"))
            shown = _show(connection, found)
        self.reads.seen(caller(), "digital_id.get", [found.row.id])
        return shown

    def PrintDigitalIds(self, request: profiles_pb2.PrintDigitalIdsRequest, _context: Context) -> profiles_pb2.PrintDigitalIdsResponse:
        institution_id = parse_id(request.institution_id, "institution_id")
        with transaction() as connection:
            group = queries.institution(connection, caller(), institution_id)
            active = [one for one in queries.all_members(connection, institution_id) if one.live is Status.ACTIVE]
        made = [_card(group, ""), *(_card(one, _text(group, "name")) for one in active)]
        self.reads.seen(caller(), "digital_id.print", [institution_id, *(one.row.id for one in active)])
        return profiles_pb2.PrintDigitalIdsResponse(html=cards.sheet(made, _text(group, "name")), cards=len(made))


def _code(found: Subject) -> str:
    if not found.row.code:
        raise rules.not_yet()
    return str(found.row.code)


def _text(found: Subject, name: str) -> str:
    return str(found.content.get(name, ""))


def _card(found: Subject, group: str) -> Card:
    code = _code(found)
    return Card(_text(found, "name"), _text(found, "name_local"), group, rules.printed(code), rules.qr_text(code))


def _show(connection: Connection, found: Subject) -> profiles_pb2.DigitalId:
    code, row = _code(found), found.row
    made = profiles_pb2.DigitalId(
        code=code,
        printed=rules.printed(code),
        qr_text=rules.qr_text(code),
        qr_svg=cards.qr_svg(rules.qr_text(code)),
        record_id=str(row.id),
        kind=found.kind,
        name=_text(found, "name"),
        name_local=_text(found, "name_local"),
        status=f"STATUS_{row.status}",
        inactive_reason=row.inactive_reason,
    )
    if found.kind == MEMBER:
        made.institution_name = _name_of(queries.institutions_among(connection, [row.institution_id]))
        made.goes_on_as = queries.code_of_member(connection, row.merged_into) if row.merged_into else ""
        made.aadhaar.CopyFrom(show.aadhaar(verified_of(row).strongest))
        made.aadhaar.ClearField("number_masked")  # A card is shown to many.
    _show_account(made, connection, found)
    return made


def _name_of(found: Sequence[Subject]) -> str:
    return next((_text(one, "name") for one in found), "")


def _show_account(made: profiles_pb2.DigitalId, connection: Connection, found: Subject) -> None:
    account, record_id = default(found.content, "accounts"), UUID(made.record_id)
    made.account_status = rules.NONE if account is None else rules.UNCHECKED
    if account is None:
        return
    key = (record_id, str(account["row_id"]), str(account["ifsc"]), str(account["account_number"]))
    if check := queries.checks_of(connection, [record_id]).get(key):
        made.account_status = check.outcome
        if check.checked_at:
            made.account_checked_at.FromDatetime(check.checked_at)
