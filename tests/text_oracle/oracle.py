"""Asks the program text_oracle, and finds what tests share."""

import json
import os
import subprocess
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("RETORT_CACHE", Path.home() / ".cache/retort"))
VOCABULARIES = CACHE / "test-data/llama-vocabs-3.22.1"
TEMPLATES = CACHE / "test-data/llama-templates-3.22.1"
HF_TOKENIZERS = CACHE / "test-data/hf-tokenizers-3.7.2"
SMOLLM2 = CACHE / "models/smollm2-135m-instruct-q4_1.gguf"
PROGRAM = Path(os.environ.get("RETORT_BINARY", "build/release/retort")).parent.resolve() / "tests/text_oracle"


def ask(command: list[str], questions: list) -> list:
    lines = "".join(json.dumps(q) + "\n" for q in questions)
    done = subprocess.run([PROGRAM, *command], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"NOT TESTED: {path} is missing; scripts/fetch_test_data.sh brings it")
    return path
