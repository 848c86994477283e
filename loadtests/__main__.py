"""make load: Locust against the running system, with its people made where there are none, and its reports kept.

The reports, HTML and CSV, go to load/<time>/ in the run folder. Exits with 1 where the books are not what was acknowledged, or too many
requests failed. Further arguments go to Locust: its own, or those of loadtests/locustfile.py, which are
  --day-seconds 600 --peak-users 50    play a whole day, compressed into ten minutes, in place of --users and --seconds
  --think-seconds 1                    how long a user rests between two journeys, on average
  --connections 8                      to each server, shared by the devices
  --failures-percent-max 1             how many of the requests may fail
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from deploy.demo.client import RefusedError
from deploy.machine import Machine, MachineError
from deploy.machine.layout import LOAD_VENV, PROJECT, say
from loadtests import people
from loadtests.client import PeopleError, people_file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--state", default="UP", help="which of this machine's states, where no people file is named (UP)")
    parser.add_argument("--people", type=Path, help="a people file, of this or any other system")
    parser.add_argument("--users", type=int, default=20, help="how many are at work at once (20)")
    parser.add_argument("--seconds", type=int, default=60, help="for how long (60)")
    parser.add_argument("--ui", action="store_true", help="Locust's web page in place of a run")
    return parser


def command(given: argparse.Namespace, file: Path, reports: Path, further: list[str]) -> list[str]:
    """Locust's command line."""
    words = [str(LOAD_VENV / "bin" / "python"), "-m", "locust", "-f", "loadtests/locustfile.py", "--people", str(file)]
    if given.ui:
        return [*words, "--web-host", "127.0.0.1", *further]
    words += ["--headless", "--only-summary", "--loglevel", "WARNING"]
    words += ["--csv", f"{reports}/locust", "--html", f"{reports}/locust.html", "--json-file", f"{reports}/locust"]
    if not any(word.startswith("--day-seconds") for word in further):
        words += ["-u", str(given.users), "-r", str(max(given.users / 5, 1)), "-t", f"{given.seconds}s"]
    return [*words, *further]


def main() -> int:
    parser = _parser()
    given, further = parser.parse_known_args()
    if given.users < 1 or given.seconds < 1:
        parser.error("there is at least one user, for at least one second")
    machine = Machine.from_environment()
    reports = machine.run / "load" / time.strftime("%Y%m%dT%H%M%S")
    try:
        file = (given.people or people_file(machine.run, given.state)).resolve()
        if given.people is None:
            people.make(machine, given.state, None, file)
    except (MachineError, PeopleError, RefusedError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    if not machine.run.exists():
        machine.run.mkdir(parents=True)
        machine.layout.marker.touch()  # A later `make up` would take it for somebody else's folder.
    if not given.ui:
        say(f"reports go to {reports}: locust.html, locust_*.csv")
    return _become(command(given, file, reports, further))


def _become(words: list[str]) -> NoReturn:
    """Go on as Locust, so that an interrupt is its own, and it judges what it has."""
    os.chdir(PROJECT)
    os.execv(words[0], words)  # noqa: S606 - as said


if __name__ == "__main__":
    sys.exit(main())
