"""Whether the objects of one instance agree with each other: what no schema of a single object can say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy.manifests.fits import call
from deploy.manifests.network import Network, Pod, matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deploy.manifests.overlays import Object, Tree

Name = tuple[str, str]
"""A kind and a name: ("Secret", "consul")."""

WORKLOADS = ("Deployment", "StatefulSet", "Job")
# Of services.chassis.database, where DATABASE_CONNECTIONS_MAX is not set.
CONNECTIONS_DEFAULT = 10
# A rolling update runs a quarter more pods for a while.
SURGE = 1.25
# Who is outside of the namespace, by the names that the operators' own instructions give their namespaces.
MONITORING, STRANGER = "monitoring", "somewhere"
LOGIN, PAIR = {"username", "password"}, {"tls.crt", "tls.key"}
# Where an object names a Secret or ConfigMap: the field, the kind, and the keys that whoever reads it wants.
REFERENCES: dict[str, tuple[str, set[str]]] = {
    "secretKeyRef": ("Secret", set()),
    "secretRef": ("Secret", set()),
    "configMapRef": ("ConfigMap", set()),
    "configMap": ("ConfigMap", set()),
    "secret": ("Secret", set()),
    "passwordSecret": ("Secret", LOGIN),
    "importCredentialsSecret": ("Secret", LOGIN),
    "accessKeyId": ("Secret", set()),
    "secretAccessKey": ("Secret", set()),
    "ca": ("Secret", PAIR),
    "certificateRefs": ("Secret", PAIR),
    "caCertificateRefs": ("Secret", {"ca.crt"}),
}


def noted(tree: Tree) -> dict[Name, set[str]]:
    """What an operator puts into the namespace by hand, with its keys: the table of docs/operate.md."""
    rows = re.findall(r"^\| (Secret|ConfigMap) (.*?) \| (.*?) \|", (tree.root / "docs" / "operate.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {(kind, name): set(re.findall(r"`(.+?)`", keys)) for kind, names, keys in rows for name in re.findall(r"`(.+?)`", names)}


def used(objects: list[Object]) -> set[Name]:
    """Every Secret and ConfigMap that something names."""
    return {reference.name for thing in objects for reference in _references(thing)}


def faults(objects: list[Object], by_hand: Mapping[Name, set[str]]) -> list[str]:
    """Every fault of one instance's objects, as sentences."""
    instance = _Instance(objects, dict(by_hand))
    found = [fault for looks in (_selectors, _targets, _names, _variables, _connections, _unsafe, _network) for fault in looks(instance)]
    return [f"{call(thing or instance.of('Namespace')[0])}: {fault}" for thing, fault in found]


Fault = tuple["Object | None", str]


