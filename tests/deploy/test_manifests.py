"""The Kubernetes manifests: all of them render and fit, what is wrong is found, and a pod has all that its process asks for."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.machine import keys, rabbitmq
from deploy.machine.layout import NATION_SERVICES, PROJECT, STATE_SERVICES, VAULT, Layout, MachineError
from deploy.manifests import agrees, overlays
from deploy.manifests.__main__ import check
from deploy.manifests.overlays import Tree, render
from services.chassis import contracts

HEX = "0" * 64
POD = "deploy/k8s/components/process/pod.yaml"


def small_tree(root):
    """The project's manifests with one small state, to be spoiled."""
    shutil.copytree(PROJECT / "deploy" / "k8s", root / "deploy" / "k8s", ignore=shutil.ignore_patterns("states"))
    for file in ("deploy/states/SK.toml", "deploy/nation.toml", "deploy/watch/rules.yaml", "deploy/watch/dashboard.json", "docs/operate.md"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, root / file)
    made = Tree(root)
    overlays.write(made)
    return made


@pytest.fixture
def tree(tmp_path):
    return small_tree(tmp_path)


def spoil(tree, file, old, new):
    path = tree.root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def rendered():
    """All objects of Uttar Pradesh and of the nation."""
    tree = Tree()
    return {state.code: render(tree.overlay(state)) for state in tree.state_files.values() if state.code in {"UP", "IN"}}


def of(objects, *kinds):
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] in kinds}


def pods(objects):
    return {name: thing["spec"]["template"]["spec"] for name, thing in of(objects, *agrees.WORKLOADS).items()}


