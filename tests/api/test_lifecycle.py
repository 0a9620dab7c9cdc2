"""Clients that leave or do not read, servers that are told to end, and what others notice of it: nothing."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from conftest import BINARY, MODEL, wait_for
from raw_http import request

LONG = {"prompt": "Once upon a time", "max_tokens": 1900, "ignore_eos": True, "temperature": 0}
SHORT = {"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0}
# Few tokens to compute, and an answer of megabytes: every choice repeats the prompt and what was likely at each place.
LARGE = {
    "prompt": " one two three" * 50,
    "max_tokens": 2,
    "n": 64,
    "echo": True,
    "logprobs": 20,
    "stream": True,
    "seed": 1,
}


def start_long(server, **options):
    """A connection on which a long answer, or `n` of them, has begun to be made."""
    running = server.load()["num_running"]
    connection = server.connect()
    connection.send(request("POST", "/v1/completions", {**LONG, **options}))
    if options.get("stream"):
        assert connection.read_head().status == 200
        assert connection.read_chunk()
    else:
        server.wait_for_load(lambda load: load["num_running"] >= running + options.get("n", 1))
    return connection


def rest_of_stream(connection) -> str:
    return b"".join(connection.read_chunks()).decode()


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("options", [{"stream": True}, {"stream": True, "n": 4}, {}, {"n": 4}], ids=str)
def test_a_client_that_leaves_costs_nothing_more(server, way, options):
    before = server.wait_for_load(lambda load: load["server_load"] == 0)
    getattr(start_long(server, **options), way)()
    after = server.wait_for_load(lambda load: load["server_load"] == 0)
    assert after["generated_tokens"] - before["generated_tokens"] < LONG["max_tokens"], "nobody waited for its end"
    assert after["kv_cache_usage"] == 0


def test_a_client_that_leaves_while_its_request_waits(start_server):
    server = start_server("--max-num-seqs", "1", "--max-model-len", "2048")
    running = start_long(server, stream=True)
    waiting = server.connect().send(request("POST", "/v1/completions", SHORT))
    server.wait_for_load(lambda load: load["num_waiting"] == 1)
    waiting.close()
    server.wait_for_load(lambda load: load["num_waiting"] == 0)
    assert server.load()["num_running"] == 1, "the other one goes on"
    running.close()
    server.wait_for_load(lambda load: load["server_load"] == 0)
    assert server.ask("POST", "/v1/completions", SHORT)[0] == 200
    assert server.stop() == 0


def test_a_client_that_does_not_read_holds_up_nobody(server):
    """Its answer is larger than what the sockets hold. The engine finishes it and serves others; it loses nothing."""
    alone = server.ask("POST", "/v1/completions", SHORT)[1]["choices"]
    with server.connect(receive_buffer=4096) as connection:
        connection.send(request("POST", "/v1/completions", LARGE, "x-request-id: slow-reader"))
        server.wait_for_load(lambda load: load["num_running"] > 0)
        assert server.ask("POST", "/v1/completions", SHORT)[1]["choices"] == alone
        server.wait_for_load(lambda load: load["server_load"] == 0)
        assert server.ask("POST", "/v1/completions", SHORT)[1]["choices"] == alone
        assert not any("slow-reader" in line for line in server.log), "the answer still waits for its reader"
        assert connection.read_head().status == 200
        text = rest_of_stream(connection)
    server.wait_for_log("slow-reader")
    assert text.endswith("\n\ndata: [DONE]\n\n")
    events = [json.loads(event[len("data: ") :])["choices"][0] for event in text.split("\n\n")[:-2]]
    for index in range(LARGE["n"]):
        assert "".join(event["text"] for event in events if event["index"] == index).startswith(LARGE["prompt"])
    assert len(text) > 5_000_000, "more than the kernel keeps for a connection"


def test_health_is_known_while_a_long_prompt_is_computed(server):
    prompt = " ".join(f"word{number}" for number in range(400))
    with server.connect() as connection:
        connection.send(request("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 1}))
        server.wait_for_load(lambda load: load["num_running"] == 1)
        assert server.ask("GET", "/health")[0] == 200
        assert not connection.has_input(), "the prompt is still being computed"
        assert connection.read_answer().json()["usage"]["prompt_tokens"] > 1000


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_finish(start_server, ending):
    server = start_server("--max-model-len", "2048", "--shutdown-timeout", "600")
    idle = server.connect().send(request("GET", "/health"))
    assert idle.read_answer().status == 200
    options = {"max_tokens": 100}
    streamed, whole = start_long(server, **options, stream=True), start_long(server, **options)
    server.process.send_signal(ending)
    server.wait_for_log("shutting down")

    assert server.ask("GET", "/health")[0] == 200
    assert server.ask("GET", "/ready")[0] == 503
    for path, body in (
        ("/v1/completions", SHORT),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ):
        status, answer, headers = server.ask("POST", path, body)
        assert (status, answer["error"]["message"]) == (503, "the server is shutting down")
        assert int(headers["retry-after"]) > 0
    refused = idle.send(request("POST", "/v1/completions", SHORT)).read_answer()
    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert server.process.poll() is None, "all this while requests run"

    text = rest_of_stream(streamed)
    assert '"finish_reason":"length"' in text
    assert text.endswith("\n\ndata: [DONE]\n\n")
    assert whole.read_answer().json()["usage"]["completion_tokens"] == options["max_tokens"]
    assert server.process.wait(timeout=240) == 0
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_a_log_whose_reader_has_gone_ends_nothing():
    """As when `tee` behind the server goes first at Ctrl-C."""
    command = [BINARY, "serve", MODEL, "--host", "127.0.0.1", "--port", "0", "--max-model-len", "2048"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8")
    try:
        port = next(int(found[1]) for line in server.stderr if (found := re.search(r"ready at .*:(\d+)", line)))
        server.stderr.close()
        for _ in range(2):  # the first writes the line that nobody reads
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(request("GET", "/health", b"", "Connection: close"))
                assert b"200 OK" in connection.makefile("rb").read()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=240) == 0
    finally:
        server.kill()
        server.wait()


def test_a_form_needs_no_thread_that_is_kept(start_server):
    """One that could not be had then would end what all requests share."""
    server = start_server("--max-model-len", "512")

    def num_followers() -> int:
        names = [path.read_text() for path in Path(f"/proc/{server.process.pid}/task").glob("*/comm")]
        return names.count("constraint\n")

    before = wait_for(num_followers, lambda number: number == 4)  # they name themselves once they run
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1]}}}
    body = {"messages": [{"role": "user", "content": "hi"}], "response_format": form, "max_tokens": 4}
    assert server.ask("POST", "/v1/chat/completions", body)[0] == 200
    assert num_followers() == before


@pytest.mark.skipif("san" in BINARY.parent.name, reason="sanitizers take address space as they please")
def test_a_form_for_whose_compiler_there_is_no_memory_is_asked_for_later(start_server):
    server = start_server("--max-model-len", "512")
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1]}}}
    body = {"messages": [{"role": "user", "content": "hi"}], "response_format": form, "max_tokens": 4}
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    size = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) << 10
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_AS, (size + (150 << 20), -1))
    status, answer, headers = server.ask("POST", "/v1/chat/completions", body)
    assert (status, "thread" in answer["error"]["message"]) == (503, True), answer
    assert int(headers["retry-after"]) > 0
    resource.prlimit(server.process.pid, resource.RLIMIT_AS, unlimited)
    assert server.ask("POST", "/v1/chat/completions", body)[0] == 200


@pytest.mark.skipif("san" in BINARY.parent.name, reason="sanitizers take address space as they please")
def test_the_kv_cache_leaves_room_in_a_bounded_address_space(start_server):
    """As `ulimit -v` bounds it: the machine's memory may be larger by far."""
    server = start_server("--max-num-seqs", "1000", address_space=3 << 30)
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1]}}}
    body = {"messages": [{"role": "user", "content": "hi"}], "response_format": form, "max_tokens": 4}
    assert server.ask("POST", "/v1/chat/completions", body)[0] == 200
    assert server.stop() == 0


