"""`retort pull` against a hub served here."""

import os
import pty
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hub_server import HubServer, redirect, send_range, status, truncated_at, with_body, without_ranges

RETORT = os.environ.get("RETORT_BINARY", str(Path(__file__).parents[2] / "build/release/retort"))
CATALOGUE_FILE = "/bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF/resolve/main/DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf"
DATA = random.Random(1).randbytes(3_000_000)
FILES = {
    "model-Q4_K_M.gguf": DATA,
    "model-Q8_0.gguf": DATA[:1000],
    "big/model-F16-00001-of-00002.gguf": DATA[1000:3000],
    "big/model-F16-00002-of-00002.gguf": DATA[3000:5000],
    "README.md": b"# a model",
}
FOLDER = {
    "config.json": b'{"model_type": "qwen2"}',
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors.index.json": b"{}",
    "model-00001-of-00002.safetensors": DATA[:70_000],
    "model-00002-of-00002.safetensors": DATA[70_000:90_000],
    "original/consolidated.safetensors": DATA[:10],
    "README.md": b"# a model",
}


@pytest.fixture
def serve_hub():
    hubs = []

    def serve(files, **options):
        hubs.append(HubServer(dict(files), **options))
        return hubs[-1]

    yield serve
    for hub in hubs:
        hub.close()


@pytest.fixture
def pull(tmp_path):
    def run(hub, model, *flags, expect=(0,), env=None):
        environment = {
            **os.environ,
            "RETORT_CACHE": str(tmp_path),
            "HF_ENDPOINT": hub.url,
            "MODELSCOPE_ENDPOINT": hub.url,
            **(env or {}),
        }
        environment.pop("http_proxy", None)
        result = subprocess.run(
            [RETORT, "pull", model, *flags], env=environment, capture_output=True, text=True, timeout=60
        )
        assert result.returncode in expect, result.stderr
        return result

    run.folder = tmp_path / "models/owner/model"
    return run


def names_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_quant_by_name(serve_hub, pull):
    hub = serve_hub(FILES)
    result = pull(hub, "owner/model:q8_0")
    assert result.stdout.strip() == str(pull.folder / "model-Q8_0.gguf")
    assert (pull.folder / "model-Q8_0.gguf").read_bytes() == FILES["model-Q8_0.gguf"]
    assert names_below(pull.folder) == ["model-Q8_0.gguf"]


def test_usual_quant_without_a_name(serve_hub, pull):
    pull(serve_hub(FILES), "owner/model")
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA


@pytest.mark.parametrize("name", ["xterm", "dumb"])
def test_only_a_terminal_that_can_gets_a_bar(serve_hub, tmp_path, name):
    environment = {**os.environ, "RETORT_CACHE": str(tmp_path), "HF_ENDPOINT": serve_hub(FILES).url, "TERM": name}
    ours, its = pty.openpty()
    subprocess.run([RETORT, "pull", "owner/model"], env=environment, stderr=its, timeout=60, check=True)
    shown = os.read(ours, 65536)
    assert b" 100 %" in shown and (b"\x1b" in shown) == (name == "xterm")
    os.close(ours)
    os.close(its)


def test_all_parts_of_a_split_file(serve_hub, pull):
    result = pull(serve_hub(FILES), "owner/model:F16")
    assert result.stdout.strip().endswith("big/model-F16-00001-of-00002.gguf")
    assert names_below(pull.folder) == ["big/model-F16-00001-of-00002.gguf", "big/model-F16-00002-of-00002.gguf"]


def test_missing_part_of_a_split_file(serve_hub, pull):
    hub = serve_hub({name: data for name, data in FILES.items() if "00002-of" not in name})
    assert "expected 2 parts, there are 1" in pull(hub, "owner/model:F16", expect=[1]).stderr


def test_unknown_quant_says_what_there_is(serve_hub, pull):
    message = pull(serve_hub(FILES), "owner/model:Q5_K_M", expect=[1]).stderr
    assert "Q5_K_M" in message and "model-Q8_0.gguf" in message


def test_safetensors_folder(serve_hub, pull):
    hub = serve_hub(FOLDER)
    result = pull(hub, "owner/model")
    assert result.stdout.strip() == str(pull.folder)
    assert names_below(pull.folder) == sorted(set(FOLDER) - {"README.md", "original/consolidated.safetensors"})
    fetched = [path.rsplit("/", 1)[1] for path, _ in hub.requests if "/resolve/" in path]
    assert fetched[-1] == "config.json"  # a folder without it is not taken for a model


def test_folder_with_a_changed_small_file(serve_hub, pull):
    hub = serve_hub(FOLDER)
    hub.faults["config.json"] = [with_body(b'{"model_type": "evil_"}')]
    assert "git SHA-1" in pull(hub, "owner/model", expect=[1]).stderr
    assert not (pull.folder / "config.json").exists()


