"""The geography file of this instance, loaded once a process and again when it was replaced."""

import threading
from pathlib import Path

from services.chassis import settings
from services.kernel.geography import Geography, load

_lock = threading.Lock()
_loaded: tuple[tuple[str, float], Geography] | None = None


def geography() -> Geography:
    """The places of this instance; an empty geography before the first import."""
    global _loaded  # noqa: PLW0603 - one copy a process is the point: a state has a lakh villages
    path = Path(settings.text("LOKOS_GEOGRAPHY_FILE"))
    key = (str(path), path.stat().st_mtime if path.exists() else 0.0)
    with _lock:
        if _loaded is None or _loaded[0] != key:
            _loaded = (key, load(path))
        return _loaded[1]
