"""What /openapi.json promises holds: schemathesis sends what the schemas allow, and what they do not.

The same requests each time. RETORT_OPENAPI=all sends over 7,000 instead of some 450, with each bound of each field
tried, in a few minutes.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FULL = os.environ.get("RETORT_OPENAPI") == "all"
PHASES, EXAMPLES, AT_LEAST = ("coverage,fuzzing", 40, 6000) if FULL else ("fuzzing", 20, 400)
# A valid request may be refused for what schemas cannot say; openapi_checks.py looks at what it was refused for.
NOT_HELD = "positive_data_acceptance"
FOLDER = Path(__file__).parent


@pytest.mark.timeout(1800 if FULL else 300)
def test_every_operation(start_server, tmp_path):
    server = start_server(
        *("--max-model-len", "48", "--served-model-name", "smollm2"),  # so that every answer is short
        *("--api-key", "key", "--enable-admin"),
    )
    run = subprocess.run(
        [
            *(Path(sys.executable).parent / "st", "run", server.url + "/openapi.json"),
            *("--header", "Authorization: Bearer key", "--phases", PHASES, "--max-examples", str(EXAMPLES)),
            *("--generation-deterministic", "--no-shrink", "--continue-on-failure", "--suppress-health-check", "all"),
            *("--exclude-checks", NOT_HELD, "--request-timeout", "120", "--warnings", "off"),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(FOLDER / "openapi_checks.py")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert int(re.search(r"(\d+) generated", run.stdout).group(1)) >= AT_LEAST, run.stdout
    assert server.stop() == 0
