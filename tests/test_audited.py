"""Whoever sees a person is noted, and whoever changes something: read from the code itself, so that nobody can forget it."""

import ast
import re
from pathlib import Path

from google.protobuf.descriptor_pb2 import MethodOptions

from services.chassis import contracts

SERVICES = Path(__file__).parents[1] / "services"
NAMES = ("identity", "profiles", "transactions", "dedup", "reporting")
# An answer with one of these, at any depth, tells of a person.
PERSON = {"member_id", "full_name", "mobile", "debit_of", "credit_of", "against_of"}
WRITES = {"insert", "update", "delete", "tell", "tell_all"}
STATEMENT = re.compile(r"\s*(insert into|update \w+|delete from|truncate|with .*(insert into|update \w+|delete from))\b", re.DOTALL)
AGAIN = "tells again what was audited when it changed"
PEN = "the pen of the commands, which audit"
WORD = "part of the checker's word, which is audited"
# Commands that change rows and need no audit row of their own. Those that only an event's handler runs are not asked: the teller audited.
NOT_AUDITED = {
    "identity.session.wait_or_count": "part of a login, a message or an evidence, which are audited",
    **dict.fromkeys(
        (f"identity.vault.{name}" for name in ("touch", "keep", "take", "note", "erase")), "the vault's own table `uses` says who, and why"
    ),
    "identity.vault.prove": "part of kyc.confirm, which is audited",
    **dict.fromkeys(
        (f"identity.vault.{name}" for name in ("seal_anew", "index_anew", "forget_entries", "begin_walk", "note_walk")),
        "part of a walk, which the vault's `walks` notes",
    ),
    "identity.consent.let_go_of_withdrawn": "part of member.release, which is audited",
    "identity.evidence.give_back_try": "a try that was none",
    "identity.retention.erase": "a timer, which notes what it erased in the audit (retention.note)",
    "identity.retention.note_run": "a timer: when it looked",
    "identity.alert.note_sent": "that a message was sent, which `work` logs",
    "identity.alert.take": "what profiles told to be sent; the approval of the loan is audited, and `work` logs what was sent",
    "identity.restored.settle": "part of instance.restore, which is audited",
    "identity.user.restate_users": AGAIN,
    "identity.session.stale": "part of the change that made her tokens stale, which is audited",
    "identity.session.forget": "a timer: tries, one-time passwords and sessions of long ago",
    "identity.sheet.note_progress": "how far an upload is, which is audited row by row",
    "identity.sheet.forget_progress": "a timer: how far uploads were",
    "profiles.batch.forget": "a timer: what became of uploads of long ago",
    "profiles.events.tell_all": PEN,
    "transactions.events.tell_all": PEN,
    "transactions.upkeep.restate_moved": AGAIN,
    "transactions.refuse.forget": "a timer: what was refused long ago, which is in the audit",
    **dict.fromkeys((f"profiles.record.{name}" for name in ("new", "change", "hand_in", "let_in", "note_approval", "hand_back", "withdraw")), PEN),
    **dict.fromkeys(("profiles.member.let_in", "profiles.member.hand_back", "profiles.institution.hand_back"), WORD),
    "profiles.finding.keep": WORD,
    "profiles.institution.map_to": WORD,
    "profiles.institution.put_under": WORD,
    "profiles.restate.restate_institutions": AGAIN,
    "profiles.restate.restate_members": AGAIN,
    "profiles.restate.restate_submissions": AGAIN,
    "profiles.restate.tally": "a timer: counts",
    "profiles.account.ask_for_checks": "part of a submission, which is audited",
    "profiles.account.ask_due": "a timer: asks again what was asked",
    "profiles.account.note_answer": "what the bank said, kept with the check itself",
    "profiles.image.begin": "the first half of image.put, which is audited",
    "profiles.image.name_images": "part of a submission or a decision, which is audited",
    "profiles.image.let_go_of_split": "part of a submission, which is audited",
    "profiles.image.to_erase": "a timer: images that no record names",
    "profiles.image.forget": "a timer: images that no record names",
    "transactions.upkeep.restate_approved": AGAIN,
    "transactions.upkeep.make_partitions": "a timer: lines move to the partition of their month, as they are",
    "transactions.copies.compare_again": "a timer: compares copies with their owner's count",
    "dedup.restate_contests": AGAIN,
    "dedup.rescreen": "the operator's: the same comparison again, of the same records",
    "dedup.restate": AGAIN,
    "dedup.put_to_use": "the operator's, who runs the command, or a batch's, whose start is audited",
    "dedup.restate_institutions": AGAIN,
    "dedup.rescreen_institution": "as dedup.rescreen",
    "profiles.restate.restate_institutions_submitted": AGAIN,
    "reporting.compare_tallies": "a timer: compares copies with their owner's count",
    "reporting.empty": "the operator's: figures, made anew from what is told again",
}