def test_second_pull_fetches_nothing(serve_hub, pull):
    hub = serve_hub(FILES)
    pull(hub, "owner/model")
    pull(hub, "owner/model")
    assert len(hub.requested("/owner/model/resolve/main/model-Q4_K_M.gguf")) == 1


def test_list_in_pages(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.page_size = 1
    pull(hub, "owner/model:Q8_0")
    assert len(hub.requested("/api/models/owner/model/tree/main")) == len(FILES) + 1


@pytest.mark.parametrize("prefix", ["", "HTTP://", "http://user:secret@", "user:secret@"])
def test_list_in_pages_of_an_address_spelt_otherwise(serve_hub, pull, prefix):
    hub = serve_hub(FILES)
    hub.page_size = 1
    pull(hub, "owner/model:Q8_0", env={"HF_ENDPOINT": hub.url.replace("http://", prefix)})
    pages = hub.requested("/api/models/owner/model/tree/main")
    assert len(pages) == len(FILES) + 1
    assert all(("Authorization" in headers) == ("secret" in prefix) for headers in pages)


def test_modelscope(serve_hub, pull):
    hub = serve_hub(FILES)
    pull(hub, "owner/model:Q8_0", "--hub", "modelscope")
    assert (pull.folder / "model-Q8_0.gguf").read_bytes() == FILES["model-Q8_0.gguf"]
    assert hub.requested("/models/owner/model/resolve/master/model-Q8_0.gguf")


def test_truncated_body_is_taken_up_where_it_ended(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [truncated_at(1_000_000), truncated_at(2_500_000)]
    pull(hub, "owner/model")
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA
    asked = hub.requested("/owner/model/resolve/main/model-Q4_K_M.gguf")
    assert [headers.get("Range") for headers in asked] == [None, "bytes=1000000-", "bytes=2500000-"]
    assert names_below(pull.folder) == ["model-Q4_K_M.gguf"]


def test_killed_pull_goes_on(serve_hub, pull, tmp_path):
    hub = serve_hub(FILES)
    sent = threading.Event()

    def stall(handler, data):
        send_range(handler, data, truncate_at=1_500_000)
        handler.wfile.flush()
        sent.set()
        time.sleep(20)

    hub.faults["model-Q4_K_M.gguf"] = [stall]
    environment = {**os.environ, "RETORT_CACHE": str(tmp_path), "HF_ENDPOINT": hub.url}
    process = subprocess.Popen([RETORT, "pull", "owner/model"], env=environment, stderr=subprocess.PIPE)
    assert sent.wait(20)
    partial = pull.folder / "model-Q4_K_M.gguf.partial"
    deadline = time.monotonic() + 20
    while not (partial.exists() and partial.stat().st_size == 1_500_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (pull.folder / "model-Q4_K_M.gguf").exists()

    pull(hub, "owner/model")
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA
    last = hub.requested("/owner/model/resolve/main/model-Q4_K_M.gguf")[-1]
    assert last["Range"] == "bytes=1500000-" and last["If-Range"].startswith('"')
    assert names_below(pull.folder) == ["model-Q4_K_M.gguf"]


@pytest.mark.parametrize("second", [without_ranges, send_range])
def test_start_over_when_the_file_changed_or_ranges_are_ignored(serve_hub, pull, second):
    hub = serve_hub(FILES)
    pull.folder.mkdir(parents=True)
    (pull.folder / "model-Q4_K_M.gguf.partial").write_bytes(b"of an older file" * 1000)
    (pull.folder / "model-Q4_K_M.gguf.partial.etag").write_text('"of-an-older-file"')
    hub.faults["model-Q4_K_M.gguf"] = [second]
    pull(hub, "owner/model")
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA


def test_server_that_never_gets_further(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [truncated_at(1000)] * 20
    assert "goes on from 1.0 kB" in pull(hub, "owner/model", expect=[1]).stderr
    assert names_below(pull.folder) == ["model-Q4_K_M.gguf.partial", "model-Q4_K_M.gguf.partial.etag"]


def test_server_error_is_tried_again(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [status(503), status(429)]
    pull(hub, "owner/model")
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA


def test_wrong_bytes_are_thrown_away(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [with_body(DATA[:-1] + b"x")]
    assert "SHA-256" in pull(hub, "owner/model", expect=[1]).stderr
    assert names_below(pull.folder) == []


@pytest.mark.parametrize("left", [b"x" * len(DATA), b"x" * 1000])
def test_what_an_earlier_run_left_and_does_not_fit_is_fetched_anew(serve_hub, pull, left):
    pull.folder.mkdir(parents=True)
    (pull.folder / "model-Q4_K_M.gguf.partial").write_bytes(left)
    assert "does not fit" in pull(serve_hub(FILES), "owner/model").stderr
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA
    assert names_below(pull.folder) == ["model-Q4_K_M.gguf"]


def test_a_file_that_was_spoilt_is_fetched_again(serve_hub, pull):
    hub = serve_hub(FILES)
    pull(hub, "owner/model")
    path = pull.folder / "model-Q4_K_M.gguf"
    path.write_bytes(DATA[:-1] + b"x")
    assert "not those of its hash" in pull(hub, "owner/model").stderr
    assert path.read_bytes() == DATA
    assert pull(hub, "owner/model").stderr == ""
    assert len(hub.requested("/owner/model/resolve/main/model-Q4_K_M.gguf")) == 2


def test_nothing_is_left_of_what_never_came(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [status(404)]
    pull(hub, "owner/model", expect=[1])
    assert names_below(pull.folder) == []


@pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) * 2])
def test_more_bytes_than_promised(serve_hub, pull, length):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [with_body((DATA * 2)[:length])]
    assert "sends more than" in pull(hub, "owner/model", expect=[1]).stderr
    assert not (pull.folder / "model-Q4_K_M.gguf").exists()


def test_range_that_was_not_asked_for(serve_hub, pull):
    def wrong_range(handler, data):
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [truncated_at(1000), wrong_range]
    assert "asked for bytes from 1000" in pull(hub, "owner/model", expect=[1]).stderr


def test_missing_repository_and_file(serve_hub, pull):
    hub = serve_hub(FILES)
    message = pull(hub, "owner/other", expect=[1]).stderr
    assert f"{hub.url}/api/models/owner/other/tree/main?recursive=true: not found (404)" in message
    hub.faults["model-Q4_K_M.gguf"] = [status(404)]
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert f"{hub.url}/owner/model/resolve/main/model-Q4_K_M.gguf: not found (404)" in message


def test_an_error_after_a_redirect_names_both_addresses(serve_hub, pull):
    storage = serve_hub(FILES)
    storage.faults["model-Q4_K_M.gguf"] = [status(404)]
    hub = serve_hub(FILES, storage=storage)
    path = "/owner/model/resolve/main/model-Q4_K_M.gguf"
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert f"{hub.url}{path} (redirected to {storage.url}{path}): not found (404)" in message
    assert "signature" not in message


@pytest.mark.parametrize("code", [429, 500])
def test_an_error_that_stays_names_the_address_once(serve_hub, pull, code):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [status(code)] * 20
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert str(code) in message and message.count(f"{hub.url}/owner/model/resolve/main/model-Q4_K_M.gguf") == 1


def test_a_redirect_to_where_nobody_listens(serve_hub, pull):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [redirect(f"http://127.0.0.1:{port}/x?signature=y")] * 20
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert f"model-Q4_K_M.gguf (redirected to http://127.0.0.1:{port}/x): " in message
    assert "Connection refused" in message and "not followed" not in message and "signature" not in message


def test_a_redirect_to_another_protocol(serve_hub, pull):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [redirect("ftp://127.0.0.1/x")]
    assert "the redirect (302) was not followed: to http" in pull(hub, "owner/model", expect=[1]).stderr


@pytest.mark.parametrize(
    ("model", "fault", "told"),
    [
        ("owner/other", None, "not found (404)"),
        ("owner/model", status(404), "not found (404)"),
        ("owner/model", status(500), "got 500"),
        ("owner/model", with_body(DATA[:-1] + b"x"), "SHA-256"),
        ("owner/model", with_body(DATA + b"x"), "sends more than"),
        ("owner/model", with_body(DATA[:1000]), "the server ended after"),
        ("owner/model", redirect("/elsewhere"), "(redirected to http://127.0.0.1"),
    ],
)
def test_the_password_in_an_address_is_not_told(serve_hub, pull, model, fault, told):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [fault] * 20 if fault else []
    address = hub.url.replace("//", "//user:secret@")
    message = pull(hub, model, expect=[1], env={"HF_ENDPOINT": address}).stderr
    assert told in message and hub.url in message
    assert "secret" not in message and "user" not in message


def test_the_password_in_an_address_of_a_bad_list_is_not_told(serve_hub, pull):
    hub = serve_hub({})
    hub.tree = b"not json"
    env = {"HF_ENDPOINT": hub.url.replace("//", "//user:secret@")}
    assert "secret" not in pull(hub, "owner/model", expect=[1], env=env).stderr


@pytest.mark.parametrize("code", [401, 403])
def test_access_refused_names_the_remedy(serve_hub, pull, code):
    hub = serve_hub(FILES)
    hub.faults["model-Q4_K_M.gguf"] = [status(code)]
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert "HF_TOKEN" in message and str(code) in message


def test_token_stays_with_the_hub(serve_hub, pull):
    storage = serve_hub(FILES)
    hub = serve_hub(FILES, storage=storage)
    pull(hub, "owner/model:Q8_0", env={"HF_TOKEN": "hf_secret"})
    assert all(headers.get("Authorization") == "Bearer hf_secret" for _, headers in hub.requests)
    assert storage.requests and all("Authorization" not in headers for _, headers in storage.requests)


def test_next_page_on_another_host_is_refused(serve_hub, pull):
    hub = serve_hub(FILES)
    other = serve_hub(FILES)
    hub.page_size = 1
    real_url, hub.url = hub.url, other.url
    hub_for_pull = type("Address", (), {"url": real_url})
    assert "another host" in pull(hub_for_pull, "owner/model", expect=[1], env={"HF_TOKEN": "hf_secret"}).stderr
    assert not other.requests


@pytest.mark.parametrize(
    "path",
    [
        "../evil.gguf",
        "/etc/evil.gguf",
        "a/../../evil.gguf",
        "a//evil.gguf",
        "evil\n.gguf",
        "evil\x1b[2J\u009b2J.gguf",
        "..\\evil.gguf",
        "./evil.gguf",
        "",
    ],
)
def test_paths_that_leave_the_folder(serve_hub, pull, path, tmp_path):
    hub = serve_hub({})
    hub.tree = [{"type": "file", "path": path, "size": 4, "oid": "0" * 40, "lfs": {"oid": "0" * 64, "size": 4}}]
    message = pull(hub, "owner/model", expect=[1]).stderr
    assert "refused" in message and "\x1b" not in message
    assert names_below(tmp_path) == []


@pytest.mark.parametrize(
    "tree",
    [
        b"",
        b"not json",
        b"{}",
        b"[1, 2]",
        b'[{"type": "file"}]',
        b'[{"type": "file", "path": 3, "size": 1}]',
        b'[{"type": "file", "path": "a.gguf", "size": "big"}]',
        b'[{"type": "file", "path": "a.gguf", "size": 1, "lfs": {"oid": []}}]',
        b"[" * 1_000_000,
        b'[{"type": "file", "path": "' + b"a" * 17_000_000 + b'.gguf", "size": 1}]',
    ],
    ids=lambda tree: tree[:40].decode(),
)
def test_hostile_list(serve_hub, pull, tree):
    hub = serve_hub({})
    hub.tree = tree
    assert pull(hub, "owner/model", expect=[1]).stderr.startswith(f"retort: [hub] {hub.url}/api/models/owner/model/")


def test_catalogue_model_that_the_hub_has_not(serve_hub, pull):
    hub = serve_hub({})
    assert "not found (404)" in pull(hub, "deepseek-r1-distill-qwen-1.5b", expect=[1]).stderr
    assert [path for path, _ in hub.requests] == [CATALOGUE_FILE]


def test_catalogue_model_with_wrong_bytes(serve_hub, pull):
    hub = serve_hub({})
    hub.answer = lambda handler: send_range(handler, b"not the model")
    assert (
        "the server ended after 13 of 1117320800 bytes" in pull(hub, "deepseek-r1-distill-qwen-1.5b", expect=[1]).stderr
    )


@pytest.mark.parametrize(
    "name", ["owner", "owner/model/x", "../model", "owner/..", "owner/model:", "own er/model", "https://x/y"]
)
def test_names_that_are_not_models(serve_hub, pull, name):
    hub = serve_hub(FILES)
    pull(hub, name, expect=[1, 2])
    assert not hub.requests


def test_two_pulls_of_one_file_bring_it_once(serve_hub, pull, tmp_path):
    hub = serve_hub(FILES)
    begun, go_on = threading.Event(), threading.Event()

    def slowly(handler, data):
        begun.set()
        assert go_on.wait(20)
        send_range(handler, data)

    hub.faults["model-Q4_K_M.gguf"] = [slowly]
    environment = {**os.environ, "RETORT_CACHE": str(tmp_path), "HF_ENDPOINT": hub.url}
    command = [RETORT, "pull", "owner/model"]
    first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert begun.wait(20)
    second = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert "is being downloaded already" in second.stderr.readline()
    go_on.set()
    assert (first.wait(20), second.wait(20)) == (0, 0)
    for process in (first, second):
        process.stderr.close()
    assert (pull.folder / "model-Q4_K_M.gguf").read_bytes() == DATA
    assert len(hub.requested("/owner/model/resolve/main/model-Q4_K_M.gguf")) == 1
    assert names_below(pull.folder) == ["model-Q4_K_M.gguf"]
