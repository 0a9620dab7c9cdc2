"""Starts `retort serve` on a small model for the black-box tests.

RETORT_BINARY chooses another program (one built with a sanitizer, say), RETORT_TEST_MODEL another model.
"""

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import anthropic
import openai
import pytest
from raw_http import Connection

REPO = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("RETORT_BINARY", REPO / "build/release/retort"))
CACHE = Path(os.environ.get("RETORT_CACHE", Path.home() / ".cache/retort"))
MODEL = Path(os.environ.get("RETORT_TEST_MODEL", CACHE / "models/smollm2-135m-instruct-q4_1.gguf"))
START_SECONDS = WAIT_SECONDS = 240  # sanitizers are slow


def wait_for(value, condition, seconds: float = WAIT_SECONDS):
    """The first value() that fulfils the condition."""
    end = time.monotonic() + seconds
    while not condition(now := value()):
        assert time.monotonic() < end, f"never became what was waited for: {now}"
        time.sleep(0.02)
    return now


def target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed since it was listed
        return ""


class Server:
    """A `retort serve` process: its address, its log, and ways to ask it something."""

    def __init__(
        self,
        *flags: str,
        model: str | Path = MODEL,
        environment: dict[str, str] | None = None,
        address_space: int | None = None,
    ):
        bounds = [] if address_space is None else ["prlimit", f"--as={address_space}"]
        command = [*bounds, str(BINARY), "serve", str(model), "--host", "127.0.0.1", *flags]
        if "--port" not in flags:
            command += ["--port", "0"]
        self.started = time.time()
        variables = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8", env=variables
        )
        self.log: list[str] = []
        self._ready: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self.url = self._ready.get(timeout=START_SECONDS)
        except queue.Empty:
            self.process.kill()
            raise AssertionError("the server did not become ready:\n" + "".join(self.log)) from None
        assert self.url, "the server ended before it was ready:\n" + "".join(self.log)
        self.port = 0 if self.url.startswith("unix:") else int(self.url.rsplit(":", 1)[1])

    def _read_log(self):
        # A line that is not UTF-8 is a fault of the server's; to stop reading would make it wait for us for ever.
        self.process.stderr.reconfigure(errors="backslashreplace")
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"Retort is ready at ((?:https?://|unix:)[^\s\"]+)", line):
                self._ready.put(found.group(1))
        self._ready.put("")

    def client(self, **options) -> openai.OpenAI:
        """The SDK's, which refuses an answer that is not of its types."""
        fixed = {"api_key": "none", "max_retries": 0, "timeout": 240, "_strict_response_validation": True}
        return openai.OpenAI(**{"base_url": self.url + "/v1", **fixed, **options})

    def anthropic(self, **options) -> anthropic.Anthropic:
        """The same of Anthropic's."""
        fixed = {"api_key": "none", "max_retries": 0, "timeout": 240, "_strict_response_validation": True}
        return anthropic.Anthropic(**{"base_url": self.url, **fixed, **options})

    def connect(self, **options) -> Connection:
        return Connection(self.port, **options)

    def ask(self, method: str, path: str, body=None, headers=None) -> tuple[int, dict, dict]:
        """Status, JSON (or {}), headers (names in lower case). `body`: bytes as they are, or what JSON is made of."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        is_json = response.getheader("Content-Type") == "application/json"
        return (
            response.status,
            json.loads(text) if is_json and text else {},
            {k.lower(): v for k, v in response.getheaders()},
        )

    def load(self) -> dict:
        return self.ask("GET", "/load")[1]

    def wait_for_load(self, condition, seconds: float = WAIT_SECONDS) -> dict:
        return wait_for(self.load, condition, seconds)

    def num_logged(self, text: str) -> int:
        return "".join(self.log).count(text)

    def wait_for_log(self, text: str, seconds: float = WAIT_SECONDS):
        wait_for(lambda: "".join(self.log), lambda log: text in log, seconds)

    def wait_for_num_sockets(self, at_most: int, seconds: float = WAIT_SECONDS):
        wait_for(self.num_sockets, lambda number: number <= at_most, seconds)

    def resident_bytes(self, which: str = "VmRSS") -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{which}:\s+(\d+) kB", status, re.MULTILINE).group(1)) << 10

    def num_sockets(self) -> int:
        """Open ones: the listener's, one a connection, and the program's own."""
        folder = Path(f"/proc/{self.process.pid}/fd")
        return sum(target(link).startswith("socket:") for link in folder.iterdir())

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=120)
        self._reader.join(timeout=10)
        return code


@pytest.fixture(scope="session")
def start_server():
    """start_server(*flags, model=…): a server of one's own, ended with the session if the test does not end it."""
    assert BINARY.exists(), f"{BINARY} is missing: build it, or name another with RETORT_BINARY"
    if not MODEL.exists():
        pytest.skip(f"{MODEL} is missing: scripts/fetch_model.py smollm2-135m fetches it")
    servers = []

    def start(*flags: str, **options) -> Server:
        servers.append(Server(*flags, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def server(start_server):
    """The server that most tests share. It must end well after all of them."""
    shared = start_server("--served-model-name", "smollm2", "--max-model-len", "2048", "--generation-config", "vllm")
    yield shared
    assert shared.stop() == 0, "".join(shared.log[-40:])
    assert not any("ERROR: " in line or "WARNING: ThreadSanitizer" in line for line in shared.log), "".join(
        shared.log[-200:]
    )


@pytest.fixture(scope="session")
def client(server):
    return server.client()


@pytest.fixture(scope="session")
def lenient_client(server):
    """For what the SDK's types do not allow, though OpenAI sends it just so: of text completions a finish_reason that is
    null until the last chunk, and the log-probability of an echo's first token; of embeddings base64."""
    return server.client(_strict_response_validation=False)
