"""TLS, Unix domain sockets, keys, and what the log keeps to itself."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import time

import httpx2
import openai
import pytest
from conftest import BINARY, MODEL
from raw_http import Connection, request

SHORT = {"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0}
CHAT = {"messages": [{"role": "user", "content": "my secret thought"}], "max_tokens": 3}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def encrypted(start_server, certificate):
    server = start_server(*flags_for(certificate), "--max-model-len", "2048", "--header-timeout", "1")
    assert server.url.startswith("https://127.0.0.1:")
    yield server
    assert server.stop() == 0, "".join(server.log[-20:])


def connect_tls(server, certificate, **options) -> Connection:
    context = ssl.create_default_context(cafile=certificate[0])
    connection = server.connect(seconds=60, **options)
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection


def flags_for(certificate) -> tuple[str, ...]:
    return ("--ssl-certfile", str(certificate[0]), "--ssl-keyfile", str(certificate[1]))


def get_json(server, certificate, path: str) -> dict:
    context = ssl.create_default_context(cafile=certificate[0])
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)
    connection.request("GET", path)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_the_sdk_speaks_tls(encrypted, certificate):
    context = ssl.create_default_context(cafile=certificate[0])
    with openai.OpenAI(
        base_url=f"https://localhost:{encrypted.port}/v1",
        api_key="none",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=context),
    ) as client:
        whole = client.completions.create(model="", **SHORT).choices[0].text
        chunks = client.completions.create(model="", stream=True, **SHORT)
        assert "".join(chunk.choices[0].text for chunk in chunks) == whole


def test_one_connection_too_many_over_tls_is_told_so(start_server, certificate):
    server = start_server(*flags_for(certificate), "--max-connections", "2")
    first, second = connect_tls(server, certificate), connect_tls(server, certificate)
    for connection in (first, second):  # an answer shows that it holds its place
        assert connection.send(request("GET", "/ping")).read_answer().status == 200
    with connect_tls(server, certificate) as third:
        answer = third.read_answer()
        assert third.is_closed()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    first.close()
    second.close()
    assert server.stop() == 0


def test_a_large_body_and_answer_over_tls(encrypted, certificate):
    """Larger than any buffer on the way: nothing is lost or reordered."""
    with connect_tls(encrypted, certificate) as connection:
        text = "word " * 200_000
        connection.send(request("POST", "/tokenize", {"prompt": text}))
        assert connection.read_answer().json()["count"] >= 200_000


def test_requests_that_come_while_one_is_answered_over_tls(encrypted, certificate):
    with connect_tls(encrypted, certificate) as connection:
        connection.send(request("POST", "/v1/completions", {**SHORT, "max_tokens": 64, "stream": True}))
        prompts = ["word " * number for number in range(1, 100)]
        for prompt in prompts:
            connection.send(request("POST", "/tokenize", {"prompt": prompt}))
        assert connection.read_answer().body.endswith(b"data: [DONE]\n\n")
        counts = [connection.read_answer().json()["count"] for _ in prompts]
        assert counts == sorted(set(counts))


def test_who_reads_nothing_over_tls_is_given_up(start_server, certificate):
    timeouts = ("--idle-timeout", "1", "--header-timeout", "1")
    server = start_server(*flags_for(certificate), *timeouts, "--max-connections", "8", "--max-model-len", "512")
    before = server.num_sockets()
    silent = [connect_tls(server, certificate, receive_buffer=4096) for _ in range(8)]
    for connection in silent:
        connection.send(request("GET", "/") * 800)
    server.wait_for_num_sockets(before, seconds=15)
    with connect_tls(server, certificate) as connection:
        assert connection.send(request("GET", "/ping")).read_answer().status == 200
    assert server.stop() == 0
    for connection in silent:
        connection.close()


def test_answers_over_tls_arrive_though_the_server_has_ended(start_server, certificate):
    """What it holds to be answered is out of its hands, however slowly it is read."""
    server = start_server(*flags_for(certificate), "--max-model-len", "512")
    asked = request("GET", "/openapi.json")

    def num_answered() -> int:
        return sum("GET /openapi.json 200" in line for line in server.log)

    def wait_until_stuck() -> int:
        before = -1
        while before != (before := num_answered()):
            time.sleep(0.3)
        return before

    with connect_tls(server, certificate, receive_buffer=4096) as silent:
        silent.send(asked * 300)
        num_unread = wait_until_stuck()
    assert 5 < num_unread < 300, "as many as the kernel takes for a connection"
    slow = [connect_tls(server, certificate, receive_buffer=4096) for _ in range(4)]
    for less, connection in enumerate(slow):
        connection.send(asked * (num_unread - less))
    wait_until_stuck()
    server.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):  # where one does take less than it did before
        server.process.wait(timeout=2)
    for less, connection in enumerate(slow):
        for _ in range(num_unread - less):
            assert connection.read_answer().status == 200
        connection.close()
    assert server.stop() == 0


def test_who_leaves_over_tls_ends_the_request(encrypted, certificate):
    connection = connect_tls(encrypted, certificate)
    connection.send(
        request("POST", "/v1/completions", {**SHORT, "max_tokens": 1900, "ignore_eos": True, "stream": True})
    )
    assert connection.read_head().status == 200
    assert get_json(encrypted, certificate, "/load")["num_running"] == 1
    connection.close()
    for _ in range(1000):
        if get_json(encrypted, certificate, "/load")["num_running"] == 0:
            return
    raise AssertionError("it still runs")


def test_what_is_not_tls_is_dropped(encrypted):
    before = encrypted.num_sockets()
    with encrypted.connect() as plain:
        plain.send(request("GET", "/health"))
        assert b"HTTP/1.1 200" not in plain.read_to_end()
    silent = [encrypted.connect() for _ in range(20)]  # no handshake: given up after --header-timeout
    assert all(connection.is_closed() for connection in silent)
    encrypted.wait_for_num_sockets(before)


def test_old_tls_is_refused(encrypted):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", encrypted.port), timeout=60) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_unix_domain_socket(start_server, tmp_path):
    path = tmp_path / "retort.sock"
    server = start_server("--uds", str(path), "--max-model-len", "512")
    assert server.url == f"unix:{path}"
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), timeout=60) as client:
        answer = client.post("http://any.name/v1/completions", json=SHORT)
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["text"]
    taken = subprocess.run([BINARY, "serve", MODEL, "--uds", path], capture_output=True, text=True, timeout=60)
    assert taken.returncode != 0
    assert f"cannot listen on {path}: another server does" in taken.stderr
    server.process.kill()
    server.process.wait()
    again = start_server("--uds", str(path), "--max-model-len", "512")  # in the place of what was left behind
    assert again.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ssl-certfile", "x"], "expected both or none, there is only --ssl-certfile"),
        (["--ssl-certfile", "/nowhere", "--ssl-keyfile", "/nowhere"], "--ssl-certfile /nowhere: expected a PEM"),
        (["--uds", "/" + "x" * 200], "--uds: expected a path of 1 to 107 bytes, got 201"),
        (["--block-size", "16"], "--block-size"),
        (["--dtype", "float16"], "--dtype"),
        (["--tensor-parallel-size", "2"], "--tensor-parallel-size"),
        (["--quantization", "none"], "--quantization: expected gguf (or auto)"),
        (["--quantization", "awq"], "--quantization"),
        (["--reasoning-parser", "mistral"], "--reasoning-parser"),
        (["--generation-config", "/x.json"], "--generation-config"),
        (["--log-format", "xml"], "--log-format"),
    ],
)
def test_flags_that_are_refused_by_name(flags, message):
    ended = subprocess.run([BINARY, "serve", MODEL, "--port", "0", *flags], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert message in ended.stderr


def test_vllms_flags_that_change_nothing_are_taken(start_server):
    server = start_server(
        *("--max-model-len", "512", "--block-size", "32", "--dtype", "auto", "--quantization", "gguf"),
        *("--tensor-parallel-size", "1", "--gpu-memory-utilization", "0.9", "--enforce-eager"),
        *("--enable-chunked-prefill", "--reasoning-parser", "deepseek_r1", "--generation-config", "vllm"),
    )
    log = "".join(server.log)
    for name in ("--block-size", "--gpu-memory-utilization", "--enforce-eager", "--reasoning-parser"):
        assert f"{name} changes nothing" in log
    assert server.stop() == 0


def test_every_path_but_the_public_ones_asks_for_the_key(start_server):
    server = start_server("--api-key", "first-key", "--api-key", "second-key", "--max-model-len", "512")
    paths = server.ask("GET", "/openapi.json", headers={"Authorization": "Bearer second-key"})[1]["paths"]
    assert "/metrics" in paths
    for path, methods in paths.items():
        for method in methods:
            expected = 200 if path in ("/health", "/ready", "/ping") else 401
            status, _, headers = server.ask(method.upper(), path.replace("{id}", "x"), None)
            assert status == expected, (method, path)
            assert headers["x-request-id"]
    for wrong in ("first-ke", "first-key2", "", "FIRST-KEY"):
        assert server.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {wrong}"})[0] == 401
    log = "".join(server.log)
    assert "first-key" not in log
    assert "second-key" not in log
    assert server.stop() == 0


def test_the_log_tells_that_requests_were_but_not_what_they_say(start_server):
    server = start_server("--api-key", "the-key", "--log-level", "debug", "--max-model-len", "512")
    key = {"Authorization": "Bearer the-key", "x-request-id": "my-own-id"}
    assert server.ask("POST", "/v1/chat/completions", CHAT, key)[0] == 200
    assert server.ask("POST", "/v1/chat/completions", {**CHAT, "temprature": 1}, key)[0] == 400
    secret = "my secret thought"
    for body in ({**CHAT, "temperature": secret}, {**CHAT, secret: 1}, {"messages": secret}):
        status, answer, _ = server.ask("POST", "/v1/chat/completions", body, key)
        assert status == 400
        assert secret in answer["error"]["message"], "the client is told"
    with server.connect() as connection:
        torn = f'{{"messages": "{secret}'.encode()
        connection.send(request("POST", "/v1/chat/completions", torn, "Authorization: Bearer the-key"))
        assert secret in connection.read_answer().json()["error"]["message"]
    server.wait_for_log("400 temprature (unknown_parameter)")
    server.wait_for_log("400 temperature: expected a number from 0 to 2, ")
    server.wait_for_log("400 the body is not valid JSON, ")
    assert server.stop() == 0
    log = "".join(server.log)
    assert "secret thought" not in log
    assert "the-key" not in log
    summary = [line for line in server.log if "POST /v1/chat/completions 200" in line]
    assert len(summary) == 1
    assert "prompt tokens" in summary[0]
    assert "3 generated" in summary[0]
    assert "my-own-id" in summary[0]


def test_the_log_tells_what_requests_say_when_asked_to(start_server):
    server = start_server("--enable-log-requests", "--max-model-len", "512")
    assert server.ask("POST", "/v1/chat/completions", CHAT, {"x-request-id": "abc"})[0] == 200
    server.wait_for_log("secret thought")
    assert any("[abc] /v1/chat/completions asks:" in line for line in server.log)
    assert server.stop() == 0


def test_json_logs(start_server):
    server = start_server("--log-format", "json", "--enable-log-requests", "--max-model-len", "512")
    odd = 'a "quoted"\nline\twith \\ and \x7f ä'
    assert server.ask("POST", "/v1/completions", {**SHORT, "prompt": odd})[0] == 200
    server.wait_for_log("POST /v1/completions 200")
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log]
    assert all(set(line) == {"time", "level", "message"} for line in lines)
    assert {line["level"] for line in lines} == {"info"}
    assert all(line["time"].endswith("Z") and len(line["time"]) == 24 for line in lines)


@pytest.mark.parametrize(
    ("config", "name", "plain"),
    [
        ("auto", "other.gguf", {"temperature": 0.6, "top_p": 0.95}),
        ("auto", MODEL.name, {"temperature": 0.2, "top_p": 0.9}),
        ("vllm", "other.gguf", {"temperature": 1, "top_p": 1}),
    ],
)
def test_generation_config(start_server, tmp_path, config, name, plain):
    """A model of the catalogue as its makers recommend, another that thinks as R1's do, unless told otherwise."""
    (tmp_path / name).symlink_to(MODEL)
    server = start_server(
        "--force-thinking", "on", "--generation-config", config, "--max-model-len", "512", model=tmp_path / name
    )
    question = {"prompt": "The sea is", "max_tokens": 12, "seed": 3}
    answers = [server.ask("POST", "/v1/completions", {**question, **more})[1]["choices"] for more in ({}, plain)]
    assert answers[0] == answers[1]
    assert server.stop() == 0
