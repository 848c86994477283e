"""House rules that no linter knows."""

import ast
import re
import subprocess
from itertools import chain, pairwise, product
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.chassis import broker, contracts, database, settings
from services.kernel import errors
from services.kernel.caller import Role, Sight, sight_of
from services.transactions.rules.meeting import Waiting

ROOT = Path(__file__).parents[1]
SERVICES = ("identity", "profiles", "transactions", "dedup", "reporting")
FUNCTION_LINES_MAX = 70
CODE = sorted(path for room in ("services", "gateway", "deploy") for path in (ROOT / room).rglob("*.py") if "migrations" not in str(path))
KINDS = {kind.__name__: kind for kind in [*vars(errors).values(), Waiting] if isinstance(kind, type) and issubclass(kind, errors.Refused)}
CODE_OF_A_REFUSAL = r"[A-Z][A-Z_]+"


def tracked():
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


def told_in_protos():
    """Every event message, by service: the proto says of each whether it is a state or a delta."""
    return {
        (service, name)
        for service in SERVICES
        for name in re.findall(r"// (?:State|Delta)\b(?:.*\n)(?://.*\n)*message (\w+)", (ROOT / f"protos/{service}.proto").read_text())
    }


def test_every_event_told_is_heard_and_every_event_heard_is_told():
    heard = {(route.source, route.event) for route in broker.routes(list(SERVICES))}
    assert told_in_protos() == heard
    for service, event in heard:
        code = "".join(path.read_text() for path in (ROOT / "services" / service).rglob("*.py") if "commands" in str(path) or "jobs" in str(path))
        assert re.search(rf"\b{event}\(", code), f"{service} never tells {event}"


@pytest.mark.parametrize("service", contracts.CONTRACTS)
def test_every_rpc_says_who_may_call_and_how_far_she_reaches(service):
    for rpc in contracts.rpcs(service).values():
        assert [rpc.anyone, rpc.any_role, bool(rpc.roles or rpc.scope)].count(True) == 1, rpc.path
        assert rpc.roles <= set(Role), rpc.path
        assert rpc.bound != "UNSPECIFIED", rpc.path
        if rpc.anyone or rpc.any_role:
            assert rpc.bound in {"NOTHING", "OWN"}, rpc.path
        if rpc.bound == "REGION":  # Such a query asks for nothing but the region.
            assert {sight_of(Role(role)) for role in rpc.roles} <= {Sight.REGION}, rpc.path


# Fields of a request that name a region or an institution, and why the door does not look at them.
LOOKED_AT_ELSEWHERE = {
    "SyncMeetings.meetings.institution_id": "meetings are answered one by one",
    **dict.fromkeys(
        (f"SyncMeetings.meetings.{name}.institution_id" for name in ("entries", "transfers_out", "transfers_in")),
        "the other group, of which nothing is shown; a rule looks what it is",
    ),
    "SubmitInstitution.institution.institution_id": "a new one is nobody's yet; the command tells new from old",
    "SubmitInstitution.institution.region": "what is mapped to her may lie outside her region; the command tells new from old",
    "SubmitInstitution.institution.seats.institution_id": "for whom somebody sits in a federation; a rule looks where it stands",
    "WithdrawInstitution.institution_id": "what she handed in need not be mapped to her yet; the command tells whose it is",
    "ListTasks.institution_id": "one of what waits in her regions, which the query is bounded by",
    **dict.fromkeys(
        (
            f"Submit{what}Event.event.new_institution.{name}"
            for what in ("Member", "Institution")
            for name in ("institution_id", "region", "seats.institution_id")
        ),
        "what is split off is nobody's yet; a rule looks at its place",
    ),
    "ListClusters.block": "whoever is in charge of clusters sees little of her block, and may name it; a rule looks",
    "PutImage.institution_id": "one that is about to be handed in is nobody's yet; the command tells new from old",
    "SubmitMember.member.region": "the server's, and ignored",
    **dict.fromkeys(
        (
            f"UploadProfiles.items.{one}.{name}"
            for one in ("institution", "member.member", "member_event.new_institution", "institution_event.new_institution")
            for name in ("institution_id", "region", "seats.institution_id")
        ),
        "items are answered one by one, as the calls that they stand for",
    ),
}


THE_SERVERS = {"waiting", "waiting_event"}  # A record that stands within itself: shown, and never said.


def fields_of(message, before=""):
    """Every field of a request, by its path, and of the messages in it."""
    for one in message.fields:
        yield f"{before}{one.name}", one
        if one.message_type and one.message_type.file.package.startswith("lokos") and one.name not in THE_SERVERS:
            yield from fields_of(one.message_type, f"{before}{one.name}.")


@pytest.mark.parametrize("service", contracts.CONTRACTS)
def test_every_request_that_names_a_region_or_an_institution_is_held_to_it(service):
    for method in next(iter(contracts.descriptor(service).services_by_name.values())).methods:
        rpc = contracts.rpcs(service)[f"/{method.containing_service.full_name}/{method.name}"]
        fields = dict(fields_of(method.input_type))
        for path in filter(None, (rpc.region, rpc.institution)):
            assert fields[path].type == fields[path].TYPE_STRING, f"{method.name} is held to {path}"
            assert not any(fields[path.rsplit(".", depth)[0]].is_repeated for depth in range(path.count(".") + 1)), f"{method.name}.{path}"
        named = {path for path in fields if path.rpartition(".")[2] in {"region", "block", "institution_id"}}
        assert named - {rpc.region, rpc.institution} <= {path.partition(".")[2] for path in LOOKED_AT_ELSEWHERE if path.startswith(f"{method.name}.")}


