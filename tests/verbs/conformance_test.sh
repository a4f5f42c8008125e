#!/usr/bin/env bash
# The conformance suite of transports over RDMA: all of it with processes on one rail; on three rails, with queues and rings where
# everything has to wait for room, and over TCP, what differs there. (All of it would take minutes where the processor is emulated.)
set -u
. "$(dirname "$0")/common.sh"

# suite PROGRAM INSTANCE CASE [NAME...]: runs these tests, or all.
suite() {
  local program=$1 instance=$2 case=$3 filter ran
  shift 3
  (($#)) && filter=$(printf "$instance/*.%s/$case:" "$@") || filter="$instance/*.*/$case"
  "$binaries/tests/$program" --gtest_filter="$filter" >"$work/log" 2>&1 || { fail "$program $instance"; cat "$work/log"; return; }
  ran=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests.*/\1/p' "$work/log")
  echo "== $instance: $ran tests"
  ((ran >= ($# ? $# : 20))) || { fail "only '$ran' tests have passed"; cat "$work/log"; }
}

counters
suite verbs_conformance_test Verbs verbs_processes
[[ $(grown rxe1 sent_pkts) == 0 && $(grown rxe2 sent_pkts) == 0 ]] || fail "other devices than rxe0 have been used"
at_least 10000 rxe0 sent_pkts rcvd_pkts

counters
suite verbs_conformance_test VerbsRails verbs_rails_processes EverySizeArrives ManyInFlightKeepTheirOrder LargeMessagesPassEachOther \
  ADeathInTheMiddleOfAMessage
for device in "${devices[@]}"; do at_least 1000 "$device" sent_pkts rcvd_pkts; done

suite verbs_conformance_test VerbsTiny verbs_tiny_threads EverySizeArrives ManyInFlightKeepTheirOrder FourRanksAllToAll \
  AnotherSizeIsAMismatch SendersAsleepAreWokenByRoom WhatWasSentBeforeAnOrderlyEndArrives \
  WhoSendsBeforeItReceivesGetsRoom

suite tcp_conformance_test Tcp4 tcp4_processes EverySizeArrives FourRanksAllToAll ADeadPeerIsNamedToAReceiver
finish
