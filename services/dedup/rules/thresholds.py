"""From how much evidence on a match matters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In hundredths of a bit of a score: from where a pair is shown, is a double in all likelihood, and is a supervisor's to overrule."""

    shown_centibits: int = 0
    decided_centibits: int = 400
    supervisor_centibits: int = 800
