#!/bin/sh
# npm run check: compiler, linter, formatter, dead code, tidy. Runs all of them, then says which failed.
cd "$(dirname "$0")/.." || exit 1
root=$PWD
. scripts/node24.sh
PATH="$(dirname "$node"):$PWD/node_modules/.bin:$PATH"
export PATH

failed=
step() {
  name=$1
  shift
  echo "== $name"
  "$@" || failed="$failed $name"
}

step compiler tsc -b
step linter oxlint
step formatter biome format .
step dead-code knip --no-progress
step tidy node --test --test-reporter=dot scripts/*.test.ts

if [ -n "$failed" ]; then
  echo "check: failed:$failed" >&2
  exit 1
fi
echo "check: passed"
