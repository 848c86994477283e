"""gRPC in: what the bank says of an account, and the images that profiles name."""

from datetime import UTC, datetime

import grpc

from protos import profiles_pb2
from services.chassis.audit import Reads
from services.chassis.interceptors import caller
from services.kernel.errors import NotFound
from services.kernel.ids import parse_id
from services.profiles import queries
from services.profiles.adapters import images
from services.profiles.commands import account, image
from services.profiles.queries import AnyRow
from services.profiles.rules import image as image_rules
from services.profiles.servicer.show import show_check, transaction

Context = grpc.ServicerContext


class Assets:
    """The part of the servicer behind which a bank and an object store stand."""

    reads: Reads

    def CheckAccount(self, request: profiles_pb2.CheckAccountRequest, _context: Context) -> profiles_pb2.AccountCheck:
        record_id = parse_id(request.record_id, "record_id")
        with transaction() as connection:
            row = account.check_again(connection, caller(), record_id, request.row_id, datetime.now(UTC))
        self.reads.seen(caller(), "account.get", [record_id])
        return show_check(row)

    def PutImage(self, request: profiles_pb2.PutImageRequest, _context: Context) -> profiles_pb2.Image:
        institution_id, found = parse_id(request.institution_id, "institution_id"), image_rules.inspect(request.content)
        with transaction() as connection:
            image_id = image.begin(connection, caller(), institution_id, found, datetime.now(UTC))
        key_id = images.put(image_id, request.content)
        with transaction() as connection:
            return _show(image.finish(connection, caller(), image_id, key_id, datetime.now(UTC)))

    def GetImage(self, request: profiles_pb2.GetImageRequest, _context: Context) -> profiles_pb2.GetImageResponse:
        image_id = parse_id(request.image_id, "image_id")
        with transaction() as connection:
            row = queries.image(connection, caller(), image_id)
            of = queries.records_that_name(connection, image_id)
        content = images.get(image_id)
        if content is None:
            raise NotFound("IMAGE_GONE", "The store has lost this image; whoever has it must put it again.", field="image_id")
        self.reads.seen(caller(), "image.get", [image_id, *of])
        return profiles_pb2.GetImageResponse(image=_show(row), content=content)


def _show(row: AnyRow) -> profiles_pb2.Image:
    return profiles_pb2.Image(image_id=str(row.id), media_type=row.media_type, size_bytes=row.size_bytes, sha256=row.sha256.hex())