@pytest.mark.timeout(900)
def test_all_states_and_the_nation_render_and_fit():
    done = subprocess.run([sys.executable, "-m", "deploy.manifests", "check"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "36 overlays" in done.stdout


# File, what stands in it, what is planted in its place, and what must be said.
FAULTS = [
    ("base/identity.yaml", "replicas: 1", "replicaz: 1", "Deployment identity-consume: spec: .*replicaz"),
    ("base/database.yaml", "instances: 3", "instances: three", "Cluster database: spec.instances: 'three'"),
    (
        "base/entrance.yaml",
        "selector: {app.kubernetes.io/name: reporting",
        "selector: {app.kubernetes.io/name: report",
        "federation: it selects no pod",
    ),
    ("base/dedup.yaml", "targetPort: users", "targetPort: user", "Service dedup: it names the port user, which dedup-serve has not"),
    ("base/dedup.yaml", "name: dedup-serve}", "name: dedup}", "HorizontalPodAutoscaler dedup: there is no Deployment dedup"),
    ("base/dedup.yaml", "backendRefs: [{name: dedup", "backendRefs: [{name: dedupe", "GRPCRoute dedup: there is no Service dedupe"),
    ("base/broker.yaml", "app.kubernetes.io/name: broker", "app.kubernetes.io/name: rabbit", "PodDisruptionBudget broker: it selects no pod"),
    ("base/monitors.yaml", "- port: metrics", "- port: metric", "PodMonitor processes: it names the port metric,"),
    (
        "base/monitors.yaml",
        "PodMonitor\nmetadata:\n  name: broker",
        "PodMonitors\nmetadata:\n  name: broker",
        "PodMonitors broker: there is no schema for it",
    ),
    ("base/identity.yaml", "secretName: identity,", "secretName: identities,", "names the Secret identities, which nothing makes"),
    ("base/identity.yaml", "key: vault.keys", "key: vaultkeys", "identity-serve: it reads vaultkeys of the Secret identity"),
    ("base/places.yaml", "claimName: geography", "claimName: places", "there is no PersistentVolumeClaim places"),
    ("base/profiles.yaml", "$(DATABASE)", "$(DATABSE)", r"profiles-serve: PROFILES_DATABASE_URL uses \$\(DATABSE\)"),
    ("components/small/kustomization.yaml", '"400"', '"200"', "max_connections is 200"),
    ("components/process/pod.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "root file system that is read-only"),
    ("base/network.yaml", "- ports: [{port: 8444}]", "- ports: [{port: 8444}, {port: 8443}]", "anybody reaches reporting-serve:8443"),
    ("base/network.yaml", '/broker: "yes"}}}]', '/broker: "no"}}}]', "must reach broker:5672, and cannot"),
    ("components/process/database.yaml", 'labels: {lokos.example/database: "yes"}', "labels: {}", "must reach database:5432, and cannot"),
    (
        "components/nation/gateway.yaml",
        "{app.kubernetes.io/name: gateway}}}]\n      ports: [{port: 8444}]",
        "{app.kubernetes.io/name: gateway}}}]\n      ports: [{port: 8443}]",
        "gateway must reach identity-serve:8444, and cannot",
    ),
    ("states/sk/kustomization.yaml", "newTag: ", "newTag: 9", "states/sk/kustomization.yaml is not what its sources say. Run `make k8s`"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is said of a tree with all of these faults in it."""
    made = small_tree(tmp_path_factory.mktemp("spoiled"))
    assert check(made) == []
    for file, old, new, _ in FAULTS:
        spoil(made, f"deploy/k8s/{file}", old, new)
    return check(made)


@pytest.mark.parametrize("said", [said for *_, said in FAULTS])
def test_what_is_wrong_is_found(found, said):
    assert any(re.search(said, fault) for fault in found), found


def test_what_is_right_is_left_alone(found):
    known = [*(said for *_, said in FAULTS), "NetworkPolicy to-database: it selects no pod"]  # The last follows from another one.
    strange = [fault for fault in found if not any(re.search(said, fault) for said in known)]
    assert strange == []


def test_an_overlay_follows_its_states_file(tree):
    assert overlays.stale(tree) == []
    spoil(tree, "deploy/states/SK.toml", 'size = "small"', 'size = "large"')
    again = Tree(tree.root)
    overlays.read_state.cache_clear()
    assert len(overlays.stale(again)) == 2
    assert all("make k8s" in fault for fault in overlays.stale(again))
    assert {file.name for file in overlays.write(again)} == {"SK.toml", "kustomization.yaml"}
    assert overlays.write(again) == []
    assert check(again) == []


def test_a_state_that_goes_takes_its_overlay_along(tree):
    (tree.root / "deploy" / "states" / "SK.toml").unlink()
    less = Tree(tree.root)
    overlays.write(less)
    assert not (tree.k8s / "states" / "sk").exists()
    assert [folder.name for folder in less.overlays()] == ["nation", "watch"]


def test_rules_and_dashboard_are_wrapped_for_their_operators(tree):
    (tree.watch / "rules.yaml").write_text("groups: [{name: wires, rules: [{alert: Old, expr: 'lokos_outbox_age_seconds > 60', for: 5m}]}]")
    (tree.watch / "dashboard.json").write_text('{"title": "LokOS"}')
    overlays.write(tree)
    assert check(tree) == []
    objects = render(tree.k8s / "watch")
    assert {thing["metadata"]["namespace"] for thing in objects} == {"monitoring"}
    assert of(objects, "PrometheusRule")["lokos"]["spec"]["groups"][0]["rules"][0]["for"] == "5m"
    dashboard = of(objects, "ConfigMap")["lokos-dashboard"]
    assert dashboard["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert json.loads(dashboard["data"]["lokos.json"]) == {"title": "LokOS"}
    spoil(tree, "deploy/watch/rules.yaml", "expr:", "exp:")
    overlays.write(tree)
    assert any("PrometheusRule" in fault for fault in check(tree))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("domain =", "domian =", "domian is no key.*\n  domain is missing"), ("# [UP]", "[XX]", "XX is no instance's code")],
)
def test_a_site_file_that_is_wrong_is_refused_with_every_fault(tree, old, new, said):
    spoil(tree, "deploy/k8s/site.toml", old, new)
    with pytest.raises(MachineError, match=said):
        overlays.write(tree)


def test_a_site_file_may_say_otherwise_for_one_instance(tree):
    spoil(tree, "deploy/k8s/site.toml", "# [UP]", '[SK]\nversion = "9.9.9"')
    overlays.write(tree)
    assert "9.9.9" in (tree.k8s / "states/sk/kustomization.yaml").read_text()
    assert "9.9.9" not in (tree.k8s / "nation/kustomization.yaml").read_text()


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), ([], 2), (["apply"], 2)])
def test_the_command_explains_itself(words, code):
    done = subprocess.run([sys.executable, "-m", "deploy.manifests", *words], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "generate" in done.stdout + done.stderr


# What the one machine does, the cluster does too.


@pytest.mark.parametrize("code", ["UP", "IN"])
def test_every_process_of_the_machine_has_its_pod(rendered, code):
    programs = [program for program in Layout(PROJECT / "run", 26000).applications() if program.instance.code == code]
    wanted = {f"{service}-{module.rpartition('.')[2]}" for module, *services in (program.module for program in programs) for service in services}
    wanted |= {"migrate"} | ({"gateway"} if code == "IN" else set())
    assert set(pods(rendered[code])) == wanted


@pytest.mark.parametrize(("code", "services"), [("UP", STATE_SERVICES), ("IN", NATION_SERVICES)])
def test_database_and_broker_let_in_whom_the_machine_lets_in(rendered, code, services):
    objects, layout = rendered[code], Layout(PROJECT / "run", 26000)
    assert {schema["name"] for schema in of(objects, "Database")["lokos"]["spec"]["schemas"]} == {*services, VAULT}
    assert {role["name"] for role in of(objects, "Cluster")["database"]["spec"]["managed"]["roles"]} == {*services, VAULT}
    users = (*services, rabbitmq.MIGRATE)
    wanted = rabbitmq.definitions({code: layout.instances()[code]}, {code: dict.fromkeys(users, "word")})["permissions"]
    rights = {right["user"].partition("_")[2]: [right["configure"], right["write"], right["read"]] for right in wanted}
    given = {name: thing["spec"]["permissions"] for name, thing in of(objects, "Permission").items()}
    assert {name: [right["configure"], right["write"], right["read"]] for name, right in given.items()} == rights
    assert set(of(objects, "User")) == set(users)


def test_every_volume_asks_for_the_storage_class_of_its_kind(rendered):
    for objects in rendered.values():
        cluster, broker = of(objects, "Cluster")["database"]["spec"], of(objects, "RabbitmqCluster")["broker"]["spec"]
        classes = {cluster["storage"]["storageClass"], cluster["walStorage"]["storageClass"], broker["persistence"]["storageClassName"]}
        claims = [claim for stateful in of(objects, "StatefulSet").values() for claim in stateful["spec"]["volumeClaimTemplates"]]
        assert classes | {claim["spec"]["storageClassName"] for claim in claims} == {"fast"}
        assert {claim["spec"]["storageClassName"] for claim in of(objects, "PersistentVolumeClaim").values()} <= {"shared"}
    assert of(rendered["UP"], "PersistentVolumeClaim")
    assert of(rendered["IN"], "StatefulSet")


@pytest.mark.parametrize(("code", "services"), [("UP", STATE_SERVICES), ("IN", (*NATION_SERVICES, "gateway"))])
def test_a_call_is_led_to_the_service_that_its_path_names(rendered, code, services):
    routes = of(rendered[code], "GRPCRoute")
    led = {rule["matches"][0]["method"]["service"]: rule["backendRefs"][0]["name"] for route in routes.values() for rule in route["spec"]["rules"]}
    assert led == {contracts.service_name(service): service for service in services}


# What a process asks for, its pod has. The code itself is asked, and not a list of it.

ASKED = """
import json, os, sys
from services.chassis import process, serve
for pod in json.load(sys.stdin):
    os.environ.clear()
    os.environ.update(pod["settings"])
    try:
        process.start(pod["kind"], pod["services"])
        if pod["kind"] == "serve":
            serve.build(pod["services"])
    except SystemExit as missing:
        print(pod["name"], missing)
os._exit(0)
"""


def settings_of(objects, spec):
    """What the process in a pod finds in its environment; a secret is any hexadecimal number."""
    container, found = spec["containers"][0], {}
    for source in container["envFrom"]:
        if "configMapRef" in source:  # A Secret that may be missing is taken as missing.
            found |= of(objects, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    for variable in container["env"]:
        value = variable.get("value", HEX)
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], value)
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    instances = Layout(tmp_path_factory.mktemp("run"), 30000).instances()
    keys.make_keys(instances)
    return instances["UP"].ca_file.read_text()


def make_files(objects, spec, root, certificate):
    """The files that a pod finds mounted, below `root`."""
    by_hand = agrees.noted(Tree())
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    for mount in spec["containers"][0]["volumeMounts"]:
        folder = root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True)
        volume = volumes.get(mount["name"], {})
        source = volume.get("secret") or volume.get("configMap") or {}
        name = source.get("secretName") or source.get("name")
        data = of(objects, "ConfigMap").get(name, {}).get("data", {})
        keys = {item["path"] for item in source.get("items", [])} or set(data) or by_hand.get(("Secret", name)) or by_hand.get(("ConfigMap", name))
        for key in keys or ({"tls.crt", "tls.key", "ca.crt"} if name else ()):
            (folder / key).write_text(data.get(key) or {"trust.json": '{"keys": []}'}.get(key, certificate if key.endswith(".crt") else "x"))


@pytest.mark.parametrize("code", ["UP", "IN"])
def test_a_process_finds_every_setting_and_file_that_it_asks_for(rendered, code, tmp_path, certificate):
    asking = []
    for name, spec in pods(rendered[code]).items():
        root = tmp_path / name
        make_files(rendered[code], spec, root, certificate)
        settings = settings_of(rendered[code], spec)
        settings = {key: str(root) + value if value.startswith(("/etc/lokos", "/var/lib")) else value for key, value in settings.items()}
        settings |= {"METRICS_PORT": "0"}  # Nobody scrapes here.
        module, *services = spec["containers"][0]["args"]
        kind = module.rpartition(".")[2]
        if kind != "migrate":
            asking.append({"name": name, "kind": kind, "services": services, "settings": settings})
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=PROJECT, input=json.dumps(asking), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]


def demanded(*folders):
    """The settings that code in these folders names and cannot do without."""
    texts = [path.read_text(encoding="utf-8") for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return {name for text in texts for name in re.findall(r'settings\.(?:text|file|number)\("([A-Z_]+)"\)', text)}


@pytest.mark.parametrize(("code", "name", "folder"), [("IN", "gateway", "gateway"), *(("UP", f"{s}-serve", f"services/{s}") for s in STATE_SERVICES)])
def test_a_setting_that_the_code_names_is_there(rendered, code, name, folder):
    names = demanded(folder)
    assert names or name in {"transactions-serve", "dedup-serve", "profiles-serve"}
    assert names <= set(settings_of(rendered[code], pods(rendered[code])[name]))


def read_by_name(*paths):
    """The settings that code names, with a default or without."""
    return {name for path in paths for name in re.findall(r'settings\.(?:text|file|number)\("([A-Z_]+)"', path.read_text(encoding="utf-8"))}


def test_the_operator_is_told_of_every_setting():
    code = [path for folder in ("services", "gateway") for path in (PROJECT / folder).rglob("*.py")]
    told = (PROJECT / "docs/operate.md").read_text(encoding="utf-8")
    assert {name for name in read_by_name(*code) if not re.search(rf"\b{name}\b", told)} == set()


def test_whoever_opens_images_has_all_that_the_store_asks_for(rendered):
    asked = read_by_name(PROJECT / "services/chassis/objects.py") - {"LOKOS_OBJECTS_FOLDER"}
    assert len(asked) == 7
    for name in ("profiles-serve", "profiles-work"):
        assert asked <= set(settings_of(rendered["UP"], pods(rendered["UP"])[name]))


def test_the_migrate_step_reaches_every_schema_and_the_broker(rendered):
    for code, services in (("UP", STATE_SERVICES), ("IN", NATION_SERVICES)):
        spec = pods(rendered[code])["migrate"]
        settings = settings_of(rendered[code], spec)
        assert {name for name in settings if name.endswith("_DATABASE_URL")} == {f"{role.upper()}_DATABASE_URL" for role in (*services, VAULT)}
        assert settings["MIGRATE_AMQP_URL"] == f"amqp://migrate:{HEX}@broker:5672/%2F"
        assert spec["containers"][0]["args"] == ["services.chassis.migrate", *services]


def test_a_key_is_in_the_pods_that_use_it_and_in_no_other(rendered):
    sees = {}
    for name, spec in pods(rendered["UP"]).items():
        for kind, secret in agrees.used([{"spec": spec}]):
            if kind == "Secret":
                sees.setdefault(secret, set()).add(name)
    assert sees["identity"] == {"identity-serve", "identity-work"}
    assert sees["messages"] == {"identity-work"}
    assert sees["bank"] == {"profiles-work"}
    assert sees["objects"] == {"profiles-serve", "profiles-work"}
    assert sees["database-vault"] == {"identity-serve", "identity-work", "migrate"}
    assert sees["broker-dedup"] == {"dedup-consume", "dedup-relay", "dedup-work"}
    assert sees["server-tls"] == {*(f"{service}-serve" for service in STATE_SERVICES), "reporting-work"}


# The image. No Docker builds it here; what can be held against the rest is.


@pytest.fixture(scope="module")
def dockerfile():
    return (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def copied(dockerfile):
    return [source for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE) for source in sources.split()]


def test_the_image_runs_as_the_user_that_the_pods_name(dockerfile):
    context = yaml.safe_load((PROJECT / POD).read_text())["spec"]["template"]["spec"]["securityContext"]
    final = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\S+)$", final, re.MULTILINE)[1] == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert "HEALTHCHECK NONE" in final
    assert not re.search(r"apt|gcc|pip install", final)


def test_what_is_copied_into_the_image_is_there_and_not_ignored(dockerfile):
    kept = [line[1:].rstrip("/") for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied(dockerfile):
        assert (PROJECT / source).exists(), source
        assert any(entry.startswith(source.rstrip("/")) for entry in kept), source


def test_the_files_of_the_image_are_enough_for_every_process(dockerfile, rendered, tmp_path):
    for source in copied(dockerfile):
        ignore = shutil.ignore_patterns("__pycache__", "*_pb2*")
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(PROJECT / source, target, ignore=ignore) if (PROJECT / source).is_dir() else shutil.copy(PROJECT / source, target)
    generate = re.search(r"^RUN /venv/bin/python (-m grpc_tools.+)$", dockerfile, re.MULTILINE)[1]
    plain = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(f"{sys.executable} {generate}", shell=True, cwd=tmp_path, env=plain, check=True)
    modules = {spec["containers"][0]["args"][0] for objects in rendered.values() for spec in pods(objects).values()}
    for module in modules - {"gateway"}:
        done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=tmp_path, env=plain, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    names = list(STATE_SERVICES)
    rooms = f"from services.chassis import serve, work; serve.build({names}); [work.jobs_of(name) for name in {names}]; import gateway.__main__"
    of_all = {name: value for pod in pods(rendered["UP"]).values() for name, value in settings_of(rendered["UP"], pod).items()}
    settings = of_all | {"LOKOS_STATE_FILE": str(PROJECT / "deploy/states/UP.toml")}
    done = subprocess.run([sys.executable, "-c", rooms], cwd=tmp_path, env=plain | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / Path(settings["LOKOS_SANDBOX_RESIDENTS_FILE"]).relative_to("/app")).is_file()
