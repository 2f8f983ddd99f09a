#!/bin/bash
# check.sh DIR [PROGRAM [CHECK...]]: builds the lab into DIR, starts what of it doesn't run, and runs the checks of check.py
# (all, or H1 M4 …) with the program, `target/debug/kubectl-meshaudit` unless another is named. PASS or FAIL for each; 1 if
# any failed. All: about 10 minutes, and 5 to 15 more the first time. The same for walks.py and installations.py: set
# CHECKS to walks or installations.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: check.sh DIR [PROGRAM [CHECK...]]" >&2; exit 2; }
HERE=$(cd "$(dirname "$0")" && pwd); DIR=$1; shift
PROGRAM=${1:-$HERE/../../target/debug/kubectl-meshaudit}; shift || true
[ -x "$PROGRAM" ] || { echo "$PROGRAM is not there: cargo build" >&2; exit 2; }
"$HERE/build.sh" "$DIR"; "$HERE/up.sh" "$DIR"
exec python3 "$HERE/${CHECKS:-check}.py" "$DIR" "$PROGRAM" "$@"
