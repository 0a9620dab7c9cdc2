#!/usr/bin/env bash
# set_up.sh ISA: keeps build/venv-peers-ISA in step with requirements.txt. ISA says what llama.cpp is compiled for:
# native (all this CPU has) or avx2.
set -euo pipefail
cd "$(dirname "$0")/../.."
isa="$1"
venv="build/venv-peers-$isa"
case "$isa" in
  native) export CMAKE_ARGS="-DGGML_NATIVE=ON" ;;
  avx2) export CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=OFF" ;;
  *)
    printf 'set_up: expected native or avx2, got %s\n' "$isa" >&2
    exit 1
    ;;
esac
export CC=clang-19 CXX=clang++-19
wanted=$(sha256sum bench/peers/requirements.txt)
if [ "$(cat "$venv/requirements.sha256" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
printf 'set_up: compiling llama.cpp (%s); this takes some minutes\n' "$isa" >&2
# Wheels that pip built before may be for the other instruction set.
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-binary llama-cpp-python -r bench/peers/requirements.txt
printf '%s\n' "$wanted" >"$venv/requirements.sha256"
