#!/usr/bin/env bash
# Keeps build/venv in step with tests/requirements.txt. Does nothing, and needs no network, when it is.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=$(sha256sum tests/requirements.txt)
if [ "$(cat build/venv/requirements.sha256 2>/dev/null)" = "$wanted" ]; then exit 0; fi
[ -x build/venv/bin/pip ] || python3 -m venv build/venv
build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
printf '%s\n' "$wanted" >build/venv/requirements.sha256
