"""Runs every example of README.md and docs/api.md as it stands there, against a server on a free port."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
BINARY = Path(os.environ.get("RETORT_BINARY", REPO / "build/release/retort"))
MODEL = os.environ.get("RETORT_TEST_MODEL", str(Path.home() / ".cache/retort/models/smollm2-135m-instruct-q4_1.gguf"))


def examples_of(page: str) -> list[tuple[str, str, str]]:
    found = re.findall(r"^ *```(\w+) example\n(.*?)^ *```$", (REPO / page).read_text(), re.DOTALL | re.MULTILINE)
    return [
        (f"{page}-{number}-{language}", language, textwrap.dedent(text))
        for number, (language, text) in enumerate(found, 1)
    ]


EXAMPLES = [*examples_of("README.md"), *examples_of("docs/api.md")]


@pytest.fixture(scope="module")
def address():
    process = subprocess.Popen([BINARY, "serve", MODEL, "--port", "0"], stderr=subprocess.PIPE, text=True)
    ready = None
    for line in process.stderr:
        if ready := re.search(r"ready at http://(\S+)", line):
            break
    assert ready, "the server did not start"
    yield ready.group(1)
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
    languages = [language for _, language, _ in examples_of("README.md")]
    assert len(languages) == 5
    assert set(languages) == {"sh", "python", "js"}


@pytest.mark.parametrize(("language", "text"), [pytest.param(*rest, id=name) for name, *rest in EXAMPLES])
def test_example(language, text, address, tmp_path):
    path = tmp_path / ("example." + {"sh": "sh", "python": "py", "js": "mjs"}[language])
    path.write_text(text.replace("127.0.0.1:8000", address))
    (tmp_path / "scripts").symlink_to(REPO / "scripts")  # as in a clone
    environment = {**os.environ, "PATH": f"{BINARY.parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        command(language, path), env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    assert '"error"' not in result.stdout
