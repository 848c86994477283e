"""The command line of one machine; see `python3 -m deploy.machine --help`."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.machine import postgres, watch
from deploy.machine.layout import VENV, VENV_PYTHON, Layout, MachineError, read_env, say, state_file
from deploy.machine.machine import Machine
from deploy.machine.setup import prepare

ABOUT = """\
Runs whole LokOS states on one machine: a private PostgreSQL and RabbitMQ and every process, under a supervisor.

LOKOS_RUN is the folder where everything is kept (default: run), LOKOS_PORT_BASE the first of its ports (default: 26000).
LOKOS_STATES names the states ("UP BR KL", or "all"; default: those that this machine has, at first UP and BR). LOKOS_SMALL=1
runs each in one process. A machine keeps the form in which it was first brought up; after `down` it may be given another.
LOKOS_REGISTRY is where the nation finds the states: file (default), or consul, of which one is then run.
DATABASE_URL, AMQP_URL and CONSUL_HTTP_ADDR, when set, name servers that run elsewhere, to be used in place of private ones.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m deploy.machine", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about)

    setup = command("setup", "install what is missing and generate the protos; quick when nothing changed")
    setup.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    setup.add_argument("--load", action="store_true", help="also what load tests need, in .venv-load")
    setup.add_argument("--dedup", action="store_true", help="also what trains and measures the model of duplicates, in .venv-dedup")
    up = command("up", "set up, start everything, and wait until each program is well")
    up.add_argument("codes", nargs="*", metavar="CODE", help="only these instances, such as UP or IN")
    up.add_argument("--only", nargs="+", metavar="PROGRAM", help="of the programs only these, beside the servers")
    provision = command("provision", "start the servers; make or update databases, broker users, keys and tables")
    provision.add_argument("codes", nargs="*", metavar="CODE", help="only these instances")
    command("upgrade", "replace every program that runs by this tree's version, one at a time, while calls go on being answered")
    remove = command("remove", "take a state off this machine: back it up, then delete it; backup and keys stay in the run folder")
    remove.add_argument("code", metavar="CODE")
    remove.add_argument("--yes", action="store_true", help="do it: without this it only says what it would do")
    down = command("down", "stop everything and wait until it is gone")
    down.add_argument("--wipe", action="store_true", help="and delete the run folder with all data in it")
    command("status", "show every program with its state, process id and age")
    logs = command("logs", "show the end of the logs")
    logs.add_argument("program", nargs="?", metavar="PROGRAM", help="only this program's")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    backup = command("backup", "back an instance up into a folder, while it goes on working")
    backup.add_argument("code", metavar="CODE")
    backup.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="which is not there yet (default: backups/CODE-TIME)")
    restore = command("restore", "bring an instance back from a backup, and start it; cut short, run it again")
    restore.add_argument("code", metavar="CODE")
    restore.add_argument("folder", type=Path, metavar="FOLDER")
    restore.add_argument("--drop-old", action="store_true", help="do not keep the database that the instance has now")
    restore.add_argument("--other-keys", action="store_true", help="although the instance's keys are not those of the backup")
    restore.add_argument("--above", type=int, default=0, metavar="EPOCH", help="the epoch that the nation knows, where the database of now is lost")
    who = os.environ.get("USER") or f"uid {os.getuid()}"
    restore.add_argument("--by", default=who, metavar="WHO", help="who restores, for the audit (default: this machine's user)")
    rotate = command("rotate", "give an instance a new signing key, the old one trusted until --end-old; or new passwords")
    rotate.add_argument("code", metavar="CODE")
    rotate.add_argument("--end-old", action="store_true", help="trust the newest key alone")
    rotate.add_argument("--now", action="store_true", help="with --end-old: although what the old key signed may still hold")
    rotate.add_argument("--passwords", action="store_true", help="instead of the key, the services' passwords at database and broker")
    command("scrape", "print the configuration of a Prometheus that watches this machine")
    psql = command("psql", "open a service's tables as the service itself")
    psql.add_argument("code", metavar="CODE")
    psql.add_argument("service", metavar="SERVICE")
    env = command("env", "print the path of an instance's settings")
    env.add_argument("code", metavar="CODE")
    within = command("with", "run a command with an instance's settings: with UP -- python -m services.identity --help")
    within.add_argument("code", metavar="CODE")
    within.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command with its arguments")
    return parser


def _env_file(code: str) -> Path:
    return Layout.from_environment().run / "instances" / code / "env"


