"""`retort chat`: with a server made here, and with a model in its own process."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

RETORT = os.environ.get("RETORT_BINARY", str(Path(__file__).parents[2] / "build/release/retort"))
MODEL = os.environ.get("RETORT_TEST_MODEL", str(Path.home() / ".cache/retort/models/smollm2-135m-instruct-q4_1.gguf"))


class ChatServer:
    """Answers /v1/chat/completions with `chunks`, each a delta, an error or a number of seconds to wait."""

    def __init__(self):
        self.requests = []
        self.model = "fake-model"
        self.chunks = [{"role": "assistant"}, {"content": "Hello"}, {"content": " there"}]
        self.finish = {"finish_reason": "stop"}
        self.status = 200
        self.gone = threading.Event()  # the client left in the middle of a stream
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"object": "list", "data": [{"id": chat.model, "object": "model"}]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                chat.requests.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(chat.status)
                self.end_headers()
                if chat.status != 200:
                    self.wfile.write(json.dumps({"error": {"message": "the queue is full", "type": "x"}}).encode())
                    return
                try:
                    chat.stream(self.wfile)
                except OSError:
                    chat.gone.set()

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stream(self, out):
        for chunk in self.chunks:
            if isinstance(chunk, int | float):
                deadline = time.monotonic() + chunk
                while time.monotonic() < deadline:
                    time.sleep(0.02)
                    out.write(b": waiting\n\n")
                continue
            event = chunk if "error" in chunk else {"choices": [{"index": 0, "delta": chunk}]}
            out.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        end = {"choices": [{"index": 0, "delta": {}, **self.finish}]}
        out.write(b"data: " + json.dumps(end).encode() + b"\n\n")
        out.write(b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\ndata: [DONE]\n\n')


@pytest.fixture
def server():
    chat = ChatServer()
    yield chat
    chat.server.shutdown()
    chat.server.server_close()


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "RETORT_CACHE": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"}


def chat(*arguments, text, environment, expect=0):
    result = subprocess.run(
        [RETORT, "chat", *arguments],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == expect, result.stderr
    return result


def test_pipe(server, environment):
    result = chat(
        "--url",
        server.url,
        "--system",
        "be brief",
        "--temperature",
        "0.5",
        "--max-tokens",
        "9",
        text="hi\nand?\n/stats\n",
        environment=environment,
    )
    assert result.stdout == "Hello there\nHello there\n"
    assert "prompt    7 tokens" in result.stderr
    path, _, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert body["model"] == "fake-model" and body["stream"] is True
    assert body["temperature"] == 0.5 and body["max_tokens"] == 9
    assert body["messages"] == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    assert [message["role"] for message in server.requests[1][2]["messages"]] == ["system", "user", "assistant", "user"]


def test_a_pipe_may_come_from_windows(server, environment):
    text = b"\xef\xbb\xbf/system be brief\r\none\\\r\ntwo\r\n/quit\r\nnever asked\r\n"
    command = [RETORT, "chat", "--url", server.url]
    subprocess.run(command, input=text, env=environment, capture_output=True, timeout=60, check=True)
    asked = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one\ntwo"}]
    assert [request[2]["messages"] for request in server.requests] == [asked]


def test_url_forms_and_key(server, environment):
    chat("--url", server.url + "/v1/", "--api-key", "secret", text="hi\n", environment=environment)
    chat(
        "--url",
        server.url.removeprefix("http://"),
        "other-model",
        text="hi\n",
        environment={**environment, "OPENAI_API_KEY": "from-env"},
    )
    both = {**environment, "OPENAI_API_KEY": "from-env", "RETORT_API_KEY": "our-own"}
    chat("--url", server.url, text="hi\n", environment=both)
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"] * 3
    assert server.requests[0][1]["Authorization"] == "Bearer secret"
    assert server.requests[1][1]["Authorization"] == "Bearer from-env"
    assert server.requests[1][2]["model"] == "other-model"
    assert server.requests[2][1]["Authorization"] == "Bearer our-own"


@pytest.mark.parametrize(
    "chunks",
    [
        [{"reasoning_content": "I think"}, {"reasoning_content": " so"}, {"content": "Yes"}],
        [{"reasoning": "I think so"}, {"content": "Yes"}],
        [
            {"reasoning": "I think", "reasoning_content": "I think"},
            {"reasoning": " so", "reasoning_content": " so"},
            {"content": "Yes"},
        ],
        [{"content": "<thi"}, {"content": "nk>I think so</th"}, {"content": "ink>Yes"}],
    ],
    ids=["reasoning_content", "reasoning", "both", "tags"],
)
def test_reasoning_of_every_kind_of_server(server, environment, chunks):
    server.chunks = chunks
    assert (
        chat("--url", server.url, "--reasoning", "show", text="hi\n", environment=environment).stdout
        == "I think so\n\nYes\n"
    )
    assert chat("--url", server.url, text="hi\n", environment=environment).stdout == "Yes\n"


def test_a_guard_that_ended_the_answer_is_told(server, environment):
    server.finish = {"finish_reason": "stop", "stop_reason": "repetition"}
    assert "went round in a circle" in chat("--url", server.url, text="hi\n", environment=environment).stderr


def test_errors(server, environment):
    server.status = 429
    assert "the queue is full" in chat("--url", server.url, text="hi\n", environment=environment, expect=1).stderr
    server.status = 200
    server.chunks = [{"content": "Hel"}, {"error": {"message": "the engine died"}}]
    assert "the engine died" in chat("--url", server.url, text="hi\n", environment=environment, expect=1).stderr
    assert "retort serve" in chat("--url", "http://127.0.0.1:9", text="hi\n", environment=environment, expect=1).stderr
    told = chat("--url", "http://me:s3cret@127.0.0.1:9", text="hi\n", environment=environment, expect=1).stderr
    assert "http://127.0.0.1:9" in told
    assert "s3cret" not in told


class Terminal:
    """A chat on a pseudo terminal."""

    def __init__(self, arguments, environment):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(RETORT, [RETORT, "chat", *arguments], environment)
        self.pid, self.seen = pid, ""

    def read_until(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def read_prompt(self, prompt="> "):
        """Until libedit reads keys itself: what comes before is echoed twice, and Ctrl-C then meets the prompt, not the answer."""
        self.read_until(prompt)
        deadline = time.monotonic() + 60
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)

    def type(self, text):
        os.write(self.fd, text.encode())

    def leave(self, keys):
        """The exit code after `keys`. One pressed in the instant before libedit has set up the terminal arrives as another, so the line
        is cleared (Ctrl-U) and they are pressed again."""
        while True:
            self.type(keys)
            keys = "\x15" + keys.removeprefix("\x15")
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                if not select.select([self.fd], [], [], 0.1)[0]:
                    continue
                try:
                    os.read(self.fd, 65536)  # what is still printed must be read, or the program waits
                except OSError:
                    return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_terminal_dims_reasoning_and_edits_lines(server, environment):
    server.chunks = [{"reasoning": "hm"}, {"content": "Yes"}]
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_prompt()
    terminal.type("helxo\x1b[D\x08l\r")  # left, backspace, l
    terminal.read_until("\x1b[2mhm\x1b[0m\r\n\r\nYes")
    terminal.read_prompt()
    terminal.type("\x1b[A\r")  # up: the line before
    terminal.read_until("Yes")
    terminal.read_prompt()
    assert terminal.leave("\x04") == 0
    assert [request[2]["messages"][-1]["content"] for request in server.requests] == ["hello", "hello"]
    history = Path(environment["RETORT_CACHE"]) / "chat_history"
    assert history.stat().st_mode & 0o077 == 0

    terminal = Terminal(["--url", server.url], environment)  # the history is there next time
    terminal.read_prompt()
    terminal.type("\x1b[A\r")
    terminal.read_until("Yes")
    assert terminal.leave("/quit\r") == 0


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(server, environment, ending):
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_prompt()
    os.kill(terminal.pid, ending)
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == -ending
    assert termios.tcgetattr(terminal.fd)[3] & termios.ICANON
    terminal.read_until("\x1b[?2004l")


@pytest.mark.parametrize("named", [{"TERM": "dumb"}, {"TERM": ""}, {}], ids=["dumb", "empty", "unset"])
def test_a_plain_terminal_gets_no_escape_codes(server, environment, named):
    server.chunks = [{"reasoning": "hm"}, {"content": "Yes"}]
    terminal = Terminal(
        ["--url", server.url], {name: text for name, text in environment.items() if name != "TERM"} | named
    )
    shown = terminal.read_until("/help")
    terminal.read_prompt()
    terminal.type("hi\r")
    shown += terminal.read_until("Yes")
    assert "hm\r\n\r\n" in shown and "\x1b" not in shown
    assert terminal.leave("/quit\r") == 0


def test_a_terminal_obeys_no_answer(server, environment):
    server.model = "fake\x1b[31m-model"
    server.chunks = [{"reasoning": "hm\x1b[5m"}, {"content": "\x1b]0;title\x07two\n\tlines\u009b2J"}]
    terminal = Terminal(["--url", server.url], environment)
    assert r"fake\x1b[31m-model" in terminal.read_until("/help")
    terminal.read_prompt()
    terminal.type("hi\r")
    terminal.read_until("\x1b[2mhm\\x1b[5m\x1b[0m\r\n\r\n\\x1b]0;title\\x07two\r\n")
    assert terminal.read_until(r"lines\x9b2J").isspace()
    terminal.read_prompt()
    server.chunks = [{"error": {"message": "\x1b[2Jbroken"}}]
    terminal.type("hi\r")
    terminal.read_until(r"\x1b[2Jbroken")
    terminal.read_prompt()
    assert terminal.leave("/quit\r") == 0
    # A pipe, as cat's, is not the terminal: a program gets what the model said.
    server.chunks = [{"content": "\x1b[31mred"}]
    result = chat("--url", server.url, text="hi\n/stats\n", environment=environment)
    assert result.stdout == "\x1b[31mred\n"
    assert r"fake\x1b[31m-model" in result.stderr and "\x1b" not in result.stderr


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, {"LANG": "en_US.ISO-8859-1"}])
def test_other_letters_than_english_need_no_locale(server, environment, locale):
    bare = {name: value for name, value in environment.items() if not name.startswith(("LC_", "LANG"))}
    terminal = Terminal(["--url", server.url], {**bare, **locale})
    terminal.read_prompt()
    terminal.type("法国 é\r")
    terminal.read_until("法国 é")
    terminal.read_until("Hello there")
    assert terminal.leave("/quit\r") == 0
    assert server.requests[0][2]["messages"][-1]["content"] == "法国 é"


def test_what_is_not_utf8_is_not_sent(server, environment):
    sent = subprocess.run(
        [RETORT, "chat", "--url", server.url],
        input=b"a\xff\n",
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert sent.returncode == 1 and b"byte 1 of the line is 0xff" in sent.stderr
    assert server.requests == []
    system = [RETORT, "chat", "--url", server.url, "--system", b"a\xff"]
    assert subprocess.run(system, env=environment, capture_output=True, timeout=60, check=False).returncode == 2


def test_an_input_that_cannot_be_read_is_an_error(server, environment, tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    command = [RETORT, "chat", "--url", server.url]
    failed = subprocess.run(command, env=environment, stdin=folder, capture_output=True, timeout=60, check=False)
    os.close(folder)
    assert failed.returncode == 1 and b"standard input cannot be read: Is a directory" in failed.stderr


def test_a_stream_that_ends_before_its_answer_is_an_error(server, environment):
    server.stream = lambda out: out.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Half"}}]}\n\n')
    result = chat("--url", server.url, text="hi\n", environment=environment, expect=1)
    assert "ended before the answer did" in result.stderr


def test_a_paste_is_one_message(server, environment):
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_until("\x1b[?2004h")  # asks the terminal to mark what is pasted
    terminal.read_prompt()
    terminal.type("Look: \x1b[200~def f():\r\treturn '日本'\rf()\r\x1b[201~ - right?\r")
    assert "^M" not in terminal.read_until("Hello there")
    terminal.read_until("\x1b[?2004h")
    terminal.read_prompt()
    terminal.type("\x1b[A\r")  # up: the whole of it
    terminal.read_until("Hello there")
    terminal.read_prompt()
    assert terminal.leave("/quit\r") == 0
    asked = [request[2]["messages"][-1]["content"] for request in server.requests]
    assert asked == ["Look: def f():\n\treturn '日本'\nf() - right?"] * 2

    terminal = Terminal(["--url", server.url], environment)  # it is kept as one, too
    terminal.read_prompt()
    terminal.type("\x1b[A\x1b[A\r")  # beyond /quit
    terminal.read_until("Hello there")
    assert terminal.leave("/quit\r") == 0
    assert server.requests[-1][2]["messages"][-1]["content"] == asked[0]


def test_the_same_line_again_is_kept_once(server, environment):
    terminal = Terminal(["--url", server.url], environment)
    for line in ("one", "two", "two", "two"):
        terminal.read_prompt()
        terminal.type(line + "\r")
        terminal.read_until("Hello there")
    terminal.read_prompt()
    terminal.type("\x1b[A\x1b[A\r")
    terminal.read_until("Hello there")
    assert terminal.leave("/quit\r") == 0
    assert server.requests[-1][2]["messages"][-1]["content"] == "one"


def ask(terminal, line):
    terminal.read_prompt()
    terminal.type(line + "\r")
    terminal.read_until("Hello there")


def kept_lines(environment):
    mark, *lines = (Path(environment["RETORT_CACHE"]) / "chat_history").read_text().splitlines()
    assert mark == "_HiStOrY_V2_"  # libedit's
    return lines


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_a_chat_that_is_killed_has_kept_its_lines(server, environment, sent):
    terminal = Terminal(["--url", server.url], environment)
    ask(terminal, "one")
    ask(terminal, "two")
    os.kill(terminal.pid, sent)
    os.waitpid(terminal.pid, 0)
    assert kept_lines(environment) == ["one", "two"]
    terminal = Terminal(["--url", server.url], environment)
    ask(terminal, "\x1b[A\x1b[A")
    assert terminal.leave("\x04") == 0
    assert server.requests[-1][2]["messages"][-1]["content"] == "one"


def test_of_two_chats_both_keep_their_lines(server, environment):
    first, second = (Terminal(["--url", server.url], environment) for _ in range(2))
    ask(first, "one")
    ask(second, "two")
    ask(first, "three")
    for terminal in (second, first):
        terminal.read_prompt()
        assert terminal.leave("\x04") == 0
    assert kept_lines(environment) == ["one", "two", "three"]


def test_a_history_that_has_grown_long_is_shortened(server, environment):
    history = Path(environment["RETORT_CACHE"]) / "chat_history"
    history.write_text("_HiStOrY_V2_\n" + "".join(f"line\\040{i}\n" for i in range(3000)))  # a blank, as vis(3) has it
    history.chmod(0o644)
    terminal = Terminal(["--url", server.url], environment)
    ask(terminal, "\x1b[A")
    assert terminal.leave("\x04") == 0
    assert server.requests[-1][2]["messages"][-1]["content"] == "line 2999"
    assert kept_lines(environment) == [f"line\\040{i}" for i in range(2000, 3000)]
    assert history.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_history_stays_as_it_is(server, environment):
    history = Path(environment["RETORT_CACHE"]) / "chat_history"
    history.write_text("what somebody else wrote\n")
    history.chmod(0o644)
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_until("is no history of a chat")
    ask(terminal, "hi")
    assert terminal.leave("/quit\r") == 0
    assert history.read_text() == "what somebody else wrote\n"
    assert history.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/dev/null"), os.mkfifo], ids=["null", "pipe"])
def test_a_history_that_keeps_nothing_is_left_alone(server, environment, make):
    history = Path(environment["RETORT_CACHE"]) / "chat_history"
    make(history)
    mode = history.stat().st_mode
    terminal = Terminal(["--url", server.url], environment)
    ask(terminal, "hi")
    assert terminal.leave("/quit\r") == 0
    assert history.stat().st_mode == mode


@pytest.mark.parametrize("home", [{}, {"HOME": ""}], ids=["unset", "empty"])
def test_without_a_home_no_history_is_kept(server, environment, home):
    there = Path("/.cache").exists()
    homeless = {name: text for name, text in environment.items() if name not in ("HOME", "RETORT_CACHE")} | home
    terminal = Terminal(["--url", server.url], homeless)
    ask(terminal, "hi")
    assert terminal.leave("/quit\r") == 0
    assert Path("/.cache").exists() == there


def test_ctrl_c_stops_the_answer_and_not_the_program(server, environment):
    server.chunks = [{"content": "Once upon"}, 30, {"content": "never seen"}]
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_prompt()
    terminal.type("hi\r")
    terminal.read_until("Once upon")
    start = time.monotonic()
    terminal.type("\x03")
    terminal.read_prompt()
    assert time.monotonic() - start < 5
    assert server.gone.wait(10)
    terminal.type("half a question\x03")
    terminal.read_prompt()
    server.chunks = [{"content": "Still here"}]
    terminal.type("and?\r")
    terminal.read_until("Still here")
    assert terminal.leave("/quit\r") == 0
    assert [message["content"] for message in server.requests[1][2]["messages"]] == ["hi", "Once upon", "and?"]


def test_ctrl_c_gives_up_all_lines_of_a_message(server, environment):
    terminal = Terminal(["--url", server.url], environment)
    terminal.read_prompt()
    terminal.type("half a question\\\r")
    terminal.read_prompt("… ")
    terminal.type("\x03")
    terminal.read_prompt()
    terminal.type("/reset\r")
    terminal.read_until("the conversation is forgotten")
    terminal.read_prompt()
    terminal.type("one\\\r")
    terminal.read_prompt("… ")
    terminal.type("two\r")
    terminal.read_until("Hello there")
    assert terminal.leave("/quit\r") == 0
    assert [request[2]["messages"][-1]["content"] for request in server.requests] == ["one\ntwo"]


@pytest.mark.parametrize(
    ("chunks", "questions", "seen"),
    [([{"content": "Once upon"}, 30], b"hi\nand?\n", b"Once upon"), ([{"content": "Yes"}], b"hi\n", b"Yes\n")],
    ids=["within an answer", "before a question"],
)
def test_ctrl_c_ends_a_chat_without_a_terminal(server, environment, chunks, questions, seen):
    server.chunks = chunks
    command = [RETORT, "chat", "--url", server.url]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        process.stdin.write(questions)
        for byte in seen:
            assert process.stdout.read(1)[0] == byte
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT  # which a shell tells as 130, ending its loop
    assert len(server.requests) == 1


def test_a_model_without_a_chat_template_is_told_what_helps(environment, tmp_path):
    model = Path(MODEL).read_bytes()
    assert model.count(b"tokenizer.chat_template") == 1
    plain = tmp_path / "plain.gguf"
    model = model.replace(b"tokenizer.chat_template", b"tokenizer.chat_somethng")
    plain.write_bytes(model.replace(b"<|im_start|>", b"<|no_start|>"))  # which tells the family
    refused = chat(str(plain), text="hi\n", environment=environment, expect=1).stderr
    assert "plain has no chat template" in refused and "--chat-template gives it one: chatml" in refused
    assert chat(
        str(plain), "--chat-template", "chatml", "--max-tokens", "2", text="hi\n", environment=environment
    ).stdout.strip()


def test_tokens_are_counted_as_the_server_counts_them(environment):
    served = subprocess.Popen(
        [RETORT, "serve", MODEL, "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        url = next(line for line in served.stderr if "is ready at" in line).split()[-1]
        counts = []
        for where in ([MODEL], ["--url", url]):
            asked = chat(*where, "--temperature", "0", text="What is 2 + 2?\n/stats\n", environment=environment)
            assert "limit of tokens" not in asked.stderr
            counts.append(re.search(r"last answer +(\d+) tokens", asked.stderr).group(1))
    finally:
        served.terminate()
        served.communicate()
    assert counts[0] == counts[1]


def test_model_in_this_process(environment):
    arguments = (MODEL, "--temperature", "0", "--max-tokens", "12")
    first = chat(*arguments, text="Name three metals.\n/stats\n", environment=environment)
    assert len(first.stdout.strip()) > 10
    assert "12 tokens in" in first.stderr
    again = chat(
        *arguments, text="/system You speak like a pirate.\n/reset\nName three metals.\n", environment=environment
    )
    assert again.stdout != first.stdout  # the system message survives /reset
    assert chat(*arguments, text="Name three metals.\n", environment=environment).stdout == first.stdout


def test_ctrl_c_stops_the_model_in_this_process(environment):
    terminal = Terminal([MODEL, "--temperature", "0"], environment)
    terminal.read_prompt()
    terminal.type("Write a very long story about a river.\r")
    terminal.read_until("river.\r\n")
    while not terminal.seen.strip():  # the first words of the answer
        terminal.seen += os.read(terminal.fd, 4096).decode(errors="replace")
    terminal.type("\x03")
    terminal.read_prompt()
    terminal.type("/stats\r")
    terminal.read_until("1 answer,")
    assert terminal.leave("/quit\r") == 0
