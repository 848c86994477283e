"""What a Prometheus needs to watch this machine: where each program shows its metrics, whose they are, and the alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.machine.layout import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.machine.layout import Layout

RULES = PROJECT / "deploy" / "watch" / "rules.yaml"
SCRAPE_SECONDS = 15

CONFIGURATION = """\
# Written by `python3 -m deploy.machine scrape`.
global:
  scrape_interval: {seconds}s
  evaluation_interval: {seconds}s
rule_files: ['{rules}']
scrape_configs:
  - job_name: lokos
    static_configs:
{targets}
"""


def configuration(layout: Layout, *, with_broker: bool) -> str:
    """Prometheus's configuration file; the broker's own metrics are in it where the broker is this machine's."""
    targets = (f"      - {{targets: ['127.0.0.1:{port}'], labels: {labels}}}" for port, labels in _targets(layout, with_broker=with_broker))
    return CONFIGURATION.format(seconds=SCRAPE_SECONDS, rules=RULES, targets="\n".join(targets))


def _targets(layout: Layout, *, with_broker: bool) -> Iterator[tuple[int, str]]:
    for program in layout.applications():
        code = program.instance.code if program.instance else ""
        yield program.metrics_port, f"{{instance_code: '{code}', program: '{program.name}'}}"
    if with_broker:
        yield layout.broker_metrics_port, "{program: 'rabbitmq'}"