def _replace_by(code: str, words: list[str]) -> None:
    """Become the command, so that whoever watches this process watches the command itself."""
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise MachineError("Say what to run: python3 -m deploy.machine with UP -- CMD...")
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    # In the middle of an upgrade the env file is the new version's; the state's file must be the one that this code can read.
    own = {"LOKOS_STATE_FILE": str(state_file(code))}
    try:
        os.execvpe(words[0], words, {**os.environ, "PATH": path, **read_env(_env_file(code)), **own})  # noqa: S606 - the point
    except FileNotFoundError:
        raise MachineError(f"There is no program {words[0]}.") from None


def _open_psql(code: str, service: str) -> None:
    """Become PostgreSQL's client, as the service's own role; the password goes by the environment, which nobody else reads."""
    name = f"{service.upper()}_DATABASE_URL"
    settings = read_env(_env_file(code))
    if name not in settings:
        raise MachineError(f"{code} has no service {service}. It has {settings['LOKOS_SERVICES']}.")
    command, environment = postgres.client("psql", settings[name].replace("+psycopg", "", 1))
    os.execve(command[0], command, environment)  # noqa: S606 - the point


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """One command at a time changes a machine: a restore in the middle of an upgrade would stop what that has just started."""
    run.mkdir(parents=True, exist_ok=True)
    folder = os.open(run, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError(f"Another command is at work on {run}. Wait until it has ended, and run this again.") from None
        yield
    finally:
        os.close(folder)


def _continue_in_venv() -> None:
    """Go on with the interpreter of the virtual environment, which has what the rest needs."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), "-m", "deploy.machine", *sys.argv[1:]])  # noqa: S606 - ourselves


def _show_status() -> None:
    machine = Machine.from_environment()
    states = machine.states()
    if not states:
        say(f"Nothing runs from {machine.run}.")
        return
    say(f"{'PROGRAM':<14} {'STATE':<9} {'PID':>8} {'UPTIME':>10}")
    for state in states:
        minutes, seconds = divmod(state.up_seconds, 60)
        hours, minutes = divmod(minutes, 60)
        uptime = f"{hours}:{minutes:02}:{seconds:02}" if state.pid else "-"
        say(f"{state.name:<14} {state.state:<9} {state.pid or '-':>8} {uptime:>10}")


def _show_logs(program: str | None, *, follow: bool) -> None:
    files = [str(file) for file in Machine.from_environment().log_files(program)]
    if files:
        os.execvp("tail", ["tail", "-n", "50", *(["-F"] if follow else []), *files])  # noqa: S606 - tail it is, from here on


def _run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "with":
            _replace_by(arguments.code, arguments.words)
        case "setup":
            prepare(dev=arguments.dev, load=arguments.load, dedup=arguments.dedup)
        case "up" | "provision" | "backup" | "restore" | "rotate" | "upgrade" | "remove":
            prepare()
            _continue_in_venv()
            machine = Machine.from_environment()
            with _alone(machine.run):
                machine.must_keep_its_form()
                _run_prepared(arguments, machine)
        case "psql":
            _open_psql(arguments.code, arguments.service)
        case "down":
            machine = Machine.from_environment()
            with _alone(machine.run):
                machine.down(wipe=arguments.wipe)
        case "status":
            _show_status()
        case "logs":
            _show_logs(arguments.program, follow=arguments.follow)
        case "scrape":
            machine = Machine.from_environment()
            say(watch.configuration(machine.layout, with_broker="rabbitmq" in machine.programs).rstrip())
        case "env":
            file = _env_file(arguments.code)
            read_env(file)
            say(str(file))


def _run_prepared(arguments: argparse.Namespace, machine: Machine) -> None:
    from deploy.machine import backup, remove, rotate, upgrade  # They need what setup installs.

    match arguments.command:
        case "up":
            machine.up(arguments.only, arguments.codes)
        case "provision":
            machine.provision(arguments.codes)
        case "upgrade":
            upgrade.upgrade(machine)
        case "remove":
            remove.remove(machine, arguments.code, sure=arguments.yes)
        case "backup":
            backup.back_up(machine, arguments.code, arguments.folder)
        case "restore":
            wish = backup.Wish(arguments.by, arguments.drop_old, arguments.other_keys, arguments.above)
            backup.restore(machine, arguments.code, arguments.folder, wish)
        case "rotate" if arguments.end_old:
            rotate.end_old(machine, arguments.code, now=arguments.now)
        case "rotate" if arguments.passwords:
            rotate.change_passwords(machine, arguments.code)
        case "rotate":
            rotate.rotate(machine, arguments.code)


def main() -> int:
    """Run one command; a trouble that a person can mend is told without a traceback."""
    try:
        _run(_parser().parse_args())
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
