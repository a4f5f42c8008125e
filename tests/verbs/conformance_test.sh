#!/usr/bin/env bash
# Some of the conformance suite of transports; all of it takes minutes where the processor is emulated.
set -u
. "$(dirname "$0")/common.sh"
names=(EverySizeArrives FourRanksAllToAll LargeMessagesPassEachOther AnotherSizeIsAMismatch ADeadPeerIsNamedToAReceiver)
filter=$(printf '*.%s/tcp4_processes:' "${names[@]}")
"$binaries/tests/tcp_conformance_test" --gtest_filter="$filter" >"$work/log" 2>&1 || { fail "tcp_conformance_test"; cat "$work/log"; }
grep -F '[  PASSED  ] 5 tests' "$work/log" || { fail "not 5 tests have passed"; cat "$work/log"; }
finish
