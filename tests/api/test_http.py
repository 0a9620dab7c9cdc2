"""What a server takes from clients that are broken, careless or hostile, to the byte."""

import json
import re
import time

import pytest
from raw_http import request

TEXT = {"prompt": "one two"}  # for /tokenize, which needs no engine
CHUNKED = (
    "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
)
COMPLETION = {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def strict(start_server):
    """A server that waits a second, and takes little."""
    flags = ("--header-timeout", "1", "--idle-timeout", "1", "--max-body-bytes", "20000", "--max-model-len", "512")
    strict = start_server(*flags)
    yield strict
    assert strict.stop() == 0, "".join(strict.log[-40:])


@pytest.fixture(scope="module")
def guarded(start_server):
    return start_server("--api-key", "secret", "--allowed-origins", "http://app.example", "--max-model-len", "512")


@pytest.fixture(autouse=True)
def unharmed(request):
    """Whatever a test does to a server: afterwards it answers, has nothing left to do, and keeps no connection."""
    servers = [request.getfixturevalue(name) for name in ("server", "strict") if name in request.fixturenames]
    sockets = [server.num_sockets() for server in servers]
    yield
    for server, before in zip(servers, sockets, strict=True):
        assert server.ask("GET", "/health")[0] == 200
        status, answer, _ = server.ask("POST", "/v1/completions", {**COMPLETION, "max_tokens": 1})
        assert status == 200
        assert answer["choices"][0]["text"]
        server.wait_for_load(lambda load: load["server_load"] == 0 and load["kv_cache_usage"] == 0)
        server.wait_for_num_sockets(before)


def check_refusal(answer, status: int, message: str = ""):
    assert answer.status == status, answer
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]


def get(*headers: str) -> bytes:
    return request("GET", "/health", b"", *headers)


