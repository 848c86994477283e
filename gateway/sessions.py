"""Which sessions of national users have ended: asked of the nation's own identity, since the gateway hears no events."""

import asyncio
import logging
from uuid import UUID

import grpc

from gateway.ask import Line
from protos.identity_pb2 import EndedSessionsRequest, EndedSessionsResponse
from protos.identity_pb2_grpc import IdentityServiceStub
from services.chassis import ended, settings

log = logging.getLogger(__name__)

ASK_SECONDS = 2.0
DEADLINE_SECONDS = 2.0


class Sessions:
    """Keeps the door's view of them. While identity does not answer, it stays as it was; its age is in the metrics."""

    def __init__(self) -> None:
        certificate = settings.file("LOKOS_TLS_CA_FILE").read_text(encoding="ascii")
        self._line = Line(settings.instance(), settings.text("GATEWAY_IDENTITY_ADDRESS"), certificate, "sessions")
        self._view = ended.view("gateway")
        self._trouble = ""

    async def read(self) -> None:
        """Ask once. Whatever goes wrong is told once, and the next time is a new connection's."""
        try:
            stub = IdentityServiceStub(self._line.channel())
            answer: EndedSessionsResponse = await stub.EndedSessions(EndedSessionsRequest(), timeout=DEADLINE_SECONDS, metadata=self._line.metadata())
            self._view.renew({UUID(session.session_id): session.generation for session in answer.sessions})
        except Exception as error:  # noqa: BLE001 - a file, an address, an answer: the gateway goes on with what it knows
            trouble = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
            if trouble != self._trouble:
                log.warning("identity does not tell which sessions ended; what is known stays, and it is asked again", extra={"error": trouble})
            self._trouble = trouble
            self._line.hang_up()
            return
        if self._trouble:
            log.info("identity tells again which sessions ended")
            self._trouble = ""

    async def keep_reading(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            await self.read()

    async def close(self) -> None:
        await self._line.close()
