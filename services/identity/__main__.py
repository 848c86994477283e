"""The operator's command line of identity: python -m services.identity ..."""

import argparse
import getpass
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.progress import Progress

from services.chassis import database, settings
from services.identity import jobs, queries
from services.identity.adapters import keys, papers
from services.identity.commands import consent
from services.identity.commands import retention as kept
from services.identity.commands import user as users
from services.identity.keeper import walks
from services.identity.rules.retention import CLASSES, Standing
from services.identity.rules.user import Assignment, User, check_user_id
from services.identity.rules.vault import Kind, Walk
from services.identity.rules.verified import TrustedCertificate
from services.kernel.caller import Role, operator
from services.kernel.errors import Conflict, Invalid, Refused
from services.kernel.ids import parse_id
from services.kernel.month import IST, today
from services.kernel.names import clean_name
from services.kernel.phone import check_mobile
from services.kernel.region import NATION

transaction = database.of("identity")
PAGE = 500


class FaultFound(Exception):  # noqa: N818 - what a check was for, not an error of ours
    """What a check found, in words for the operator."""


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


def check_qr(arguments: argparse.Namespace) -> str:
    fields, _portrait = papers.qr_fields(_content(arguments.file), _trusted(arguments))
    return json.dumps(fields, ensure_ascii=False)


def check_offline_ekyc(arguments: argparse.Namespace) -> str:
    return json.dumps(papers.offline_ekyc_fields(_content(arguments.file), arguments.share_code, _trusted(arguments)), ensure_ascii=False)


