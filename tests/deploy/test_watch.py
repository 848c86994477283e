"""The alerts and the dashboard speak of metrics that there are, and the page for operators of the alerts that there are."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from deploy.machine import Machine, watch
from deploy.machine.layout import PROJECT

RULES = yaml.safe_load(watch.RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((PROJECT / "deploy/watch/dashboard.json").read_text(encoding="utf-8"))
PAGE = (PROJECT / "docs/operate.md").read_text(encoding="utf-8")
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]


def part(heading):
    """The text of one `##` section of the page."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def promtool(*arguments):
    program = shutil.which("promtool")
    if not program:
        pytest.skip("promtool is not installed: as root, `apt-get install prometheus` brings it")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_entry_and_every_entry_its_alert():
    documented = re.findall(r"^### (\w+)$", part("Alerts"), re.MULTILINE)
    assert documented == sorted(documented, key=[rule["alert"] for rule in RULES].index), "in the order of the rules"
    assert sorted(documented) == sorted(rule["alert"] for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_how_bad_it_is_what_is_the_matter_and_what_to_do(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["product"] == "lokos", "the dashboard counts it"
    summary = rule["annotations"]["summary"]
    assert summary.endswith(".")
    assert "$labels." in summary, "it says where"
    assert rule["annotations"]["runbook_url"] == f"docs/operate.md#{rule['alert'].lower()}"


def test_the_expressions_are_promqls(tmp_path):
    shown = [
        {"record": "shown", "expr": expression.replace("$__rate_interval", "1m").replace("$instance", "UP")}
        for panel in PANELS
        for expression in [target["expr"] for target in panel["targets"]]
    ]
    # Each of the same name, and so in a group of its own.
    groups = [{"name": f"panel {number}", "rules": [rule]} for number, rule in enumerate(shown)]
    file = tmp_path / "dashboard.yaml"
    file.write_text(json.dumps({"groups": groups}), encoding="utf-8")
    promtool("check", "rules", "--lint=none", str(file))
    promtool("check", "rules", str(watch.RULES))


def test_the_configuration_is_prometheuss_and_has_every_program(tmp_path):
    layout = Machine.from_environment().layout
    text = watch.configuration(layout, with_broker=True)
    file = tmp_path / "prometheus.yaml"
    file.write_text(text, encoding="utf-8")
    promtool("check", "config", str(file))
    [job] = yaml.safe_load(text)["scrape_configs"]
    programs = {target["labels"]["program"] for target in job["static_configs"]}
    assert programs == {program.name for program in layout.applications()} | {"rabbitmq"}
    assert "rabbitmq" not in watch.configuration(layout, with_broker=False)


def test_the_dashboards_panels_have_ids_of_their_own_and_a_place():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["source", "instance"]
