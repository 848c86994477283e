"""Whether each object has the form that its kind asks for: what Kubernetes knows by Kubernetes' own schemas, the rest by ours."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

if TYPE_CHECKING:
    from deploy.manifests.overlays import Object, Tree

KUBERNETES = "1.37"
MESSAGE_LENGTH_MAX = 300
# An instance's name, and the digest in a ConfigMap's: objects that differ in these alone need to be looked at once.
OWN = re.compile(r"\b(lokos-[a-z]+|(?:settings|state)-[a-z0-9]{10})\b")


class Schemas:
    """Ours, strict and of the fields that we use, in deploy/k8s/schemas; besides, the public ones where LOKOS_K8S_SCHEMAS or a
    folder beside the project has them.
    """

    def __init__(self, tree: Tree) -> None:
        self._folder = tree.k8s / "schemas"
        self._public = Path(os.environ.get("LOKOS_K8S_SCHEMAS") or tree.root.parent / "shared" / "data" / "k8s-schemas")
        self._seen: set[str] = set()

    def faults(self, objects: list[Object]) -> list[str]:
        found = []
        for thing in objects:
            text = OWN.sub("", json.dumps(thing))
            if text not in self._seen:
                self._seen.add(text)
                found += [f"{call(thing)}: {fault}" for fault in self._faults(thing)]
        return found

    def _faults(self, thing: Object) -> list[str]:
        group, _, version = thing["apiVersion"].rpartition("/")
        try:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [_say(error)]
        except kubernetes_validate.SchemaNotFoundError:
            spec = _load(self._folder / f"{group}.json").get("$defs", {}).get(f"{version}/{thing['kind']}")
            if spec is None:
                return [f"there is no schema for it; write one into deploy/k8s/schemas/{group}.json."]
            ours = _load(self._folder / "object.json")
            ours = ours | {"properties": ours["properties"] | {"spec": spec}}
            public = _load(self._public / f"{thing['kind'].lower()}_{version}.json")
            errors = (best_match(Draft202012Validator(schema).iter_errors(thing)) for schema in (ours, public))
            return [_say(error) for error in errors if error]
        return []


def call(thing: Object) -> str:
    """What a fault calls an object: lokos-up Deployment identity-serve."""
    return f"{thing['metadata'].get('namespace', '')} {thing['kind']} {thing['metadata']['name']}".strip()


def _say(error: Any) -> str:  # noqa: ANN401 - jsonschema's, or the same of kubernetes-validate, which is no class of it
    place = ".".join(str(step) for step in error.absolute_path)
    return f"{place or 'the object'}: {error.message[:MESSAGE_LENGTH_MAX]}"


@cache
def _load(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}
