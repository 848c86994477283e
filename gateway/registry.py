"""Which states exist and where: read from the registry in the background, never while somebody waits for an answer."""

import logging
import threading
import time

from prometheus_client import Gauge

from services.chassis.discovery import Instance, Registry, RegistryAwayError

log = logging.getLogger(__name__)

# Between two looks, and after one that failed: twice as long each time, up to the most.
PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 15.0

AGE_SECONDS = Gauge("lokos_registry_age_seconds", "Time since the registry last said which states there are")


class States:
    """The states as last read. One that leaves the registry stays until the gateway starts anew: a gap must be told, not hidden."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._index = ""
        self._known: dict[str, Instance] = {}

    def all(self) -> list[Instance]:
        """Every state ever read, by code."""
        return [self._known[code] for code in sorted(self._known)]

    def of_region(self, region: str) -> Instance | None:
        """The state that a region lies in."""
        code = region.partition(".")[0]
        return next((instance for instance in self.all() if str(instance.lgd_code) == code), None)

    def read(self) -> None:
        """Wait for the registry to say what has changed, or that nothing has."""
        found, self._index = self._registry.watch(self._index)
        # A new dictionary, since answers are made in another thread.
        self._known = self._known | {instance.code: instance for instance in found or () if instance.lgd_code}

    def start(self) -> None:
        """Go on reading in a thread of its own. Returns once the registry was read, however long that takes: a nation of no state would be a lie."""
        was_read = threading.Event()
        threading.Thread(target=self._keep_reading, args=(was_read,), name="registry", daemon=True).start()
        was_read.wait()

    def _keep_reading(self, was_read: threading.Event) -> None:
        pause, read_at = PAUSE_SECONDS, time.monotonic()
        AGE_SECONDS.set_function(lambda: time.monotonic() - read_at)
        while True:
            try:
                self.read()
                pause, read_at = PAUSE_SECONDS, time.monotonic()
                was_read.set()
            except Exception as error:  # Whatever is wrong with the registry, the states are where they were.
                if not isinstance(error, RegistryAwayError):  # Which has been told.
                    log.exception("the registry cannot be read")
                self._index, pause = "", min(2 * pause, PAUSE_SECONDS_MAX)  # When it is back, its index may be another.
            time.sleep(pause)
