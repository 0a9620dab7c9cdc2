#!/usr/bin/env bash
# lint.sh check|fix: clang-format, clang-tidy, shellcheck and ruff over what git holds.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t cpp < <(git ls-files '*.cpp' '*.h')
mapfile -t python < <(git ls-files '*.py')
mapfile -t shell < <(git ls-files '*.sh' .ci/run)
scripts/venv.sh

if [ "$1" = fix ]; then
  clang-format-19 -i "${cpp[@]}"
  build/venv/bin/ruff format --quiet "${python[@]}"
  exit 0
fi

failed=()
clang-format-19 --dry-run -Werror "${cpp[@]}" || failed+=(clang-format)
shellcheck "${shell[@]}" || failed+=(shellcheck)
build/venv/bin/ruff check --quiet "${python[@]}" || failed+=(ruff)
build/venv/bin/ruff format --quiet --check "${python[@]}" || failed+=("ruff format")
mapfile -t sources < <(git ls-files 'src/*.cpp')
run-clang-tidy-19 -quiet -p build/release -j "${JOBS:-$(nproc)}" "${sources[@]/#/$PWD/}" 2>/dev/null || failed+=(clang-tidy)

if [ ${#failed[@]} -gt 0 ]; then
  printf 'lint failed: %s\n' "${failed[*]}"
  exit 1
fi
printf 'lint passed\n'
