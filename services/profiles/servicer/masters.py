"""gRPC in: the lists that forms offer."""

from collections.abc import Collection

import grpc

from protos import profiles_pb2
from services.chassis import epochs, settings
from services.chassis.interceptors import caller, show_refusal
from services.kernel.page import page_size
from services.profiles.commands import lists
from services.profiles.rules import list_edits
from services.profiles.rules.list_edits import ENGLISH, Edit, Entry
from services.profiles.rules.lists import CLOSED, LOCKED
from services.profiles.servicer.show import transaction

Context = grpc.ServicerContext


class Masters:
    """The part of the servicer that a device downloads its dropdowns from, and a state edits them in."""

    def ListMasters(self, request: profiles_pb2.ListMastersRequest, _context: Context) -> profiles_pb2.ListMastersResponse:
        size = page_size(request.page.size)
        with transaction() as connection:
            version, changed, following = lists.changed_since(connection, request.since_version, request.page.after, size)
            epoch = epochs.current(connection)
        values = [_show_value(name, entry, request.languages) for name, entry in changed]
        return profiles_pb2.ListMastersResponse(values=values, next=following, version=version, instance_epoch=epoch)

    def EditMasters(self, request: profiles_pb2.EditMastersRequest, _context: Context) -> profiles_pb2.EditMastersResponse:
        edits = [Edit(**{name: getattr(value, name) for name in Edit.__dataclass_fields__}) for value in request.values]
        languages = list_edits.languages(settings.state().languages)
        with transaction() as connection:
            answers = lists.edit(connection, caller(), edits, languages, dry_run=request.dry_run)
        return profiles_pb2.EditMastersResponse(
            answers=[
                profiles_pb2.MasterAnswer(
                    value=_show_value(edit.list, answer.entry) if answer.entry else None,
                    refusal=show_refusal(answer.refused) if answer.refused else None,
                )
                for edit, answer in zip(edits, answers, strict=True)
            ]
        )


def _show_value(name: str, entry: Entry, languages: Collection[str] = ()) -> profiles_pb2.MasterValue:
    """A value with its labels in these languages and English; in all where none is named."""
    value = entry.value
    labels = {language: label for language, label in value.labels.items() if not languages or language in {ENGLISH, *languages}}
    return profiles_pb2.MasterValue(
        list=name,
        code=value.code,
        national_code=value.national_code,
        labels=labels,
        order=entry.order,
        active=value.active,
        valid_from=value.valid_from.isoformat() if value.valid_from else "",
        valid_to=value.valid_to.isoformat() if value.valid_to else "",
        version=entry.version,
        locked=(name, value.code) in LOCKED,
        list_closed=name in CLOSED,
    )