def _content(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(papers.CONTENT_BYTES_MAX + 1)
        with Path(name).open("rb") as file:
            return file.read(papers.CONTENT_BYTES_MAX + 1)
    except OSError:
        raise Invalid("FILE_UNREADABLE", "There is no file {file} that can be read.", field="file", file=name) from None


def _trusted(arguments: argparse.Namespace) -> list[TrustedCertificate]:
    return [papers.trusted_certificate(_content(name), arguments.trusted_from, arguments.trusted_until) for name in arguments.trust]


def refusal_in_json(refused: Refused) -> str:
    said: dict[str, object] = {"refused": refused.code, "sentence": str(refused), "field": refused.field}
    return json.dumps(said | ({"prefill": refused.params} if refused.code == "QR_UNSIGNED" else {}), ensure_ascii=False)


def add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What others check papers with: it needs no setting and no database, keeps nothing, and says a refusal in JSON, too."""
    check = commands.add_parser("check", help="check a paper that UIDAI has signed, and keep nothing of it")
    kinds = check.add_subparsers(required=True, metavar="KIND")
    vouched = argparse.ArgumentParser(add_help=False)
    vouched.add_argument("file", metavar="FILE", help="- is standard input")
    vouched.add_argument(
        "--trust", metavar="CERT", action="append", default=[], help="a certificate (PEM or DER) that may have signed it; once or more"
    )
    vouched.add_argument(
        "--trusted-from", metavar="DATE", type=date.fromisoformat, help="trusted for papers from that day on; without it, however old"
    )
    vouched.add_argument(
        "--trusted-until", metavar="DATE", type=date.fromisoformat, help="and up to that day; without it, up to the certificate's own end"
    )
    qr = kinds.add_parser("qr", parents=[vouched], help="an Aadhaar QR: its picture, or a text file of its digits")
    qr.set_defaults(run=check_qr, refusal=refusal_in_json)
    offline = kinds.add_parser("offline-ekyc", parents=[vouched], help="a file of Aadhaar Paperless Offline e-KYC: the zip, or the XML in it")
    offline.add_argument("--share-code", metavar="CODE", default="", help="which she chose when she had it made; the XML alone needs none")
    offline.set_defaults(run=check_offline_ekyc, refusal=refusal_in_json)


def certificates(_arguments: argparse.Namespace) -> str:
    with transaction() as connection:
        held = queries.certificates(connection)
    lines = [
        f"{one.status:8} {one.kind:12} {one.fingerprint}  {one.trusted_from:%Y-%m-%d} to {one.trusted_until:%Y-%m-%d}  {one.subject}"
        f"  {' '.join(filter(None, (one.added_by, one.confirmed_by, one.revoked_by)))}"
        for one in held
    ]
    return "\n".join(lines) or "No certificate of UIDAI is trusted or proposed: no QR and no offline e-KYC can be verified."


def check_consents(_arguments: argparse.Namespace) -> str:
    members = records = 0
    faults: dict[UUID, str] = {}
    after: UUID | None = None
    while True:  # To the last page.
        with database.reading("identity", of_one_moment=True) as connection:
            found, after, count, walked = consent.first_faults(connection, after)
        faults, records, members = faults | found, records + count, members + walked
        if after is None:
            break
    told = f"{records} records of consents of {members} members walked: {len(faults)} chains do not fit."
    if faults:
        raise FaultFound("\n".join([*(f"{member_id}: {fault}" for member_id, fault in sorted(faults.items())), told]))
    return told


def show_retention(_arguments: argparse.Namespace) -> str:
    now = datetime.now(UTC)
    with database.reading("identity") as connection:
        runs, held = kept.runs(connection), kept.held_references(connection)
    found: dict[str, Standing] = {}
    for name in CLASSES:
        with database.reading("vault" if name in kept.OF_THE_VAULT else "identity") as connection:
            found[name] = kept.standing(connection, name, now, jobs.days, held)
    header = ("class", "kept for", "rows", "oldest", "due", "overdue", "held", "last run", "erased ever")
    rows: list[tuple[str, ...]] = [header]
    for name, one in found.items():
        run = runs.get(name)
        last = (f"{run.at:%Y-%m-%d %H:%M}", str(run.erased_ever)) if run else ("never", "0")
        oldest = f"{one.oldest:%Y-%m-%d}" if one.oldest else "-"
        figures = map(str, (one.rows, oldest, one.due, one.overdue, one.held))
        rows.append((name, f"{CLASSES[name].kept(jobs.days).days} days", *figures, *last))
    overdue = sum(one.overdue for one in found.values())
    about = [f"{name}: {one.what}; since {one.since}. {one.why}" for name, one in CLASSES.items()]
    told = "\n".join([*_columns(rows), "", *about, "", f"{overdue} overdue"])
    if overdue:
        raise FaultFound(told)
    return told


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def hold(arguments: argparse.Namespace) -> str:
    member_id = parse_id(arguments.member, "member")
    with transaction() as connection:
        kept.hold(connection, operator(arguments.by), member_id, arguments.reason, datetime.now(UTC))
    return f"Nothing of {member_id} is erased until she is released."


def release(arguments: argparse.Namespace) -> str:
    member_id = parse_id(arguments.member, "member")
    with transaction() as connection:
        kept.release(connection, operator(arguments.by), member_id, arguments.reason)
    return f"What is over of {member_id} is erased in the next round."


def _add_kept(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """What is kept of members, and for how long."""
    consents = commands.add_parser("consents", help="walk the chains of consents; exit 1 where one does not fit")
    consents.add_argument("what", choices=["check"])
    consents.set_defaults(run=check_consents)
    shown = commands.add_parser("retention", help="what is kept of members by class, what of it is due; exit 1 where something is overdue")
    shown.set_defaults(run=show_retention)
    for name, run, about in (
        ("hold", hold, "a legal hold: nothing of a member is erased, whatever she withdraws"),
        ("release", release, "end a legal hold: what is over by then is erased"),
    ):
        made = commands.add_parser(name, help=about, description=f"{about.capitalize()}. For a State Admin, whom the audit names.")
        made.add_argument("--member", required=True, metavar="ID")
        made.add_argument("--by", required=True, help="the State Admin's user id")
        made.add_argument("--reason", required=True, help="the order and its number; names nobody")
        made.set_defaults(run=run)


# --- The vault


@contextmanager
def _shown(what: str) -> Iterator[walks.Advance]:
    """A bar that a person sees at a terminal, and nobody else."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, advance=done, total=of)


def _operator() -> str:
    return operator(getpass.getuser()).user_id


def begin_vault(_arguments: argparse.Namespace) -> str:
    if walks.standing().records:
        raise Conflict("VAULT_HAS_RECORDS", "The vault has records, so it has had keys: look for those, another key 1 opens none of them.")
    held = keys.provider()
    made = [f"{kind} {held.make(kind)}" for kind in Kind if not held.has(kind)]
    return f"Made: {', '.join(made)}." if made else "There is a key of each kind; nothing was made."


def rotate_vault(arguments: argparse.Namespace) -> str:
    what: Walk = arguments.what
    with _shown("records") as advance:
        done = walks.rotate(keys.provider(), what, _operator(), advance)
    under = f" under {'index key' if what is Walk.INDEX_KEY else 'key'} {done.key_id}" if done.key_id else " under data keys of their own, made anew"
    if done.left:
        raise FaultFound(f"{done.records} records brought{under}; {done.left} could not be: their seals do not open.")
    return f"{done.records} records brought{under}: all are."


def show_vault(_arguments: argparse.Namespace) -> str:
    now = walks.standing()
    lines = [
        f"{now.records} numbers, {now.proved} of them proved; {now.erased} erased. {now.of_before} are sealed as by the first version: rotate.",
    ]
    held = keys.provider()
    rows: list[tuple[str, ...]] = [("key", "number", "records")]
    for kind, under in ((Kind.DATA, now.sealed), (Kind.INDEX, now.indexed)):
        rows += [(kind, str(key_id), str(under.get(key_id, 0))) for key_id in held.ids(kind)]
        rows += [(kind, str(key_id), f"{count} - NOT THERE") for key_id, count in under.items() if key_id not in held.ids(kind)]
    lines += _columns(rows)
    for one in now.walks:
        ended = f"ended {one.ended_at:%Y-%m-%d %H:%M}" if one.ended_at else "not ended: run it again"
        lines.append(f"{one.what}: begun {one.begun_at:%Y-%m-%d %H:%M} by {one.user_id}, {one.records} records, {ended}")
    told = "\n".join(lines)
    if any("NOT THERE" in row[2] for row in rows):
        raise FaultFound(told)
    return told


def check_vault(_arguments: argparse.Namespace) -> str:
    with _shown("records") as advance:
        found = walks.check(keys.provider(), _operator(), advance)
    told = (
        f"{found.records} records opened but {found.closed}; {found.entries} entries of the index fit but {found.unfit};"
        f" {found.missing} records have none, {found.twice} numbers are in two records."
    )
    if found.faults:
        raise FaultFound(told)
    return told


def show_uses(arguments: argparse.Namespace) -> str:
    since = datetime.combine(arguments.since, datetime.min.time(), IST)
    return "\n".join(_columns([("act", "purpose", "by", "times", "last"), *walks.used(since)]))


def _add_vault(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    made = commands.add_parser("vault", help="the vault of Aadhaar numbers: its keys, whether all fits, and who used it")
    kinds = made.add_subparsers(required=True, metavar="WHAT")
    begun = kinds.add_parser("begin", help="make the first keys in a PKCS#11 module, for a vault without records; again changes nothing")
    begun.set_defaults(run=begin_vault)
    rotated = kinds.add_parser(
        "rotate",
        help="bring all records under a new key, while enrolments go on",
        description="Makes a key and brings all records under it; one that was cut short goes on. 1 where a record could not be brought.",
    )
    ways = rotated.add_mutually_exclusive_group()
    ways.add_argument("--data-keys", dest="what", action="store_const", const=Walk.DATA_KEYS, help="give each record another data key")
    ways.add_argument("--index-key", dest="what", action="store_const", const=Walk.INDEX_KEY, help="find numbers by another key of the index")
    rotated.set_defaults(run=rotate_vault, what=Walk.KEYS)
    kinds.add_parser("status", help="how many records are under which key; exit 1 where one is not there").set_defaults(run=show_vault)
    kinds.add_parser("check", help="open every record and see that the index finds it; exit 1 where one does not fit").set_defaults(run=check_vault)
    used = kinds.add_parser("uses", help="who had the vault do what, for what purpose, how often")
    used.add_argument("--since", metavar="DATE", type=date.fromisoformat, default=date(2000, 1, 1))
    used.set_defaults(run=show_uses)


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
    add_check(commands)
    listed = commands.add_parser(
        "certificates",
        help="list the certificates that papers of UIDAI may be signed by",
        description="Lists every proposal, the newest first: status, kind, SHA-256, papers of which days it is trusted for, subject, by whom.",
    )
    listed.set_defaults(run=certificates)
    _add_kept(commands)
    _add_vault(commands)
    arguments = parser.parse_args()
    try:
        sys.stdout.write(arguments.run(arguments) + "\n")
    except FaultFound as fault:
        sys.stdout.write(f"{fault}\n")
        return 1
    except Refused as refused:
        if "refusal" in arguments:
            sys.stdout.write(arguments.refusal(refused) + "\n")
        else:
            sys.stderr.write(f"{refused}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