@dataclass
class _Instance:
    objects: list[Object]
    by_hand: dict[Name, set[str]]
    pods: list[Pod] = field(init=False)

    def __post_init__(self) -> None:
        self.pods = [pod for thing in self.objects for pod in _pods(thing)]

    def of(self, *kinds: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def has(self, kind: str, name: str) -> bool:
        return any(thing["metadata"]["name"] == name for thing in self.of(kind))

    @property
    def ours(self) -> list[Pod]:
        return [pod for pod in self.pods if pod.spec]


def _pods(thing: Object) -> Iterator[Pod]:
    """The pods that an object makes; of an operator's we know labels and ports alone."""
    name = thing["metadata"]["name"]
    match thing["kind"]:
        case "Deployment" | "StatefulSet" | "Job":
            template = thing["spec"]["template"]
            ports = {port["name"]: port["containerPort"] for port in _container(template["spec"]).get("ports", [])}
            yield Pod(name, template["metadata"]["labels"], ports, template["spec"])
        case "Cluster":
            yield Pod(name, {"cnpg.io/cluster": name}, {"postgresql": 5432, "metrics": 9187, "status": 8000})
        case "RabbitmqCluster":
            yield Pod(name, {"app.kubernetes.io/name": name}, {"amqp": 5672, "management": 15672, "prometheus": 15692})


def _container(spec: dict[str, Any]) -> dict[str, Any]:
    (only,) = spec["containers"]
    return dict(only)


def _selectors(instance: _Instance) -> Iterator[Fault]:
    """Whoever selects pods finds some, and finds the ports that it names."""
    for thing in instance.of("Service", "PodDisruptionBudget", "PodMonitor", "NetworkPolicy", *WORKLOADS):
        spec = thing["spec"]
        # A Job's selector is Kubernetes' own business.
        selector = spec.get("podSelector", spec.get("selector", {}))
        found = [pod for pod in instance.pods if matches({"matchLabels": selector} if thing["kind"] == "Service" else selector, pod.labels)]
        if not found:
            yield thing, f"it selects no pod with {selector}."
        named = [port.get("targetPort", port.get("port")) for port in spec.get("ports", spec.get("podMetricsEndpoints", []))]
        missing = ((port, pod) for pod in found for port in named if port not in {*pod.ports, *pod.ports.values()})
        yield from ((thing, f"it names the port {port}, which {pod.name} has not.") for port, pod in missing)


def _targets(instance: _Instance) -> Iterator[Fault]:
    """What is scaled, and what calls are led to, is there."""
    for thing in instance.of("HorizontalPodAutoscaler"):
        target = thing["spec"]["scaleTargetRef"]
        if not instance.has(target["kind"], target["name"]):
            yield thing, f"there is no {target['kind']} {target['name']} to scale."
    for thing in instance.of("GRPCRoute", "BackendTLSPolicy"):
        rules = thing["spec"].get("rules", [])
        for backend in [*thing["spec"].get("targetRefs", []), *(backend for rule in rules for backend in rule["backendRefs"])]:
            if not instance.has("Service", backend["name"]):
                yield thing, f"there is no Service {backend['name']}."


@dataclass(frozen=True)
class _Reference:
    name: Name
    keys: frozenset[str]


def _references(thing: Object) -> Iterator[_Reference]:
    yield from _walk(thing.get("spec", {}))


def _walk(part: Any) -> Iterator[_Reference]:  # noqa: ANN401 - any part of an object
    if isinstance(part, list):
        for entry in part:
            yield from _walk(entry)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _walk(value)
            kind, keys = REFERENCES.get(key, ("", set()))
            for target in value if isinstance(value, list) else [value]:
                if kind and isinstance(target, dict) and (name := target.get("name") or target.get("secretName")):
                    wanted = {item["key"] for item in target.get("items", [])} | ({target["key"]} if "key" in target else set())
                    yield _Reference((kind, name), frozenset(keys | wanted))


def _made(instance: _Instance) -> dict[Name, set[str]]:
    """Every Secret and ConfigMap that will be there, with its keys: rendered, made by an operator, or put there by hand."""
    made = dict(instance.by_hand)
    made |= {(thing["kind"], thing["metadata"]["name"]): set(thing.get("data", {})) for thing in instance.of("ConfigMap", "Secret")}
    made |= {("Secret", thing["spec"]["secretName"]): {*PAIR, "ca.crt"} for thing in instance.of("Certificate")}
    return made | {("Secret", f"{thing['metadata']['name']}-ca"): {"ca.crt", "ca.key"} for thing in instance.of("Cluster")}


def _names(instance: _Instance) -> Iterator[Fault]:
    """Each Secret, ConfigMap and volume that is named will be there."""
    made = _made(instance)
    for thing in instance.objects:
        for reference in _references(thing):
            kind, name = reference.name
            if reference.name not in made:
                yield thing, f"it names the {kind} {name}, which nothing makes and docs/operate.md does not list."
            elif missing := sorted(reference.keys - made[reference.name]):
                yield thing, f"it reads {', '.join(missing)} of the {kind} {name}, which has no such key."
    for thing in instance.of(*WORKLOADS):
        spec = thing["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        own = {claim["metadata"]["name"] for claim in thing["spec"].get("volumeClaimTemplates", [])}
        for mount in _container(spec).get("volumeMounts", []):
            if mount["name"] not in {*volumes, *own}:
                yield thing, f"it mounts {mount['name']}, which is no volume of it."
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not instance.has("PersistentVolumeClaim", claim):
                yield thing, f"there is no PersistentVolumeClaim {claim}."


def _variables(instance: _Instance) -> Iterator[Fault]:
    """A $(NAME) in a setting stands for one that is set before it; otherwise Kubernetes leaves it as it is."""
    for thing in instance.of(*WORKLOADS):
        known: set[str] = set()
        for variable in _container(thing["spec"]["template"]["spec"])["env"]:
            for name in re.findall(r"\$\((\w+)\)", variable.get("value", "")):
                if name not in known:
                    yield thing, f"{variable['name']} uses $({name}), which is not set before it."
            known.add(variable["name"])


def environment(spec: dict[str, Any]) -> dict[str, str]:
    """The settings that stand in a pod itself; a secret one is empty."""
    return {variable["name"]: variable.get("value", "") for variable in _container(spec).get("env", [])}


def _connections(instance: _Instance) -> Iterator[Fault]:
    """PostgreSQL has a connection for each that the pods may open, while they are being replaced too."""
    most = {thing["spec"]["scaleTargetRef"]["name"]: thing["spec"]["maxReplicas"] for thing in instance.of("HorizontalPodAutoscaler")}
    wanted = 0
    for thing in instance.of("Deployment", "StatefulSet"):
        settings = environment(thing["spec"]["template"]["spec"])
        roles = sum(name.endswith("_DATABASE_URL") for name in settings)
        replicas = most.get(thing["metadata"]["name"], thing["spec"].get("replicas", 1))
        wanted += replicas * roles * int(settings.get("DATABASE_CONNECTIONS_MAX", CONNECTIONS_DEFAULT))
    for thing in instance.of("Cluster"):
        there = int(thing["spec"]["postgresql"]["parameters"]["max_connections"])
        if wanted * SURGE > there:
            yield thing, f"max_connections is {there}, and the processes may open {wanted}, a quarter more while they are replaced."


def _unsafe(instance: _Instance) -> Iterator[Fault]:
    """Ours keep to Kubernetes' restricted profile, and write to nothing but their volumes."""
    for thing in instance.of(*WORKLOADS):
        spec = thing["spec"]["template"]["spec"]
        pod, container = spec.get("securityContext", {}), _container(spec)
        inner = container.get("securityContext", {})
        kept = {
            "run as a user that is not root": pod.get("runAsNonRoot") is True and pod.get("runAsUser", 0) > 0,
            "have the seccomp profile RuntimeDefault": pod.get("seccompProfile") == {"type": "RuntimeDefault"},
            "gain no privileges": inner.get("allowPrivilegeEscalation") is False,
            "drop all capabilities": inner.get("capabilities") == {"drop": ["ALL"]},
            "have a root file system that is read-only": inner.get("readOnlyRootFilesystem") is True,
            "have no token of Kubernetes": spec.get("automountServiceAccountToken") is False,
            "have requests and limits": {"requests", "limits"} <= container.get("resources", {}).keys(),
            "have a probe that says when it is stuck": thing["kind"] == "Job" or "livenessProbe" in container,
        }
        yield from ((thing, f"it must {what}.") for what, so in kept.items() if not so)


def _addresses(instance: _Instance, pod: Pod, port: int) -> set[str]:
    """What a pod's port is called inside the cluster, by each Service that leads to it."""
    services = [thing["metadata"] for thing in instance.of("Service") if matches({"matchLabels": thing["spec"]["selector"]}, pod.labels)]
    return {f"{service['name']}.{service['namespace']}.svc.cluster.local:{port}" for service in services}


def _misfit(other: str, pod: Pod, *, needs: bool, reaches: bool) -> Iterator[Fault]:
    if needs != reaches:
        yield None, f"{pod.name} {'must reach' if needs else 'reaches'} {other}, and {'cannot' if needs else 'has no need to'}."


def _network(instance: _Instance) -> Iterator[Fault]:
    """Each reaches what its settings name, and nothing else; nobody is outside of the policies."""
    network = Network(instance.of("NetworkPolicy"))
    servers = {"_DATABASE_URL": "Cluster", "_AMQP_URL": "RabbitmqCluster"}
    monitoring, stranger = Pod("Prometheus", {}, namespace=MONITORING), Pod("a stranger", {}, namespace=STRANGER)
    yield from ((None, f"no policy closes {pod.name} to {way}.") for pod in instance.pods for way in network.open_ways(pod))
    for pod in instance.ours:
        names = environment(pod.spec)
        for suffix, kind in servers.items():
            for server in (made for thing in instance.of(kind) for made in _pods(thing)):
                port = next(iter(server.ports.values()))
                needs, reaches = any(name.endswith(suffix) for name in names), network.reaches(pod, server, port)
                yield from _misfit(f"{server.name}:{port}", pod, needs=needs, reaches=reaches)
        for other in instance.ours:
            for port in other.ports.values():
                needs, reaches = not _addresses(instance, other, port).isdisjoint(names.values()), network.reaches(pod, other, port)
                yield from _misfit(f"{other.name}:{port}", pod, needs=needs, reaches=reaches)
    for pod in instance.pods:
        for name, port in pod.ports.items():
            if name in {"metrics", "prometheus"} and not network.reaches(monitoring, pod, port):
                yield None, f"Prometheus cannot reach {pod.name}:{port}."
            if name != "federation" and network.reaches(stranger, pod, port):
                yield None, f"anybody reaches {pod.name}:{port}."
