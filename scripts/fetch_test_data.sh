#!/usr/bin/env bash
# Fetches what tests need and git does not hold, into the cache: the small model, and llama.cpp's tokenizer vectors
# (its vocabularies with inputs and expected ids), which the npm package node-llama-cpp carries as a git bundle.
# Does nothing, and needs no network, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
cache="${RETORT_CACHE:-$HOME/.cache/retort}"
package="node-llama-cpp@3.22.1"
package_sha256="a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f"
vectors="$cache/test-data/llama-vocabs-3.22.1"

scripts/fetch_model.py smollm2-135m --source pypi >/dev/null
if [ -d "$vectors" ]; then exit 0; fi

printf 'Fetching tokenizer vectors (36 MB) from npm\n' >&2
mkdir -p "$cache/test-data"
work=$(mktemp -d "$cache/test-data/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
tarball="$work/$(cd "$work" && npm pack --silent "$package")"
if ! sha256sum --check --status <<<"$package_sha256  $tarball"; then
  printf 'fetch_test_data: %s is not the file expected (SHA-256 differs)\n' "$package" >&2
  exit 1
fi
tar -xzf "$tarball" -C "$work" package/llama/gitRelease.bundle
git -c advice.detachedHead=false clone --quiet "$work/package/llama/gitRelease.bundle" "$work/source"
mkdir "$work/vectors"
cp "$work"/source/models/ggml-vocab-* "$work/vectors/"
mv "$work/vectors" "$vectors"