class Commands:
    """A service's commands, and what each calls: `module.function` within the room, other names as they are written."""

    def __init__(self, service):
        room = SERVICES / service / "commands"
        files = {path.stem: path for path in room.glob("[a-z]*.py")} or {"": room.with_suffix(".py")}
        self.calls, self.writes = {}, set()
        for module, path in files.items():
            self._read(module, ast.parse(path.read_text()))

    def _read(self, module, tree):
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and re.search(r"^services\.\w+\.commands", node.module or "")]
        names = {one.asname or one.name: f"{node.module.partition('commands')[2]}.{one.name}".lstrip(".") for node in imports for one in node.names}
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        names |= {name: f"{module}.{name}".lstrip(".") for name in functions}
        statements = {node.targets[0].id for node in tree.body if isinstance(node, ast.Assign) and self._speaks(node)}
        for name, node in functions.items():
            first = [(*ast.unparse(one).split("."), "")[:2] for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)]
            found = {f"{names.get(owner, owner)}.{called}".rstrip(".") for owner, called in first}
            self.calls[names[name]] = found
            if self._speaks(node) or found & statements or {one.rpartition(".")[2] for one in found} & WRITES:
                self.writes.add(names[name])

    def _speaks(self, node):
        """Whether it holds SQL that changes something."""
        return any(isinstance(one, ast.Constant) and isinstance(one.value, str) and STATEMENT.match(one.value) for one in ast.walk(node))

    def reached(self, name):
        """What a command calls, and what that calls, and so on; itself too."""
        seen, waiting = set(), [name]
        while waiting:
            one = waiting.pop()
            seen.add(one)
            waiting += self.calls.get(one, set()) - seen
        return seen

    def public(self):
        return {name for name in self.calls if not name.rpartition(".")[2].startswith("_")}

    def audited(self):
        return {name for name in self.public() if self.reached(name) & {"audit.changed", "audit.row"}}

    def changing(self):
        return {name for name in self.public() if self.reached(name) & self.writes}


def called_in(path):
    """What a room calls of the commands, as `module.function`."""
    found = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)} if path.exists() else set()
    return {name.removeprefix("commands.") for name in found}


def test_every_command_that_changes_something_audits_it():
    silent = {
        f"{service}.{name}"
        for service in NAMES
        for commands in [Commands(service)]
        for name in commands.changing() - commands.audited() - called_in(SERVICES / service / "consumer.py")
    }
    assert silent - NOT_AUDITED.keys() == set(), "these must reach audit.changed, or say above why they need not"
    assert NOT_AUDITED.keys() - silent == set(), "these need no exception any more"


def test_the_code_is_read_right():
    """What the two other tests stand on finds what is known to be there."""
    profiles, transactions = Commands("profiles"), Commands("transactions")
    assert {"review.approve", "sheet.take_members", "institution.submit"} <= profiles.audited() & profiles.changing()
    assert {"sync.sync_meetings", "decide.approve_meetings", "decide.reject_meeting"} <= transactions.audited() & transactions.changing()
    assert "member.note_screening" in profiles.changing() - profiles.audited()
    assert "user.create" in Commands("identity").audited() & Commands("identity").changing()
    assert "member.columns" not in profiles.changing()


def tells_of_a_person(message, above=()):
    inner = [field.message_type for field in message.fields if field.message_type and field.message_type not in above]
    return any(field.name in PERSON for field in message.fields) or any(tells_of_a_person(one, (*above, message)) for one in inner)


def test_whoever_sees_a_person_is_noted():
    """Each such answer comes from a method that notes what was seen; or, where it changes something, from a command that audits."""
    seeing = []
    for service in NAMES:
        room = SERVICES / service
        trees = [ast.parse(path.read_text()) for path in (*room.glob("servicer.py"), *room.glob("servicer/*.py"))]
        methods = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        stated = {rpc.name: rpc for rpc in contracts.rpcs(service).values()}
        for rpc in next(iter(contracts.descriptor(service).services_by_name.values())).methods:
            # What she is shown of herself alone is no sight of another.
            if tells_of_a_person(rpc.output_type) and stated[rpc.name].bound != "OWN":
                seeing.append(rpc.name)
                called = {ast.unparse(node.func) for node in ast.walk(methods[rpc.name]) if isinstance(node, ast.Call)}
                only_reads = rpc.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
                audited = set() if only_reads else called & Commands(service).audited()
                assert audited or called & {"self._seen", "self._reads.seen", "self.reads.seen"}, (
                    f"{rpc.name} of {service} shows a person, and does not note who saw her"
                )
    assert {
        "ListUsers",
        "GetMember",
        "ListMembers",
        "GetScreening",
        "ListFlagged",
        "Pull",
        "Journal",
        "CashBook",
        "GetMeeting",
        "ListMeetings",
    } <= set(seeing)
    assert "Report" not in seeing
