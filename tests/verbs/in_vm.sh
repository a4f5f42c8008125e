#!/usr/bin/env bash
# in_vm.sh BINARIES TEST...: runs the tests, in the virtual machine that verbs.sh has started; a line for each, and the output of those
# that fail. All output goes to /run/results, which verbs.sh names.
set -u
here=$(dirname "$0")
export binaries=$1
shift

# What a test has done to the cable does not reach the next one.
mend_cable() {
  local interface
  for interface in veth0 veth1; do
    tc qdisc del dev $interface root 2>/dev/null
    ip link set $interface up
  done
  ip -b /run/cable
}

failed=0
for test; do
  log=/run/results/$test.log status=0 begin=${EPOCHREALTIME/./}
  timeout -k 5 200 bash "$here/${test}_test.sh" >"$log" 2>&1 </dev/null &
  wait $! || status=$?
  kill -9 -- -$! 2>/dev/null  # timeout has made a group of them
  verdict=PASSED
  ((status == 0)) || { verdict="FAILED with status $status" failed=$((failed + 1)); }
  time=$(((${EPOCHREALTIME/./} - begin) / 10000))
  printf '%-16s %3d.%02d s  %s\n' "$test" $((time / 100)) $((time % 100)) "$verdict"
  ((status == 0)) || sed 's/^/    /' "$log"
  mend_cable
done
((failed == 0)) || { echo "$failed of $# tests failed"; exit 1; }
