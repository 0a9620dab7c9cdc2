"""Where `retort serve` takes its settings from: flags, environment, a file; and that it leaves the model's folder alone."""

import shutil
import subprocess

import pytest
from conftest import BINARY, MODEL

SHORT = {"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0}


def ask(server, key=None, **more):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return server.ask("POST", "/v1/completions", {**SHORT, **more}, headers)[0]


def test_keys_from_a_file(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("first-key\n\nsecond-key  \r\n")
    server = start_server("--api-key-file", str(keys), "--api-key", "third-key", "--max-model-len", "512")
    assert [ask(server, key) for key in ("first-key", "second-key", "third-key")] == [200, 200, 200]
    assert [ask(server, key) for key in (None, "", "fourth-key", "first-key\n"[:5])] == [401, 401, 401, 401]
    assert server.client(api_key="second-key").models.list().data
    assert server.stop() == 0
    assert "first-key" not in "".join(server.log)


def test_comments_in_a_file_of_keys(start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("\ufefffirst-key\n# those of the team\n \tsecond-key\n  #old-key\n", encoding="utf-8")
    server = start_server("--api-key-file", str(keys), "--max-model-len", "512")
    assert [ask(server, key) for key in ("first-key", "second-key")] == [200, 200]
    assert [ask(server, key) for key in ("# those of the team", "#old-key", "old-key")] == [401, 401, 401]
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('api-key: ""', "--api-key: expected a key, got an empty one"),
        ("api-key: []", "api-key: expected a value at least, got none"),
        ('api-key: [real, ""]', "--api-key: expected a key, got an empty one"),
        ('served-model-name: ""', "--served-model-name: expected a name, got an empty one"),
        ('enable-admin: ""', "enable-admin: expected true or false, got nothing"),
    ],
)
def test_an_empty_value_in_a_file_is_none(tmp_path, line, message):
    config = tmp_path / "retort.yaml"
    config.write_text(line + "\n")
    command = [str(BINARY), "serve", "--config", str(config), "--port", "0", str(MODEL)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, message in ended.stderr) == (2, True), ended.stderr


def test_an_argument_goes_before_the_files_model(start_server, tmp_path):
    config = tmp_path / "retort.yaml"
    config.write_text("model: /nowhere.gguf\nmax-model-len: 512\n")
    server = start_server("--config", str(config), environment={"RETORT_MODEL": "/nowhere.gguf"})
    assert ask(server) == 200
    assert server.stop() == 0


def model_of(server) -> tuple[str, int]:
    model = server.ask("GET", "/v1/models")[1]["data"][0]
    return model["id"], model["max_model_len"]


def test_flags_win_over_the_environment_and_that_over_a_file(start_server, tmp_path):
    config = tmp_path / "retort.yaml"
    config.write_text("served-model-name: from-file\nmax_model_len: 320\nmax-num-seqs: 3\napi-key: [file-key]\n")
    environment = {"RETORT_MAX_MODEL_LEN": "384", "RETORT_SERVED_MODEL_NAME": "from-environment"}
    server = start_server("--config", str(config), "--max-model-len", "448", environment=environment)
    key = {"Authorization": "Bearer file-key"}
    assert server.ask("GET", "/v1/models")[0] == 401
    status, answer, _ = server.ask("GET", "/v1/models", headers=key)
    model = answer["data"][0]
    assert (status, model["id"], model["max_model_len"]) == (200, "from-environment", 448)
    status, answer, _ = server.ask("POST", "/v1/completions", {**SHORT, "n": 4}, key)
    assert status == 400 and "n: expected at most 3" in answer["error"]["message"]
    assert server.stop() == 0


def test_the_environment_alone(start_server):
    server = start_server(environment={"RETORT_MAX_MODEL_LEN": "384", "RETORT_SERVED_MODEL_NAME": "mine"})
    assert model_of(server) == ("mine", 384)
    assert server.stop() == 0


def test_a_model_in_a_folder_that_may_only_be_read(start_server, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    model = folder / "model.gguf"
    shutil.copyfile(MODEL, model)
    model.chmod(0o444)
    folder.chmod(0o555)  # root may write all the same, so the folder is looked at afterwards
    before = model.stat()
    try:
        server = start_server("--max-model-len", "512", model=model)
        assert ask(server) == 200
        assert server.stop() == 0
        assert list(folder.iterdir()) == [model]
        assert (model.stat().st_mtime_ns, model.stat().st_size) == (before.st_mtime_ns, before.st_size)
        assert folder.stat().st_mode & 0o777 == 0o555
    finally:
        folder.chmod(0o755)


def tuning_line(server) -> str:
    return next(line for line in server.log if "kernels: nudged_rows=" in line)


def test_the_tuning_of_kernels_is_kept_and_changes_no_answer(start_server, tmp_path):
    def start(*flags):
        server = start_server(
            "--max-model-len", "512", "--log-level", "debug", *flags, environment={"RETORT_CACHE": str(tmp_path)}
        )
        answer = server.ask("POST", "/v1/completions", {**SHORT, "max_tokens": 24, "logprobs": 1})[1]["choices"][0]
        assert server.stop() == 0
        return tuning_line(server), answer

    usual, answer = start("--kernel-tuning", "default")
    assert "(default)" in usual
    for rows in ("nudged_rows=0,keeps_lines=1,many_rows_from=1", "nudged_rows=4,many_rows_from=17"):
        given, same = start("--kernel-tuning", rows)
        assert rows.split(",")[0] in given and "(given)" in given and same == answer
    kept = tmp_path / "kernel_tuning.json"
    assert not kept.exists()
    for _ in range(2):
        starts = (start() for _ in range(6))  # a busy machine may take too long to be measured
        measured, same = next((found for found in starts if "(measured in" in found[0]), (None, None))
        if measured is None:
            pytest.skip("nothing can be measured here")
        cached, same_again = start()
        assert f"(cached in {kept})" in cached and same == same_again == answer
        kept.write_text(kept.read_text()[:40])


def test_a_cache_folder_that_takes_nothing_is_no_fault(start_server, tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"RETORT_CACHE": str(tmp_path / "file")}
    server = start_server("--max-model-len", "512", "--log-level", "debug", environment=environment)
    assert ask(server) == 200
    assert "(cached" not in tuning_line(server)
    if "(measured" in tuning_line(server):
        assert any("debug" in line and "kernel_tuning.json: cannot be written" in line for line in server.log)
    assert not any("warning" in line or "error" in line for line in server.log)
    assert server.stop() == 0
