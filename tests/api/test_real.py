"""What the 1.1 GB model says, by the API, greedily: it knows a capital in two languages and writes a sort that sorts.

RETORT_REAL_MODEL names the file; `make test-real` sets it.
"""

import json
import os
import random
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def ask(start_server):
    path = os.environ.get("RETORT_REAL_MODEL")
    assert path, "RETORT_REAL_MODEL is not set: run `make test-real`"
    server = start_server("--max-model-len", "2048", "--served-model-name", "real", model=path)
    client = server.client()

    def ask(question: str) -> str:
        answer = client.chat.completions.create(
            model="real", messages=[{"role": "user", "content": question}], temperature=0, max_tokens=512
        )
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content

    yield ask
    assert server.stop() == 0, "".join(server.log[-40:])


def test_knows_a_capital(ask):
    assert "Paris" in ask("What is the capital of France?")


def test_knows_it_in_chinese(ask):
    assert "巴黎" in ask("法国的首都是哪里?")


def test_writes_a_quicksort_that_runs(ask, tmp_path):
    answer = ask(
        "Write a Python function `quicksort(items)` that returns a new sorted list. Answer with one code block, without examples."
    )
    fenced = re.search(r"```(?:python)?\n(.*?)```", answer, re.DOTALL)
    assert fenced, answer
    generator = random.Random(0)
    lists = [[], [1], [2, 1], [3, 3, 3], list(range(50, 0, -1)), [-5, 0, 5, -1]]
    lists += [[generator.randint(-99, 99) for _ in range(generator.randint(0, 200))] for _ in range(20)]
    program = tmp_path / "program.py"
    program.write_text(
        f"{fenced.group(1)}\nimport json\nprint('\\n' + json.dumps([quicksort(list(x)) for x in {lists!r}]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-I", str(program)], cwd=tmp_path, timeout=30, capture_output=True, text=True, env={}
    )
    assert run.returncode == 0, answer + run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == [sorted(x) for x in lists], answer
