#!/bin/sh
# Brings the checkout to where the commands can run: `ensure.sh` installs the packages that package-lock.json names,
# `ensure.sh build` compiles dist/ as well. Quick when there is nothing to do; two at once wait for each other. Messages
# go to stderr, so that the output of the command that follows stays clean.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$root"
want=${1:-install}
modules=node_modules
installed=$modules/.corelet-lock
built=dist/.stamp
target="src/cli src/dashboard"

say() { printf 'corelet: %s\n' "$*" >&2; }

install_needed() {
  if cmp -s package-lock.json "$installed"; then return 1; fi
  # Somebody ran npm install himself after the lock last changed: nothing to do but to remember it.
  if [ "$modules/.package-lock.json" -nt package-lock.json ]; then
    cp package-lock.json "$installed"
    return 1
  fi
  return 0
}

install_packages() {
  command -v npm >/dev/null 2>&1 || { say 'npm is missing: install Node.js 20 or newer with npm (Debian: apt install nodejs npm)'; exit 1; }
  say 'installing packages (once) …'
  log=$(mktemp)
  # Not `npm ci`: it refuses a lock without the packages of every platform, and some of those are not published
  # everywhere. Versions are exact in package.json and in the lock, which --no-save leaves as it is.
  if ! npm install --no-save --no-audit --no-fund --loglevel=error --include=dev --include=optional >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    say 'npm install failed (above)'
    exit 1
  fi
  rm -f "$log"
  cp package-lock.json "$installed"
}

# Folders count too: a removed source changes its folder's time.
build_needed() {
  [ -f "$built" ] || return 0
  [ -n "$(find src package-lock.json tsconfig.base.json \( -name '*.ts' -o -name '*.json' -o -type d \) -newer "$built" -print -quit)" ]
}

build() {
  say 'compiling …'
  . scripts/node24.sh
  mkdir -p dist
  started=$(mktemp dist/.stamp.XXXXXX)
  log=$(mktemp)
  # shellcheck disable=SC2086
  if ! "$node" node_modules/typescript/bin/tsc -b $target >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log" "$started"
    say 'the compiler refused the sources (above)'
    exit 1
  fi
  rm -f "$log"
  mv "$started" "$built"
}

work() {
  if install_needed; then install_packages; fi
  if [ "$want" = build ] && build_needed; then build; fi
}

if install_needed || { [ "$want" = build ] && build_needed; }; then
  if command -v flock >/dev/null 2>&1; then
    mkdir -p dist
    exec 9>dist/.ensure.lock
    flock 9
  fi
  work
fi
