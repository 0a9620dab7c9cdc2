"""What keeps the service up: limits, and getting less when it gets too much."""

import concurrent.futures
import subprocess
import time

import pytest
from conftest import BINARY, MODEL
from raw_http import request

SHORT = {"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0}
LONG = {**SHORT, "max_tokens": 1900, "ignore_eos": True}


def test_a_burst_far_beyond_capacity(start_server):
    """Who is let in gets an answer, who is not is told so at once, and when to come again."""
    server = start_server("--max-num-seqs", "2", "--max-waiting", "4", "--max-model-len", "2048")

    def ask(_):
        begin = time.monotonic()
        status, _, headers = server.ask("POST", "/v1/completions", {**SHORT, "max_tokens": 60, "ignore_eos": True})
        return status, headers, time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(ask, range(60)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 429}
    assert 4 <= statuses.count(200) < 60, "those that may wait at least"
    refusals = [(headers, seconds) for status, headers, seconds in answers if status == 429]
    assert all(headers["retry-after"] == "1" for headers, _ in refusals)
    slowest_accepted = max(seconds for status, _, seconds in answers if status == 200)
    assert max(seconds for _, seconds in refusals) < slowest_accepted / 2, "nobody queues to be sent away"
    server.wait_for_load(lambda load: load["server_load"] == 0 and load["kv_cache_usage"] == 0)
    assert server.stop() == 0


def test_degraded_answers_say_so(start_server):
    server = start_server("--degrade-memory", "0%", "--max-model-len", "2048")
    server.wait_for_log("degraded (memory)")
    status, answer, headers = server.ask("POST", "/v1/completions", {**LONG, "max_tokens": 600})
    assert (status, headers["x-retort-degraded"]) == (200, "memory")
    assert answer["usage"]["completion_tokens"] == 512
    hot = [server.ask("POST", "/v1/completions", {**SHORT, "temperature": t, "seed": 5})[1] for t in (2, 0.3)]
    assert hot[0]["choices"][0]["text"] == hot[1]["choices"][0]["text"], "no hotter than 0.3"
    with server.connect() as connection:
        connection.send(request("POST", "/v1/completions", {**SHORT, "stream": True}))
        assert connection.read_head().headers["x-retort-degraded"] == "memory"
    asked = {"input": "Hi", "temperature": 0.7, "max_output_tokens": 600}
    told = server.ask("POST", "/v1/responses", asked)[1]
    assert (told["temperature"], told["max_output_tokens"]) == (0.3, 512), "what the answer was made with"
    assert server.stop() == 0


def test_degraded_requests_are_sent_away_when_told_to(start_server):
    server = start_server("--degrade-memory", "0%", "--degrade-mode", "reject", "--max-model-len", "512")
    server.wait_for_log("degraded (memory)")
    for path, body in (
        ("/v1/completions", SHORT),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/generate", {"prompt": "hi"}),
    ):
        status, _, headers = server.ask("POST", path, body)
        assert (status, headers["retry-after"]) == (503, "30")
    assert server.ask("GET", "/health")[0] == 200
    assert server.stop() == 0


def test_a_batch_that_never_fits_is_not_told_to_come_again(start_server):
    server = start_server("--max-num-seqs", "1", "--max-waiting", "2", "--max-model-len", "512")
    status, answer, headers = server.ask("POST", "/generate-batch", [{"prompt": "hi", "max_tokens": 1}] * 4)
    assert (status, headers.get("retry-after")) == (400, None)
    assert answer["error"]["message"] == (
        "4 sequences at once are more than the server can take: --max-num-seqs is 1 and --max-waiting 2"
    )
    assert server.ask("POST", "/generate-batch", [{"prompt": "hi", "max_tokens": 1}] * 3)[0] == 200
    assert server.stop() == 0


# Megabytes at the first token; the answers go on with " one two three".
LARGE = {"prompt": " one two three" * 50, "echo": True, "logprobs": 20, "n": 32, "temperature": 0, "stream": True}


@pytest.mark.parametrize("stop", [None, " two"])
def test_the_time_is_up_for_slow_readers_too(start_server, stop):
    """Their answers end and leave the cache; who reads on is told why, or gets what was whole in time."""
    server = start_server("--request-timeout", "6", "--max-model-len", "2048")
    body = {**LARGE, "max_tokens": 1500, "ignore_eos": True, "stop": stop}
    with server.connect(receive_buffer=4096) as connection:
        connection.send(request("POST", "/v1/completions", body))
        assert connection.read_head().status == 200
        server.wait_for_load(lambda load: load["num_finished"] == 1)
        if stop:  # it has ended long before
            time.sleep(6)
        told = connection.read_until(b"[DONE]")
    assert (b"within the server's time limit" in told) == (stop is None)
    assert told.count(b'"finish_reason":"stop"') == (32 if stop else 0)
    assert b'"finish_reason":"length"' not in told
    assert server.stop() == 0


def test_admin_paths(start_server):
    key = {"Authorization": "Bearer secret"}
    limits = ["--max-model-len", "512", "--max-num-seqs", "8", "--max-num-batched-tokens", "4"]
    server = start_server("--enable-admin", "--api-key", "secret", *limits)
    assert server.ask("POST", "/reset_prefix_cache")[0] == 401
    assert server.ask("POST", "/reset_prefix_cache", headers=key)[:2] == (200, {"status": "ok"})
    info = server.ask("GET", "/server_info", headers=key)[1]
    assert info["engine"]["max_model_len"] == 512
    assert info["engine"]["max_num_batched_tokens"] == 8
    assert "max_num_batched_tokens 4: raised to 8" in "".join(server.log)
    assert "secret" not in str(info)
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--enable-admin"], "--enable-admin: expected an --api-key beside it"),
        (["--max-requests-per-key", "3"], "--max-requests-per-key: expected an --api-key beside it"),
        (["--degrade-memory", "0.9"], "--degrade-memory: expected a share from 0% to 100%, got '0.9'"),
        (["--degrade-mode", "panic"], "--degrade-mode"),
        (["--max-waiting", "-1"], "--max-waiting"),
        (["--no-enable-chunked-prefill"], "--no-enable-chunked-prefill: not supported"),
        (["--served-model-name", ""], "--served-model-name: expected a name, got an empty one"),
        (["--model", "qwen3-0.6b"], f"MODEL and --model: expected one model, got '{MODEL}' and 'qwen3-0.6b'"),
    ],
)
def test_wrong_flags(flags, message):
    ended = subprocess.run(
        [str(BINARY), "serve", str(MODEL), "--port", "0", *flags], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert message in ended.stderr


@pytest.mark.memory
def test_a_template_that_makes_too_much_is_refused(start_server):
    """A few instructions of it would make gigabytes."""
    server = start_server("--trust-request-chat-template", "--max-model-len", "512")
    before = server.resident_bytes()
    doubled = "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    raw = "{% for i in range(99999) %}" + "r" * 50_000 + "{% endfor %}"
    for template in ("{{ 'x' * 1000000000 }}", "{{ (0,) * 99999999 }}", doubled, raw):
        for path, more in (("/v1/chat/completions", {"max_tokens": 1}), ("/tokenize", {})):
            body = {"messages": [{"role": "user", "content": "Hi"}], "chat_template": template, **more}
            status, answer, _ = server.ask("POST", path, body)
            assert status == 400, answer
            assert "more text and lists than a chat template may" in answer["error"]["message"], template
    assert server.resident_bytes("VmHWM") < before + (512 << 20)
    body["chat_template"] = "{% for m in messages %}{{ m.content * 3 }}{% endfor %}"
    assert server.ask("POST", "/tokenize", {**body, "return_token_strs": True})[0] == 200
    assert server.stop() == 0
