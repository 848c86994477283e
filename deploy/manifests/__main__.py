"""The command line: python -m deploy.manifests --help"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from rich.progress import track

from deploy.machine.layout import MachineError, say
from deploy.manifests import agrees, fits, overlays
from deploy.manifests.overlays import Tree, render

ABOUT = """\
The Kubernetes manifests of every state and the nation, below deploy/k8s.

generate  make the overlays anew from deploy/states, deploy/nation.toml, deploy/k8s/site.toml and deploy/watch
check     look whether they are fresh, render each, and hold what comes out against schemas and against itself
"""
RENDERED_AT_ONCE = 2
# A fault in the base is one in every state.
FAULTS_SHOWN_MAX = 50


def check(tree: Tree) -> list[str]:
    """Every fault, as sentences."""
    faults = overlays.stale(tree)
    schemas, noted = fits.Schemas(tree), agrees.noted(tree)
    used: set[agrees.Name] = set()
    folders = tree.overlays()
    count = 0
    with ThreadPoolExecutor(RENDERED_AT_ONCE) as threads:
        for objects in track(threads.map(render, folders), "rendering and checking", len(folders), transient=True):
            count += len(objects)
            faults += schemas.faults(objects)
            faults += agrees.faults(objects, noted)
            used |= agrees.used(objects)
    faults += [f"docs/operate.md lists the {kind} {name}, which nothing refers to." for kind, name in sorted(noted.keys() - used)]
    say(f"{len(folders)} overlays, {count} objects")
    return list(dict.fromkeys(faults))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.manifests", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["generate", "check"])
    command = parser.parse_args().command
    tree, started = Tree(), time.monotonic()
    try:
        if command == "generate":
            changed = overlays.write(tree)
            say("".join(f"{file.relative_to(tree.root)}\n" for file in changed) + f"{len(changed)} files changed")
            return 0
        faults = check(tree)
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for fault in faults[:FAULTS_SHOWN_MAX]:
        sys.stderr.write(f"{fault}\n")
    say(f"{len(faults)} faults ({time.monotonic() - started:.0f} s)" if faults else f"They fit ({time.monotonic() - started:.0f} s)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
