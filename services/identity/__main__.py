"""The operator's command line of identity: python -m services.identity ..."""

import argparse
import getpass
import sys

from services.chassis import database, settings
from services.identity.commands import user as users
from services.identity.rules.user import Assignment, User, check_user_id
from services.kernel.caller import Role
from services.kernel.errors import Refused
from services.kernel.month import today
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NATION

transaction = database.of("identity")
PAGE = 500


def create_national_admin(arguments: argparse.Namespace) -> str:
    user_id = check_user_id(arguments.user_id, settings.state().user_prefix)
    name, mobile = clean_name(arguments.name, "name"), check_mobile(arguments.mobile, "mobile")
    wanted = User(user_id, name, mobile, (Assignment(Role.NATIONAL_ADMIN, NATION),), today())
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    with transaction() as connection:
        users.create_national_admin(connection, wanted, password, settings.instance())
    return f"{user_id} is a National Admin."


def stop_user(arguments: argparse.Namespace) -> str:
    with transaction() as connection:
        users.stop(connection, arguments.user_id, arguments.reason)
    return f"{arguments.user_id} is inactive, and her sessions have ended."


def restate(arguments: argparse.Namespace) -> str:
    told, after = 0, ""
    while True:  # To the last page.
        with transaction() as connection:
            page = users.restate_users(connection, arguments.to, after, PAGE)
        told += len(page)
        if len(page) < PAGE:
            return f"{told} users told to {arguments.to}."
        after = page[-1].user_id
        sys.stdout.write(f"{told} users ...\n")


def main() -> int:
    """Run one command; a refusal is told in its sentence."""
    parser = argparse.ArgumentParser(prog="python -m services.identity", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    admin = commands.add_parser(
        "create-national-admin",
        help="make the nation's first user; once more changes nothing",
        description="Makes a National Admin, in the national instance only. The password is asked for, or read from standard input.",
    )
    admin.add_argument("--user-id", required=True, help="such as IIN_ADMIN")
    admin.add_argument("--name", required=True)
    admin.add_argument("--mobile", required=True)
    admin.set_defaults(run=create_national_admin)
    stopped = commands.add_parser(
        "stop-user",
        help="make a user inactive whom nobody in the state may stop, such as a State Admin; once more changes nothing",
        description="Makes a user inactive and ends her sessions. The audit names the operator and the reason.",
    )
    stopped.add_argument("--user-id", required=True, help="such as IUP_STATEADMIN")
    stopped.add_argument("--reason", required=True, help="why, for the audit; names nobody else")
    stopped.set_defaults(run=stop_user)
    again = commands.add_parser("restate", help="tell all users anew to one hearer")
    again.add_argument("--to", required=True, metavar="HEARER", choices=["reporting"])
    again.set_defaults(run=restate)
    arguments = parser.parse_args()
    try:
        sys.stdout.write(arguments.run(arguments) + "\n")
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