MALFORMED = {
    "garbage": bytes(range(256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",
    "only line ends": b"\r\n" * 10,
    "no version": b"GET /health\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /health HTTP/0.9\r\n\r\n",
    "a space in a name": get("X y: 1"),
    "no colon": get("nothing"),
    "no name": get(": 1"),
    "NUL in a value": get("X: a\0b"),
    "CR in a value": get("X: a\rb"),
    "a negative length": get("Content-Length: -1"),
    "a length that is no number": get("Content-Length: 1x"),
    "a length beyond 64 bits": get("Content-Length: 99999999999999999999999"),
    "two lengths": get("Content-Length: 1", "Content-Length: 2"),
    "two lengths in one": get("Content-Length: 1, 2"),
    "a length, then chunked": request("POST", "/tokenize", TEXT, "Transfer-Encoding: chunked"),
    "chunked, then a length": CHUNKED.encode() + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "an encoding not known": request("POST", "/tokenize", b"", "Transfer-Encoding: gzip")
    + b"GET /health HTTP/1.1\r\n\r\n",
    "an encoding and a length": request("POST", "/tokenize", TEXT, "Transfer-Encoding: identity"),
    "chunked, but not last": request("POST", "/tokenize", b"", "Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "chunked, but not alone": request("POST", "/tokenize", b"", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked twice": CHUNKED.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": request("POST", "/tokenize", b"", "Transfer-Encoding: chunked", version="1.0")
    + b"0\r\n\r\n",
    "a chunk size that is no number": CHUNKED.encode() + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED.encode() + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": CHUNKED.encode() + b"\r\n" + b"F" * 17 + b"\r\n{}\r\n0\r\n\r\n",
    "no chunk size": CHUNKED.encode() + b"\r\n\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED.encode() + b"\r\n1\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_requests_are_refused_and_the_connection_ends(server, what):
    """It ends because nobody can say where the next request would begin."""
    with server.connect() as connection:
        check_refusal(connection.send(MALFORMED[what]).read_answer(), 400)
        assert connection.finish_sending().read_to_end() == b""


def test_what_is_wrong_but_whole_leaves_the_connection(server):
    wrong = [request("GET", path) for path in ("health", "*", "/%", "/%zz", "/health%00", "/health%0d%0aX:1")]
    wrong += [b"GET /health HTTP/1.1\r\n\r\n", get("Host: 127.0.0.1")]
    with server.connect() as connection:
        for sent in wrong:
            check_refusal(connection.send(sent).read_answer(), 400)
        assert connection.send(get()).read_answer().status == 200


CUT_OFF = {
    "in the request line": b"GET /hea",
    "in the header": b"GET /health HTTP/1.1\r\nHost: local",
    "before the end of the header": b"GET /health HTTP/1.1\r\nHost: localhost\r\n",
    "in the body": request("POST", "/tokenize", TEXT)[:-3],
    "in a chunk": CHUNKED.encode() + b"\r\nff\r\n{",
    "between chunks": CHUNKED.encode() + b"\r\n2\r\n{}\r\n",
    "before the end of the trailer": CHUNKED.encode() + b"\r\n2\r\n{}\r\n0\r\n",
}


@pytest.mark.parametrize("where", CUT_OFF)
def test_a_request_that_ends_early(server, where):
    with server.connect() as connection:
        connection.send(CUT_OFF[where]).finish_sending()
        check_refusal(connection.read_answer(), 400)
        assert connection.is_closed()
    server.connect().send(CUT_OFF[where]).close()
    server.connect().send(CUT_OFF[where]).reset()


def test_more_body_than_was_said_is_the_next_request(server):
    with server.connect() as connection:
        connection.send(request("POST", "/tokenize", TEXT) + b"and more\r\n\r\n")
        assert connection.read_answer().status == 200
        check_refusal(connection.read_answer(), 400)
        assert connection.is_closed()


def test_headers_without_end(server):
    floods = {
        "a request line": b"GET /" + b"a" * 1_000_000,
        "a value": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000,
        "headers": b"GET /health HTTP/1.1\r\n" + b"X-Flood: 1\r\n" * 100_000,
    }
    for flood in floods.values():
        with server.connect() as connection:
            check_refusal(connection.send(flood).read_answer(), 431, "larger than 32768 bytes")
            connection.finish_sending()
            assert connection.is_closed()
    many = [f"X-{i}: {i}" for i in range(1500)]
    with server.connect() as connection:
        assert connection.send(get(*many)).read_answer().status == 200, "many, but below the limit"


def test_chunked_bodies(server):
    whole = server.ask("POST", "/tokenize", TEXT)[1]
    text = json.dumps(TEXT).encode()
    ways = [
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text),
        b"".join(b"1\r\n%c\r\n" % byte for byte in text) + b"0\r\n\r\n",
        b"000%X;name=value;flag\r\n%b\r\n0;last\r\n\r\n" % (len(text), text),
        b"%x\r\n%b\r\n0\r\nX-Trailer: 1\r\nHost: evil.example\r\n\r\n" % (len(text), text),
    ]
    with server.connect() as connection:
        for way in ways:
            answer = connection.send(CHUNKED.encode() + b"\r\n" + way).read_answer()
            assert answer.status == 200, (way, answer)
            assert answer.json() == whole
        for byte in CHUNKED.encode() + b"\r\n" + ways[0]:
            connection.send(bytes([byte]))
        assert connection.read_answer().json() == whole


NOT_JSON = {
    "nothing": b"",
    "cut off": b'{"prompt": "one',
    "cut off after a backslash": b'{"prompt": "one\\',
    "a brace alone": b"{",
    "two values": b'{"prompt": "x"} {}',
    "a comma too much": b'{"prompt": "x",}',
    "a comment": b'{"prompt": "x" /* why */}',
    "invalid UTF-8": b'{"prompt": "\xff\xfe"}',
    "an overlong NUL": b'{"prompt": "\xc0\x80"}',
    "a surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
    "half a surrogate pair": b'{"prompt": "\\ud800"}',
    "a bare line end in a string": b'{"prompt": "a\nb"}',
    "NaN": b'{"prompt": NaN}',
    "a number beyond all": b'{"prompt": 1e999}',
    "UTF-16": '{"prompt": "x"}'.encode("utf-16"),
    "nested too deep": b'{"prompt": ' + b"[" * 101 + b"]" * 101 + b"}",
    "nested without end": b"[" * 1_000_000,
    "objects without end": b'{"a":' * 200_000,
    "too many keys": json.dumps({str(i): i for i in range(10_000)}).encode(),
}


@pytest.mark.parametrize("path", ["/tokenize", "/v1/completions", "/v1/chat/completions"])
def test_bodies_that_are_not_json(server, path):
    with server.connect() as connection:
        for what, body in NOT_JSON.items():
            answer = connection.send(request("POST", path, body)).read_answer()
            assert answer.status == 400, what
            message = answer.json()["error"]["message"]
            assert re.match("the body is not valid JSON: |the JSON body ", message), (what, message)
        for body in (b"[]", b'"text"', b"1", b"null", b"true"):
            check_refusal(
                connection.send(request("POST", path, body)).read_answer(), 400, "the body: expected an object"
            )
        assert connection.send(get()).read_answer().status == 200, "a wrong body leaves the connection as it was"


def test_the_log_keeps_its_lines(start_server):
    """What clients write comes into the log, when that is asked for, as text of one line, whatever it is."""
    server = start_server("--enable-log-requests", "--max-model-len", "512")
    path = "/v1/completions"
    for name in ("forged\n2026-01-01 error   all is lost", "\x1b[2Jcleared", "\u009b31mred", "long" * 1_000_000):
        assert server.ask("POST", path, {"prompt": "x", name: 1})[0] == 400
    with server.connect() as connection:
        assert connection.send(request("POST", path, b'{"prompt": "torn \xff"}')).read_answer().status == 400
    server.wait_for_log("torn")
    log = "".join(server.log)
    assert "\\x0a2026-01-01 error" in log
    assert not any(line.startswith("2026-01-01") or len(line) > 10_000 for line in server.log)
    assert "torn \ufffd" in log
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", log)
    assert server.stop() == 0


def test_odd_but_right_json(server):
    for body in (
        b'\xef\xbb\xbf{"prompt": "x"}',
        b' \r\n\t{"prompt"\n:\t"x" } ',
        b'{"prompt": "\\u0000\\ud83d\\ude00"}',
    ):
        with server.connect() as connection:
            assert connection.send(request("POST", "/tokenize", body)).read_answer().status == 200, body


def test_bodies_over_the_limit(strict):
    def check(connection):
        check_refusal(connection.read_answer(), 413, "the body is larger than 20000 bytes")
        connection.finish_sending()
        assert connection.is_closed()

    fits = json.dumps({"prompt": "x" * 19_000}).encode()
    with strict.connect() as connection:
        assert connection.send(request("POST", "/tokenize", fits)).read_answer().status == 200
    with strict.connect() as connection:
        check(connection.send(request("POST", "/tokenize", b" " * 20_001)))
    with strict.connect() as connection:  # more than buffers on the way can hold
        check(connection.send(request("POST", "/tokenize", b" " * 20_000_000)))
    with strict.connect() as connection:
        check(connection.send(CHUNKED.encode() + b"\r\n" + b"1000\r\n%b\r\n" % (b" " * 4096) * 10))
    with strict.connect() as connection:  # one that says much, and waits
        check(connection.send(CHUNKED.encode() + b"\r\nFFFFFFFF\r\n"))
    with strict.connect() as connection:
        head = request("POST", "/tokenize", b"", "Content-Length: 99999999999", "Expect: 100-continue")
        check(connection.send(head))


def test_continue_is_said_when_asked_for(server):
    with server.connect() as connection:
        whole = request("POST", "/tokenize", TEXT, "Expect: 100-continue")
        head, body = whole[: -len(json.dumps(TEXT))], whole[-len(json.dumps(TEXT)) :]
        assert connection.send(head).read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.send(body).read_answer().status == 200


def test_paths_methods_and_types(server):
    with server.connect() as connection:

        def status(method, path, *headers):
            return connection.send(request(method, path, b"", *headers)).read_answer(to_head=method == "HEAD")

        for path in (
            "/nothing",
            "//health",
            "/health/",
            "/HEALTH",
            "/v1",
            "/v1/models/",
            "/../etc/passwd",
            "/%2e%2e/health",
        ):
            check_refusal(status("GET", path), 404, "")
        assert status("GET", "/health?with=query#").status in (200, 400)
        for method, path, allowed in (
            ("POST", "/health", "GET, HEAD"),
            ("DELETE", "/v1/models", "GET, HEAD"),
            ("PUT", "/v1/completions", "POST"),
            ("GET", "/v1/chat/completions", "POST"),
            ("HEAD", "/tokenize", "POST"),
            ("OPTIONS", "/tokenize", "POST"),
            ("INVENTED", "/tokenize", "POST"),
        ):
            answer = status(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, allowed), (method, path)
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/jsonp", ""):
        assert server.ask("POST", "/tokenize", TEXT, {"Content-Type": kind})[0] == 415
    assert server.ask("POST", "/tokenize", TEXT, {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200


def test_head_is_get_without_the_body(server):
    with server.connect() as connection:
        for path in ("/health", "/v1/models", "/openapi.json", "/", "/docs"):
            whole = connection.send(request("GET", path)).read_answer()
            head = connection.send(request("HEAD", path)).read_answer(to_head=True)
            assert head.status == whole.status == 200
            varying = ("x-request-id", "date")
            assert {k: v for k, v in head.headers.items() if k not in varying} == {
                k: v for k, v in whole.headers.items() if k not in varying
            }
            assert int(head.headers["content-length"]) == len(whole.body) > 0


def test_pages_of_other_origins(guarded, server):
    def preflight(origin, where=guarded):
        wanted = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, content-type")
        with where.connect() as connection:
            return connection.send(
                request("OPTIONS", "/v1/completions", b"", f"Origin: {origin}", *wanted)
            ).read_answer()

    allowed = preflight("http://app.example")
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "http://app.example")
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "content-length" not in allowed.headers
    for refused in (preflight("http://evil.example"), preflight("http://app.example.evil"), preflight("null")):
        assert refused.status == 401
        assert not any(name.startswith("access-control") for name in refused.headers)
    off = preflight("http://app.example", server)
    assert off.status == 405
    assert not any(name.startswith("access-control") for name in off.headers)

    # What a page may read: answers, errors, and streams.
    origin, key = "Origin: http://app.example", "Authorization: Bearer secret"
    with guarded.connect() as connection:
        for body in (COMPLETION, {**COMPLETION, "stream": True}, {"wrong": 1}):
            answer = connection.send(request("POST", "/v1/completions", body, origin, key)).read_answer()
            assert answer.headers["access-control-allow-origin"] == "http://app.example"
            assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-origin" in connection.send(get(origin)).read_answer().headers


def test_keys(guarded):
    def status(*headers, path="/v1/completions", body: bytes | dict = COMPLETION):
        with guarded.connect() as connection:
            return connection.send(request("POST", path, body, *headers)).read_answer()

    assert status("Authorization: Bearer secret").status == 200
    assert status("authorization: bearer secret").status == 200, "the scheme's case does not matter"
    wrong = [
        "Bearer",
        "Bearer ",
        "Bearer secre",
        "Bearer secrets",
        "Bearer SECRET",
        "Bearer secret secret",
        "secret",
        "Basic secret",
    ]
    for value in wrong:
        answer = status(f"Authorization: {value}")
        check_refusal(answer, 401, "a valid API key is needed")
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert status().status == 401
    assert status("Authorization: Bearer wrong", "Authorization: Bearer secret").status == 401
    assert status(path="/nothing").status == 401, "without a key nobody learns which paths there are"
    assert status(body=b" " * 1_000_000).status == 401
    assert not any("secret" in line for line in guarded.log)


def test_one_connection_for_many_requests(server):
    with server.connect() as connection:
        for i in range(20):
            stream = {**COMPLETION, "stream": True}
            for sent in (
                get(),
                request("POST", "/v1/completions", COMPLETION),
                request("POST", "/v1/completions", stream),
            ):
                answer = connection.send(
                    sent.replace(b"\r\n\r\n", b"\r\nx-request-id: r%d\r\n\r\n" % i, 1)
                ).read_answer()
                assert (answer.status, answer.headers["x-request-id"]) == (200, f"r{i}")
                assert answer.headers["connection"] == "keep-alive"
        last = connection.send(get("Connection: close")).read_answer()
        assert last.headers["connection"] == "close"
        assert connection.is_closed()


def test_http_1_0(server):
    with server.connect() as connection:
        assert connection.send(b"GET /health HTTP/1.0\r\n\r\n").read_answer().headers["connection"] == "close"
        assert connection.is_closed()
    with server.connect() as connection:
        stream = request("POST", "/v1/completions", {**COMPLETION, "stream": True}, version="1.0")
        answer = connection.send(stream).read_head()
        assert "transfer-encoding" not in answer.headers
        assert connection.read_to_end().endswith(b"\n\ndata: [DONE]\n\n")


def test_pipelined_requests_are_answered_in_their_order(server):
    kinds = [
        (get(), 200),
        (request("POST", "/v1/completions", COMPLETION), 200),
        (request("POST", "/v1/completions", {**COMPLETION, "stream": True}), 200),
        (request("POST", "/tokenize", {"wrong": 1}), 400),
        (request("GET", "/nothing"), 404),
    ]
    sent = b"".join(kinds[i % 5][0].replace(b"\r\n\r\n", b"\r\nx-request-id: r%d\r\n\r\n" % i, 1) for i in range(50))
    with server.connect() as connection:
        connection.send(sent)
        for i in range(50):
            answer = connection.read_answer()
            assert (answer.status, answer.headers["x-request-id"]) == (kinds[i % 5][1], f"r{i}")


def test_more_pipelined_than_the_server_holds(server):
    """What does not fit its buffer waits with the client until there is room."""
    count = 5000
    with server.connect() as connection:
        connection.socket.setblocking(False)
        unsent, answers = memoryview(get() * count), 0
        received = b""
        end = time.monotonic() + 120
        while answers < count and time.monotonic() < end:
            try:
                unsent = unsent[connection.socket.send(unsent) :] if unsent else unsent
            except BlockingIOError:
                pass
            try:
                received += connection.socket.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.001)
            answers = received.count(b"HTTP/1.1 200 OK\r\n")
        assert answers == count


def test_slow_requests_are_given_up(strict):
    """Each client sends a little now and then, and never all of it."""
    pieces = {
        "GET": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "body": request("POST", "/tokenize", b"", "Content-Length: 1000"),
        "chunks": CHUNKED.encode() + b"\r\n",
    }
    drips = {"GET": b"a", "body": b" ", "chunks": b"1\r\n \r\n"}
    slow = [(kind, strict.connect()) for kind in pieces for _ in range(10)]
    silent = [strict.connect() for _ in range(10)]
    for kind, connection in slow:
        connection.send(pieces[kind])
    while not all(connection.has_input() for _, connection in slow):
        for kind, connection in slow:
            if not connection.has_input():
                connection.send(drips[kind])
        assert strict.ask("GET", "/health")[0] == 200
        time.sleep(0.05)
    for _, connection in slow:
        check_refusal(connection.read_answer(), 408, "did not arrive in time")
        connection.finish_sending()
        assert connection.is_closed()
        connection.close()
    for connection in silent:
        assert connection.is_closed()
        connection.close()


def test_idle_connections_are_closed(strict):
    with strict.connect() as connection:
        assert connection.send(get()).read_answer().status == 200
        assert connection.is_closed()


def test_a_client_that_has_said_all(server):
    """Half closed: what is known at once is answered; who waits for a generation counts as gone, as with other servers."""
    with server.connect() as connection:
        connection.send(get()).finish_sending()
        assert connection.read_answer().status == 200
        assert connection.is_closed()
    for stream in (False, True):
        with server.connect() as connection:
            body = {"prompt": "Once", "max_tokens": 1500, "ignore_eos": True, "stream": stream}
            connection.send(request("POST", "/v1/completions", body)).finish_sending()
            assert b"[DONE]" not in connection.read_to_end()


def test_thousands_of_connections(server):
    """Most say nothing or stop in the middle, some leave rudely; a few hundred are open at any time."""
    sent = [
        b"",
        b"GET /hea",
        get(),
        request("POST", "/tokenize", TEXT),
        request("POST", "/tokenize", TEXT)[:-2],
        b"\0\r\n\r\n",
    ]
    open_ones = []
    for i in range(3000):
        connection = server.connect()
        connection.send(sent[i % len(sent)])
        open_ones.append(connection)
        if len(open_ones) > 300:
            first = open_ones.pop(0)
            if i % 7 == 0:
                first.reset()
            first.close()
    for connection in open_ones:
        connection.close()


def test_the_frames_of_a_stream(server):
    """Exactly what the standard for server-sent events and the SDKs want: one data line, an empty line, nothing else."""
    options = {
        "max_tokens": 24,
        "temperature": 0,
        "logit_bias": {"198": 4},
    }  # more line ends than it would write by itself
    chat = {"messages": [{"role": "user", "content": "Count to three, a line each."}], **options}
    for path, body in (("/v1/chat/completions", chat), ("/v1/completions", {"prompt": "1\n2\n3\n", **options})):
        whole = server.ask("POST", path, body)[1]["choices"][0]
        wanted = whole["message"]["content"] if "message" in whole else whole["text"]
        assert "\n" in wanted
        with server.connect() as connection:
            connection.send(request("POST", path, {**body, "stream": True}))
            answer = connection.read_head()
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["transfer-encoding"] == "chunked"
            assert "content-length" not in answer.headers
            chunks = connection.read_chunks()
            assert not connection.has_input(), "nothing follows the last chunk"
        assert all(chunk.endswith(b"\n\n") for chunk in chunks), "no event is cut by a chunk's border"
        text = b"".join(chunks).decode()
        assert re.fullmatch(r"(data: \{[^\r\n]*\}\n\n)+data: \[DONE\]\n\n", text)
        events = [json.loads(line[len("data: ") :]) for line in text.split("\n\n")[:-2]]
        pieces = [event["choices"][0] for event in events]
        assert "".join(p["delta"].get("content", "") if "delta" in p else p["text"] for p in pieces) == wanted
        assert [p["finish_reason"] for p in pieces] == [None] * (len(pieces) - 1) + [whole["finish_reason"]]
