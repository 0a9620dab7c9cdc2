"""bench/serve/soak.py for a few seconds: random requests, clients that go away, and too little memory for them."""

import re
import subprocess
import sys

from conftest import BINARY, MODEL, REPO

SOAK = [sys.executable, REPO / "bench/serve/soak.py", "--binary", BINARY, "--max-growth", "1000"]
LOAD = ["--clients", "16", "--pause", "0.05", "--questions", "5", "--max-prompt", "30", "--max-tokens", "160"]
TOO_LITTLE_MEMORY = ["--kv-cache-memory", "8M", "--max-num-seqs", "16", "--degrade-memory", "100%"]


def test_nothing_is_lost_or_wrong_while_sequences_are_preempted():
    soak = subprocess.run(
        [*SOAK, *LOAD, "--seconds", "6", MODEL, "--", *TOO_LITTLE_MEMORY], capture_output=True, text=True, check=False
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "nothing lost, nothing wrong" in soak.stdout
    assert int(re.search(r"(\d+) preemptions", soak.stdout)[1]) > 0
