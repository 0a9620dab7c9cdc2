"""Many clients at once, and servers that end in the middle of it: nothing leaks, nothing breaks."""

import concurrent.futures
import json
import signal

import pytest
from raw_http import request

STREAM = {"max_tokens": 24, "ignore_eos": True, "temperature": 0, "stream": True}


def open_stream(server, number: int, **more):
    body = {**STREAM, "prompt": f"Story {number}: once upon a time", **more}
    return server.connect().send(request("POST", "/v1/completions", body))


def finish_reason(connection) -> str:
    """Of a stream that was opened, read to its end."""
    with connection:
        assert connection.read_head().status == 200
        text = b"".join(connection.read_chunks()).decode()
    assert text.endswith("data: [DONE]\n\n")
    return json.loads(text.split("\n\n")[-3][len("data: ") :])["choices"][0]["finish_reason"]


def run_streams(server, number: int) -> list[str]:
    streams = [open_stream(server, i) for i in range(number)]
    with concurrent.futures.ThreadPoolExecutor(number) as pool:
        return list(pool.map(finish_reason, streams))


@pytest.mark.memory
def test_idle_connections_and_many_streams_need_little_memory(start_server):
    server = start_server("--max-model-len", "256", "--kv-cache-memory", "96M", "--max-num-seqs", "64")
    for _ in range(2):  # the second time also those blocks are written that the first left free: the whole cache
        assert run_streams(server, 64) == ["length"] * 64
    server.wait_for_load(lambda load: load["server_load"] == 0)
    before, sockets = server.resident_bytes(), server.num_sockets()
    idle = [server.connect() for _ in range(200)]
    for connection in idle:
        assert connection.send(request("GET", "/health")).read_answer().status == 200
    assert run_streams(server, 64) == ["length"] * 64
    for connection in idle:
        assert connection.send(request("GET", "/health")).read_answer().status == 200
    assert server.resident_bytes() - before < 50e6
    for connection in idle:
        connection.close()
    server.wait_for_num_sockets(sockets)
    assert server.stop() == 0


@pytest.mark.memory
def test_ten_thousand_connections_leave_nothing_behind(start_server):
    server = start_server("--max-model-len", "256")
    halves = [b"", b"GET /hea", request("GET", "/health"), request("POST", "/tokenize", {"prompt": "x"})[:-3]]

    def open_and_drop(number: int):
        connection = server.connect().send(halves[number % len(halves)])
        connection.reset() if number % 3 == 0 else connection.close()

    def drop(number: int):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(open_and_drop, range(number)))
        server.wait_for_num_sockets(sockets)

    sockets = server.num_sockets()
    drop(2_000)
    before = server.resident_bytes()
    drop(10_000)
    assert server.resident_bytes() - before < 5e6, "less than 500 bytes each"
    assert server.ask("GET", "/health")[0] == 200
    assert server.stop() == 0


def ends_of_sixteen_streams_after_sigterm(server, max_tokens: int) -> list[str]:
    streams = [open_stream(server, i, max_tokens=max_tokens) for i in range(16)]
    server.wait_for_load(lambda load: load["num_running"] == 16)
    server.process.send_signal(signal.SIGTERM)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ends = list(pool.map(finish_reason, streams))
    assert server.process.wait(timeout=240) == 0
    return ends


def test_sixteen_streams_finish_after_sigterm(start_server):
    server = start_server("--max-model-len", "512", "--shutdown-timeout", "200")
    assert ends_of_sixteen_streams_after_sigterm(server, max_tokens=60) == ["length"] * 16


def test_sixteen_streams_are_told_when_the_time_is_up(start_server):
    server = start_server("--max-model-len", "2048", "--shutdown-timeout", "1")
    assert ends_of_sixteen_streams_after_sigterm(server, max_tokens=1900) == ["abort"] * 16


def test_kill_breaks_nothing_for_the_next_start(start_server):
    first = start_server("--max-model-len", "512")
    question = {"prompt": "One, two, three,", "max_tokens": 8, "temperature": 0}
    answer = first.ask("POST", "/v1/completions", question)[1]["choices"]
    streams = [open_stream(first, i, max_tokens=400) for i in range(4)]
    first.wait_for_load(lambda load: load["num_running"] == 4)
    first.process.kill()
    first.process.wait()
    for stream in streams:
        assert b"[DONE]" not in stream.read_to_end()
        stream.close()
    again = start_server("--max-model-len", "512", "--port", str(first.port))
    assert again.port == first.port
    assert again.ask("POST", "/v1/completions", question)[1]["choices"] == answer
    assert again.stop() == 0
