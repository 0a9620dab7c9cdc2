#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS. Seeds come from fuzz/corpus/NAME; what is found grows in build/fuzz/corpus/NAME,
# a crashing input is left in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${FUZZ_SECONDS:-60}"
findings="build/fuzz/findings"
mkdir -p "$findings"
failed=()
count=0
for target in build/fuzz/fuzz/fuzz_*; do
  [ -x "$target" ] || continue
  name="${target##*/fuzz_}"
  corpus="build/fuzz/corpus/$name"
  mkdir -p "$corpus" "fuzz/corpus/$name"
  printf '== %s, %s s\n' "$name" "$seconds"
  log="$findings/$name.log"
  if "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -artifact_prefix="$findings/$name-" \
    "$corpus" "fuzz/corpus/$name" >"$log" 2>&1; then
    tail -1 "$log"
  else
    failed+=("$name")
    tail -30 "$log"
  fi
  count=$((count + 1))
done
printf '%d targets passed, %d failed\n' $((count - ${#failed[@]})) ${#failed[@]}
[ ${#failed[@]} -eq 0 ]
