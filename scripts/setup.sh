#!/usr/bin/env bash
# setup.sh GROUP...: installs what these groups of scripts/packages.txt need and this machine lacks.
# Does nothing, and needs no network, when all is there.
set -euo pipefail
list="$(dirname "$0")/packages.txt"
min_rust="1.87"

say() { printf '%s\n' "$*" >&2; }
die() {
  say "setup: $*"
  exit 1
}

# The lines of one group: "name command why", command "-" when none is given.
packages_of() {
  awk -v want="[$1]" '
    /^\[/ { in_group = ($1 == want); found = found || in_group; next }
    /^#/ || NF == 0 { next }
    in_group {
      split($1, part, "="); why = $0; sub(/^[^#]*# */, "", why)
      print part[1], (part[2] == "" ? "-" : part[2]), why
    }
    END { exit !found }' "$list" || die "no group [$1] in $list"
}

# Of the lines read, those whose package is not installed and whose command is not there.
missing_of() {
  local installed name command why
  # dpkg-query fails when it has never heard of one of the names, and still lists the others.
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | sort -u)
  while read -r name command why; do
    if [ "$command" != "-" ] && command -v "$command" >/dev/null; then continue; fi
    grep -qxF -- "$name" <<<"$installed" || printf '%s\t%s\n' "$name" "$why"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

install() { # lines of name<tab>why
  local wanted="$1" names how="apt-get"
  mapfile -t names < <(cut -f1 <<<"$wanted")
  if [ "$(id -u)" != 0 ]; then
    how="sudo apt-get"
    command -v sudo >/dev/null || die "these packages are missing and there is no sudo. As root, run:
  apt-get install --no-install-recommends ${names[*]}"
  fi
  say "Installing ${#names[@]} Debian packages with $how (the list is scripts/packages.txt):"
  while IFS=$'\t' read -r name why; do
    printf '  %-24s %s\n' "$name" "$why" >&2
  done <<<"$wanted"
  as_root apt-get -qq update >&2 || say "setup: apt-get update failed; trying with the lists that are here"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${names[@]}" >&2 ||
    die "apt-get could not install them. The list is made for Debian 12 (bookworm) with its security and updates archives.
Check the network and /etc/apt/sources.list, then try: $how install ${names[*]}"
}

rust_is_new_enough() {
  local version
  version=$(rustc --version 2>/dev/null | awk '{print $2}') || return 1
  [ -n "$version" ] && [ "$(printf '%s\n' "$min_rust" "$version" | sort -V | head -1)" = "$min_rust" ]
}

need_rust() {
  PATH="$PATH:$HOME/.cargo/bin"
  if rust_is_new_enough && command -v cargo >/dev/null; then return; fi
  if command -v rustup >/dev/null; then
    say "Rust >= $min_rust is needed; updating the stable toolchain with rustup"
    rustup toolchain install stable --profile minimal >&2 || die "rustup could not install a toolchain. Check the network, then try: rustup update stable"
    rust_is_new_enough || die "rustc here is still older than $min_rust. Try: rustup default stable"
  else
    install "$(packages_of rust | awk '{name = $1; $1 = $2 = ""; sub(/^ +/, ""); print name "\t" $0}')"
    hash -r
    rust_is_new_enough || die "rustc is older than $min_rust after the installation. Install a newer one from https://rustup.rs"
  fi
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "setup: this is not a Debian system, so nothing is checked or installed; scripts/packages.txt lists what is needed"
  exit 0
fi
lines=""
for group in "$@"; do
  lines+=$(packages_of "$group")$'\n'
done
missing=$(missing_of <<<"${lines%$'\n'}")
if [ -n "$missing" ]; then install "$missing"; fi
for group in "$@"; do
  if [ "$group" = build ]; then need_rust; fi
done
