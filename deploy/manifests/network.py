"""Network policies as a network plugin would read them: may this pod speak to that one?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.manifests.overlays import Object

Selector = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """One pod, as far as others see it. `namespace` is empty for the instance's own."""

    name: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    namespace: str = ""


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(rule, labels) for rule in selector.get("matchExpressions", [])
    )


def _holds(rule: dict[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(rule["key"])
    match rule["operator"]:
        case "In":
            return value in rule["values"]
        case "NotIn":
            return value not in rule["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"There is no operator {rule['operator']}.")


class Network:
    """The policies of one namespace."""

    def __init__(self, policies: list[Object]) -> None:
        self._policies = [policy["spec"] for policy in policies]

    def _rules(self, pod: Pod, way: str) -> list[dict[str, Any]] | None:
        """What is allowed to or from a pod; None where no policy is about it, and so everything is."""
        if pod.namespace:
            return None
        about = [spec for spec in self._policies if way in spec["policyTypes"] and matches(spec["podSelector"], pod.labels)]
        return [rule for spec in about for rule in spec.get(way.lower(), [])] if about else None

    def open_ways(self, pod: Pod) -> list[str]:
        """Ingress or Egress, where no policy is about the pod."""
        return [way for way in ("Ingress", "Egress") if self._rules(pod, way) is None]

    def reaches(self, one: Pod, other: Pod, port: int) -> bool:
        """Whether `one` may open a TCP connection to a port of `other`."""
        return self._allows(self._rules(one, "Egress"), "to", other, port) and self._allows(self._rules(other, "Ingress"), "from", one, port)

    def _allows(self, rules: list[dict[str, Any]] | None, way: str, peer: Pod, port: int) -> bool:
        return rules is None or any(
            any(_is(one, peer) for one in rule.get(way, [{}])) and port in [entry["port"] for entry in rule.get("ports", [{"port": port}])]
            for rule in rules
        )


def _is(description: dict[str, Any], peer: Pod) -> bool:
    """Whether a peer of a rule is this pod; without any words it is everybody."""
    if not description:
        return True
    where = description.get("namespaceSelector")
    there = not peer.namespace if where is None else bool(peer.namespace) and matches(where, {"kubernetes.io/metadata.name": peer.namespace})
    return there and matches(description.get("podSelector", {}), peer.labels)
