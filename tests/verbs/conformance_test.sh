#!/usr/bin/env bash
# The conformance suite of transports.
set -u
. "$(dirname "$0")/common.sh"
"$binaries/tests/tcp_conformance_test" --gtest_brief=1 >"$work/log" 2>&1 || { fail "tcp_conformance_test"; cat "$work/log"; }
tail -n 2 "$work/log"
finish
