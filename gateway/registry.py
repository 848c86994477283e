"""Which states exist and where: read from the registry in the background, never while somebody waits for an answer."""

import asyncio
import logging

from services.chassis.discovery import Instance, Registry

log = logging.getLogger(__name__)

READ_SECONDS = 3.0


class States:
    """The states as last read. One that leaves the registry stays until the gateway starts anew: a gap must be told, not hidden."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, Instance] = {}

    def all(self) -> list[Instance]:
        """Every state ever read, by code."""
        return [self._known[code] for code in sorted(self._known)]

    def of_region(self, region: str) -> Instance | None:
        """The state that a region lies in."""
        code = region.partition(".")[0]
        return next((instance for instance in self.all() if str(instance.lgd_code) == code), None)

    async def read(self) -> None:
        for instance in await asyncio.to_thread(self._registry.all):
            if instance.lgd_code:
                self._known[instance.code] = instance

    async def keep_reading(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.read()
            except Exception:  # Whatever is wrong with the registry, the states are where they were.
                log.exception("the registry cannot be read")
            await asyncio.sleep(READ_SECONDS)