def test_the_server_ends_well_while_a_request_is_still_read(start_server):
    """With the tokenizer, which must not go before who reads with it."""
    server = start_server("--shutdown-timeout", "0")
    long = {"messages": [{"role": "user", "content": "word " * 300_000}]}
    connection = server.connect().send(request("POST", "/v1/chat/completions", long))
    server.wait_for_load(lambda load: load["num_preparing"] == 1)
    connection.close()
    assert server.stop() == 0


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_what_does_not_finish_in_time_is_told(start_server, seconds):
    server = start_server("--max-model-len", "2048", "--shutdown-timeout", seconds)
    streamed, whole = start_long(server, stream=True), start_long(server, n=2)
    server.process.send_signal(signal.SIGTERM)
    text = rest_of_stream(streamed)
    assert '"finish_reason":"abort"' in text
    assert text.endswith("\n\ndata: [DONE]\n\n")
    answer = whole.read_answer()
    assert answer.status == 200
    assert [choice["finish_reason"] for choice in answer.json()["choices"]] == ["abort", "abort"]
    assert server.process.wait(timeout=240) == 0
    server.wait_for_log("stopped")


def test_a_server_ends_though_a_client_does_not_read(start_server):
    server = start_server("--max-model-len", "2048", "--shutdown-timeout", "1")
    connection = server.connect(receive_buffer=4096)
    connection.send(request("POST", "/v1/completions", LARGE))
    server.wait_for_load(lambda load: load["num_running"] > 0)
    server.wait_for_load(lambda load: load["server_load"] == 0)
    assert server.stop() == 0
    server.wait_for_log("ending the requests that still run")


