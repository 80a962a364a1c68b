#!/bin/sh
# npm test: everything. npm test -- PATH...: only the test files there (folders or files), without the checks.
# Order: what fails fastest first. Tests that start a chassis run one file at a time: they share two cores and the disk.
cd "$(dirname "$0")/.." || exit 1
root=$PWD
. scripts/node24.sh
PATH="$(dirname "$node"):$PWD/node_modules/.bin:$PATH"
export PATH

failed=
began=$(date +%s)

# phase NAME CONCURRENCY LIMIT_MS PATH...: runs the test files under the paths that exist.
phase() {
  name=$1
  concurrency=$2
  limit=$3
  shift 3
  files=$(for path in "$@"; do [ ! -e "$path" ] || find "$path" -name '*.test.ts'; done | sort)
  if [ -z "$files" ]; then
    echo "== $name: no test files under $*" >&2
    failed="$failed $name"
    return
  fi
  echo "== $name"
  # Paths of the project hold no spaces, so that splitting is what is wanted here.
  # shellcheck disable=SC2086
  node --test --test-reporter="$reporter" --test-concurrency="$concurrency" --test-timeout="$limit" $files ||
    failed="$failed $name"
}

# A terminal and a log both want each test's name and its diagnostics (figures, what was skipped and why).
reporter=${CORELET_TEST_REPORTER:-spec}

if [ $# -gt 0 ]; then
  phase chosen 1 600000 "$@"
else
  echo "== check"
  sh scripts/check.sh || failed="$failed check"
  phase units 2 120000 test/unit test/contracts
  # These use both cores by themselves.
  phase clusters 1 900000 test/sim/cluster.test.ts
  phase mutations 1 600000 test/sim/mutations-*.test.ts
  phase simulation 2 300000 test/scenarios $(find test/sim -name '*.test.ts' ! -name 'cluster.test.ts' ! -name 'mutations-*')
  phase interop 1 300000 test/interop
fi

echo "== $(($(date +%s) - began)) seconds"
if [ -n "$failed" ]; then
  echo "test: failed:$failed" >&2
  exit 1
fi
echo "test: passed"
