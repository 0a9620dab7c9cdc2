#!/usr/bin/env bash
# build.sh PRESET TARGET: configures build/PRESET once and builds TARGET; TARGET `configure` stops before building.
set -euo pipefail
cd "$(dirname "$0")/.."
preset="$1"
target="$2"
# CMake looks for cargo on the PATH; rustup's is often not on that of a non-login shell.
PATH="$PATH:$HOME/.cargo/bin"
if [ ! -f "build/$preset/build.ninja" ]; then
  if ! output=$(cmake --preset "$preset" 2>&1); then
    printf '%s\n' "$output" >&2
    printf 'build: cmake could not configure. Try: make setup (installs what is missing), make clean (starts afresh).\n' >&2
    exit 1
  fi
fi
if [ "$target" != configure ]; then
  cmake --build "build/$preset" --target "$target" -j "${JOBS:-$(nproc)}"
fi
