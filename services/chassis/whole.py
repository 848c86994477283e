"""Everything that an instance does in one process: python -m services.chassis.whole NAME [NAME...]

For a union territory with a few hundred groups, or many states on one machine: the threads of serve, drain, relay and work
side by side. Each event is heard by drain, which takes many at a time and one as well; nameko stays out (decision 1).
"""

import sys
import threading
from functools import partial

from services.chassis import process, serve, work
from services.chassis.drain import Drain
from services.chassis.relay import Relay

# Looks for something to do a tenth as often as processes of their own: what nobody asks for must cost next to nothing here,
# and an event may take some seconds.
PACE = 10.0
EFFECT_PACE = 2.0
# Less so the relay: that a session ended must be known everywhere within 5 seconds, of which the door's own look takes 2.
RELAY_PACE = 4.0


def main() -> None:
    services = process.names("whole", __doc__)
    process.hold_signals()
    process.start("whole", services)

    def body(kind: type[Drain | Relay], pace: float, service: str, stopping: threading.Event) -> None:
        kind(service, stopping, pace).run()

    paces: dict[type[Drain | Relay], float] = {Drain: PACE, Relay: RELAY_PACE}
    moving = {f"{service}-{kind.__name__}": partial(body, kind, pace, service) for kind, pace in paces.items() for service in services}
    # One for effects is enough here, but somebody waits for her one-time password.
    working = {name: run for service in services for name, run in work.bodies(service, PACE, 1, EFFECT_PACE).items()}
    threads = process.Threads({**moving, **working})
    serve.run(services)
    sys.exit(threads.stop())


if __name__ == "__main__":
    main()
