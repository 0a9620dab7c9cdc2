"""Every query of deploy/prometheus and deploy/grafana, asked of a real Prometheus that scrapes a running server."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from conftest import REPO, wait_for

RULES = REPO / "deploy/prometheus/alerts.yml"
DASHBOARD = REPO / "deploy/grafana/retort.json"
VARIABLES = {"$__rate_interval": "1m", "$model": ".*", "$instance": ".*"}


@pytest.fixture(scope="module", autouse=True)
def needs_prometheus():
    for program in ("prometheus", "promtool"):
        assert shutil.which(program), f"{program} is not installed: scripts/setup.sh test"


def promtool(*arguments) -> str:
    ended = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


class Prometheus:
    def __init__(self, folder: Path, target: str):
        """With the configuration that is shipped, but for the target and the time between two looks."""
        config = (REPO / "deploy/prometheus/prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8000", target).replace("scrape_interval: 5s", "scrape_interval: 200ms")
        (folder / "prometheus.yml").write_text(config)
        shutil.copy(RULES, folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=error",
            ]
        )

    def ask(self, path: str, **parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list:
        return self.ask("query", query=expression)["result"]

    def is_well(self) -> bool:
        try:
            return self.query("up == 1 and on () vector(1)") != []
        except OSError:
            return False


@pytest.fixture(scope="module")
def prometheus(start_server, tmp_path_factory):
    server = start_server("--max-model-len", "2048", "--max-num-seqs", "1", "--max-waiting", "1")
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{server.port}")
    try:
        wait_for(prometheus.is_well, bool, 60)
        text = "one two three four five six seven eight nine ten " * 8
        for _ in range(3):  # the second and third find the first one's prompt, and the text repeats itself
            assert server.ask("POST", "/v1/completions", {"prompt": text, "max_tokens": 40, "temperature": 0})[0] == 200
        seen = float(server.load()["num_finished"])
        wait_for(
            lambda: prometheus.query("sum(vllm:request_success_total)"), lambda r: r and float(r[0]["value"][1]) == seen
        )
        time.sleep(1)
        yield prometheus
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(timeout=30)
    assert server.stop() == 0


def expressions_of_dashboard() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def expressions_of_rules() -> list[str]:
    return re.findall(r"expr: (.*)", RULES.read_text())


def test_the_files_are_valid():
    promtool("check", "config", str(REPO / "deploy/prometheus/prometheus.yml"))
    promtool("test", "rules", str(REPO / "tests/deploy/alerts_test.yml"))


def test_metrics_are_as_promtool_likes_them(server):
    with urllib.request.urlopen(server.url + "/metrics") as answer:
        text = answer.read().decode()
    ended = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    complaints = [
        line
        for line in (ended.stdout + ended.stderr).splitlines()
        # vLLM's names are what they are.
        if line and not re.match(r"vllm:\S+ (metric names should not contain ':'|non-counter metrics should not)", line)
    ]
    assert complaints == []


def test_the_dashboard_is_what_its_script_makes():
    script = REPO / "deploy/grafana/make_dashboard.py"
    made = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True).stdout
    assert made == DASHBOARD.read_text()
    ids = [panel["id"] for panel in json.loads(made)["panels"]]
    assert len(ids) == len(set(ids))


def test_every_panel_shows_something(prometheus):
    expressions = expressions_of_dashboard()
    assert len(expressions) > 40
    # A server that is well has nothing to divide here: no guess may have paid on a machine this busy.
    may_be_nothing = [e for e in expressions if "spec_decode" in e]
    for expression in expressions:
        result = prometheus.query(expression)
        assert result, expression
        if expression not in may_be_nothing:
            assert all(series["value"][1] not in ("NaN", "+Inf") for series in result), expression


def test_every_alert_is_about_something_that_is_there(prometheus):
    for expression in expressions_of_rules():
        prometheus.query(expression)  # an error of the expression's would be one here
        names = set(re.findall(r"\b(?:vllm:|retort_|http_|deepseek_|process_)\w+", expression))
        for name in names:
            assert prometheus.query(f"count({name})"), f"{expression}: no {name}"
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    assert len(rules) == len(expressions_of_rules())
    wait_for(
        lambda: [rule["health"] for rule in prometheus.ask("rules")["groups"][0]["rules"]],
        lambda healths: all(health == "ok" for health in healths),
        60,
    )
    assert prometheus.query('ALERTS{alertname!="RetortMemory"}') == []
