"""One machine that runs whole states: private PostgreSQL and RabbitMQ, and every process under a supervisor.

For people: `python3 -m deploy.machine --help`. For tests and the demo: `Machine`.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts it with an older one deserves a sentence, not a traceback
    sys.exit("LokOS needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from deploy.machine.layout import Instance, MachineError
from deploy.machine.machine import Machine

__all__ = ["Instance", "Machine", "MachineError"]
