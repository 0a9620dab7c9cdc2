"""Runs every example of README.md and docs/api.md as it stands there, against a server on a free port."""

import json
import os
import re
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
BINARY = Path(os.environ.get("RETORT_BINARY", REPO / "build/release/retort"))
MODEL = os.environ.get("RETORT_TEST_MODEL", str(Path.home() / ".cache/retort/models/smollm2-135m-instruct-q4_1.gguf"))


def examples_of(page: str) -> list[tuple[str, str, str, str]]:
    """Each one's name, language, flags of the server that it asks (after the word "example"), and text."""
    found = re.findall(r"^ *```(\w+) example(.*?)\n(.*?)^ *```$", (REPO / page).read_text(), re.DOTALL | re.MULTILINE)
    return [
        (f"{page}-{number}-{language}", language, flags, textwrap.dedent(text))
        for number, (language, flags, text) in enumerate(found, 1)
    ]


README, API = examples_of("README.md"), examples_of("docs/api.md")
EXAMPLES = [*README, *API]


@pytest.fixture(scope="module")
def address_of():
    """address_of(flags): of a server with these, one for all that ask for it."""
    processes, addresses = [], {}

    def start(flags):
        process = subprocess.Popen(
            [BINARY, "serve", MODEL, "--port", "0", *flags.split()], stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        for line in process.stderr:
            if ready := re.search(r"ready at http://(\S+)", line):
                return ready.group(1)
        raise AssertionError("the server did not start")

    def address(flags=""):
        if flags not in addresses:
            addresses[flags] = start(flags)
        return addresses[flags]

    yield address
    for process in processes:
        process.terminate()
        process.communicate(timeout=60)


def command(language, path):
    if language == "sh":
        return ["bash", "-euo", "pipefail", path]
    if language == "python":
        return [sys.executable, path]
    modules = REPO / "tests/node/node_modules"
    node = next(modules.glob("node-linux-*/bin/node"), None)
    if node is None:
        pytest.skip("tests/node has not been set up (npm --prefix tests/node ci)")
    (path.parent / "node_modules").symlink_to(modules)
    return [node, path]


def test_the_readme_has_five():
    languages = [language for _, language, _, _ in README]
    assert len(languages) == 5
    assert set(languages) == {"sh", "python", "js"}


@pytest.fixture(scope="module")
def done():
    """The names of those that have run."""
    return set()


def run(name, language, flags, text, address_of, tmp_path):
    path = tmp_path / ("example." + {"sh": "sh", "python": "py", "js": "mjs"}[language])
    path.write_text(text.replace("127.0.0.1:8000", address_of(flags)))
    (tmp_path / "scripts").symlink_to(REPO / "scripts")  # as in a clone
    environment = {**os.environ, "PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        command(language, path), env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert '"error"' not in result.stdout


@pytest.mark.parametrize("example", [pytest.param(example, id=example[0]) for example in EXAMPLES])
def test_example(example, address_of, done, tmp_path):
    run(*example, address_of, tmp_path)
    done.add(example[0])


def get(address, path):
    request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": "Bearer secret"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_every_operation_has_an_example(address_of, done, tmp_path_factory):
    """The servers' own counts tell what the examples have asked."""
    asked = set()
    for example in API:
        if example[0] not in done:
            run(*example, address_of, tmp_path_factory.mktemp("example"))
    for flags in {flags for _, _, flags, _ in API}:
        for labels in re.findall(r"^http_requests_total\{(.*)\}", get(address_of(flags), "/metrics"), re.MULTILINE):
            counted = dict(re.findall(r'(\w+)="(.*?)"', labels))
            if counted["status"] == "200":
                asked.add((counted["method"], counted["handler"]))
    paths = json.loads(get(address_of(), "/openapi.json"))["paths"]
    known = {
        (method.upper(), path.replace("{id}", "*"))
        for path, operations in paths.items()
        for method in operations
        if method != "parameters"
    }
    pages = {("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json")}
    assert not (known | pages) - asked
