"""The geography file of this instance, loaded once a process and again when it was replaced."""

from pathlib import Path

from services.chassis import settings
from services.kernel.files import Latest
from services.kernel.geography import Geography, load

_latest = Latest(lambda path: load(path) if path else Geography(()))  # One a process: a state has a lakh villages.


def geography() -> Geography:
    """The places of this instance; an empty geography before the first import."""
    return _latest.of(Path(settings.text("LOKOS_GEOGRAPHY_FILE")))