def test_a_second_signal_ends_at_once(start_server):
    server = start_server("--max-model-len", "2048", "--shutdown-timeout", "600")
    connection = start_long(server, stream=True)
    server.process.send_signal(signal.SIGTERM)
    server.wait_for_log("shutting down")
    time.sleep(0.6)  # sooner, and it would count as the same
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=240) == 0
    assert b"[DONE]" not in connection.read_to_end()
    assert any("second signal" in line for line in server.log)


def test_a_signal_that_comes_twice_at_once_is_one(start_server):
    """To a group, and passed on by one of it, as make does."""
    server = start_server("--max-model-len", "2048")
    connection = server.connect()
    connection.send(request("POST", "/v1/completions", {**LARGE, "max_tokens": 100, "stream": True}))
    server.wait_for_load(lambda load: load["num_running"] > 0)
    server.process.send_signal(signal.SIGTERM)
    server.wait_for_log("shutting down")
    server.process.send_signal(signal.SIGTERM)
    assert b"[DONE]" in connection.read_to_end()
    assert server.process.wait(timeout=240) == 0


def run_serve(*flags: str, **environment: str) -> subprocess.CompletedProcess:
    command = [str(BINARY), "serve", str(MODEL), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **environment})


def test_a_taken_port_is_said_before_the_model_is_loaded(start_server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_serve("--port", str(port))
    assert ended.returncode != 0
    assert re.search(rf"cannot listen on 127\.0\.0\.1:{port}: .*in use.*--port", ended.stderr), ended.stderr
    assert "weights" not in ended.stderr
    assert ended.stderr.count("\n") == 1, "that, and nothing else"


def test_every_instruction_set_gives_the_same_text_alone_and_among_others(server, start_server):
    """Between the sets texts may differ: they round norms and attention differently. What they predict is alike."""
    question = {"prompt": "Red, yellow, green and", "max_tokens": 4, "temperature": 0, "logprobs": 0}

    def prompt_logprobs(where):
        answer = where.ask("POST", "/v1/completions", {**question, "max_tokens": 1, "prompt_logprobs": 0})[1]
        return [next(iter(entry.values()))["logprob"] for entry in answer["choices"][0]["prompt_logprobs"][1:]]

    wanted = prompt_logprobs(server)
    refused = run_serve("--port", "0", RETORT_ISA="mmx")
    assert refused.returncode != 0
    found = re.search(r"RETORT_ISA: expected one this machine supports \((.*?)\), got 'mmx'", refused.stderr)
    supported = found.group(1).split(", ")
    assert "scalar" in supported
    for name in supported:
        forced = start_server("--max-model-len", "512", environment={"RETORT_ISA": name})
        assert any(f"{name} kernels" in line for line in forced.log)
        alone = forced.ask("POST", "/v1/completions", question)[1]["choices"]
        other = start_long(forced, stream=True, max_tokens=400)
        assert forced.ask("POST", "/v1/completions", question)[1]["choices"] == alone, name
        other.close()
        distances = [abs(a - b) for a, b in zip(wanted, prompt_logprobs(forced), strict=True)]
        assert sum(distances) / len(distances) < 0.4, name
        assert forced.stop() == 0


def test_an_idle_server_uses_no_cpu(start_server):
    """Ready and never asked, and again after an answer: less than 2 % of a core."""
    server = start_server("--max-model-len", "512")

    def ticks() -> int:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)'s fields 14 and 15

    def share_of_a_core() -> float:
        before, begin = ticks(), time.monotonic()
        time.sleep(5)
        return (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)

    assert share_of_a_core() < 0.02
    assert server.ask("POST", "/v1/completions", SHORT)[0] == 200
    assert share_of_a_core() < 0.02


def test_threads_have_names(server):
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    assert {"http", "engine"} <= {(task / "comm").read_text().strip() for task in tasks}


@pytest.mark.parametrize("limit", ["100", "60000"])
def test_a_form_that_still_compiles_holds_up_no_end(start_server, limit):
    """Whether its time is up, or its client has left before that."""
    server = start_server("--schema-timeout", limit)
    slow = {"prompt": "a", "structured_outputs": {"json": {"type": "integer", "multipleOf": 99991}}}
    connection = server.connect()
    connection.send(request("POST", "/v1/completions", slow))
    if limit == "100":
        assert connection.read_head().status == 400
    else:
        server.wait_for_load(lambda load: load["num_preparing"] == 1)
    connection.close()
    server.wait_for_load(lambda load: load["num_preparing"] == 0)
    server.process.terminate()
    assert server.process.wait(timeout=60) == 0