def test_the_page_of_permissions_is_what_the_protos_say():
    assert (ROOT / "docs/permissions.md").read_text() == contracts.permissions_page()


def test_every_rpcs_comment_states_permission_and_errors():
    for service in contracts.CONTRACTS:
        said = re.findall(r"((?:  //.*\n)+)  rpc (\w+)", (ROOT / f"protos/{service}.proto").read_text())
        assert {name for _, name in said} == {path.rpartition("/")[2] for path in contracts.rpcs(service)}
        for comment, name in said:
            assert "Permission:" in comment, name
            assert "Errors:" in comment, name


def test_the_aadhaar_number_stays_in_identity():
    for name in tracked():
        path = ROOT / name
        if path.suffix not in {".py", ".proto", ".toml"} or not path.exists():
            continue
        mine = name.startswith(("services/identity/", "tests/identity/", "protos/identity.proto", "tests/test_tidy.py"))
        # The demo and the flows play the bookkeeper's device, which hands the number to identity.
        clients = name.startswith(("deploy/demo", "tests/flows/"))
        if not mine and not clients:
            assert "aadhaar_number" not in path.read_text(), name


def texts(node, function):
    """What an expression may say: a text, either side of a condition, or what its name stood for last in that function."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*texts(node.body, function), *texts(node.orelse, function)]
    if not isinstance(node, ast.Name):
        return []
    given = (one for one in ast.walk(function) if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name))
    before = [one for one in given if one.targets[0].id == node.id and one.lineno < node.lineno]
    return texts(max(before, key=lambda one: one.lineno).value, function) if before else []


def said_by(function):
    """Every refusal that a function makes: kind, code, sentence, names of the parameters, line."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute) and len(node.args) >= 2:
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            names = {keyword.arg for keyword in node.keywords}
            if name in KINDS:
                for code, sentence in product(texts(node.args[0], function), texts(node.args[1], function) or [""]):
                    yield name, code, sentence, names, node.lineno


def tabled(tree):
    """Those that stand in a table, the sentence after the code."""
    for row in (node for node in ast.walk(tree) if isinstance(node, ast.Tuple)):
        for code, sentence in pairwise(one.value for one in row.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)):
            if re.fullmatch(CODE_OF_A_REFUSAL, code) and sentence.endswith("."):
                yield "", code, sentence, {None}, row.lineno


def refusals():
    """Every refusal in the code: kind (empty of one in a table), code, sentence (empty where it is made elsewhere), parameters, where."""
    for path in CODE:
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for *refusal, line in chain(tabled(tree), *map(said_by, functions)):
            yield *refusal, f"{path.relative_to(ROOT)}:{line}"


def test_a_refusals_code_is_stable_and_its_sentence_is_one():
    kinds = {}
    found = list(refusals())
    assert len(found) > 50
    for kind, code, sentence, names, where in found:
        assert re.fullmatch(CODE_OF_A_REFUSAL, code), where
        assert kind in {"", kinds.setdefault(code, kind)}, f"{where}: {code} is a {kinds[code]} elsewhere"
        if not sentence:
            continue
        assert sentence[0].isupper() or sentence[0] == "{", where
        assert sentence.endswith((".", "}")), f"{where}: {sentence}"
        used = set(re.findall(r"{(\w+)}", sentence))
        assert None in names or used <= names, f"{where}: {used - names}"


def test_every_code_that_a_proto_names_exists():
    codes = {code for _, code, _, _, _ in refusals()}
    for service in contracts.CONTRACTS:
        text = (ROOT / f"protos/{service}.proto").read_text()
        for comment in re.findall(r"Errors:((?:.*\n  //)*.*)", text):
            for code in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comment.replace("_*", "")):
                if code not in codes and code not in STATUSES and not any(known.startswith(code) for known in codes):
                    pytest.fail(f"{service}.proto names {code}, and nothing refuses with it")


STATUSES = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_for_and_its_functions_are_short(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the first line says what the room is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, f"{node.name} is {node.end_lineno - node.lineno} lines long"


def test_every_ignored_lint_has_its_reason():
    for path in CODE:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "noqa:" in line:
                # A bare ANN401 (the any-typed objects of nameko, pika and grpc) stands where one near it is explained.
                assert re.search(r"noqa: (ANN401$|[A-Z]+\d+(, [A-Z]+\d+)* - .+)", line), f"{path}:{number}"
            if "type: ignore" in line:
                assert re.search(r"type: ignore\[[a-z-]+(, [a-z-]+)*\]  # .+", line), f"{path}:{number}"


@pytest.mark.parametrize("service", SERVICES)
def test_the_migrations_make_what_the_tables_say(up, service):
    """And the chassis's: whoever changes a table and forgets its migration learns it here."""
    import importlib

    from services.chassis import audit, ended, jobs, mailbox  # noqa: F401

    tables = importlib.import_module(f"services.{service}.tables").metadata
    for metadata in (tables, mailbox.metadata):
        with database.engine(service).connect() as connection:
            ours = {"include_object": lambda _i, _n, kind, reflected, against: not (kind == "table" and reflected and against is None)}
            assert compare_metadata(MigrationContext.configure(connection, opts=ours), metadata) == []


def test_no_page_speaks_of_a_machines_paths():
    for name in tracked():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".proto", ".sh"} and path.exists() and name != "tests/test_tidy.py":
            text = path.read_text()
            assert "/work/" not in text, name
            assert "pypi.org" not in text, name


def test_a_missing_setting_stops_the_process_by_its_name(monkeypatch):
    monkeypatch.delenv("LOKOS_STATE_FILE", raising=False)
    with pytest.raises(SystemExit, match="LOKOS_STATE_FILE"):
        settings.instance()
