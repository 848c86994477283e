"""gRPC in: the bookkeeper mapping sheet."""

import grpc

from protos import common_pb2, identity_pb2
from services.chassis import sheets, templates
from services.chassis.interceptors import caller, show_refusal
from services.chassis.templates import Column
from services.identity import queries
from services.identity.commands import sheet
from services.identity.rules import sheet as rules
from services.identity.rules.sheet import Block
from services.identity.servicer.show import here, show_warnings, transaction
from services.kernel.errors import NotFound
from services.kernel.ids import parse_id

Context = grpc.ServicerContext


class Bookkeepers:
    """Reads the request, runs a command or query, shows the answer."""

    def BookkeeperTemplate(self, _request: identity_pb2.BookkeeperTemplateRequest, _context: Context) -> identity_pb2.BookkeeperTemplateResponse:
        now, block = here(), caller().region
        with transaction() as connection:
            institutions = queries.institutions_within(connection, block)
        choices = Block(block, now, institutions).choices()
        columns = [Column(name, choices.get(name, ())) for name in rules.COLUMNS]
        words = [line.format(prefix=now.state.user_prefix) for line in rules.INSTRUCTIONS]
        return identity_pb2.BookkeeperTemplateResponse(workbook=templates.make("Bookkeepers", columns, words))

    def UploadBookkeepers(self, request: identity_pb2.UploadBookkeepersRequest, _context: Context) -> common_pb2.SheetAnswer:
        upload_id = parse_id(request.upload_id, "upload_id") if request.upload_id else None
        rows = sheets.read(request.workbook, rules.COLUMNS)

        def done(count: int) -> None:
            if upload_id:
                with transaction() as own:
                    sheet.note_progress(own, caller(), upload_id, len(rows), count)

        done(0)
        with transaction() as connection:
            answers = sheet.upload(connection, caller(), rows, here(), dry_run=request.dry_run, done=done)
        done(len(rows))
        refused = sum(answer.refused is not None for answer in answers)
        return common_pb2.SheetAnswer(rows=map(_show_answer, answers), accepted=len(answers) - refused, refused=refused)

    def UploadProgress(self, request: identity_pb2.UploadProgressRequest, _context: Context) -> identity_pb2.UploadProgressResponse:
        upload_id = parse_id(request.upload_id, "upload_id")
        with transaction() as connection:
            progress = queries.upload_progress(connection, upload_id, caller().user_id)
        if progress is None:
            raise NotFound("UPLOAD_UNKNOWN", "No upload of yours has this id, or it was too long ago.", field="upload_id")
        rows, rows_done = progress
        return identity_pb2.UploadProgressResponse(rows=rows, rows_done=rows_done)


def _show_answer(answer: sheet.Answer) -> common_pb2.RowAnswer:
    return common_pb2.RowAnswer(
        row=answer.row,
        id=answer.user_id,
        refusal=show_refusal(answer.refused) if answer.refused else None,
        warnings=show_warnings(answer.warnings),
    )
