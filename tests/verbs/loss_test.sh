#!/usr/bin/env bash
# A cable that loses 2 % of the packets in both directions: all arrives, and the counters tell of it.
set -u
. "$(dirname "$0")/common.sh"
for interface in veth0 veth1; do tc qdisc add dev $interface root netem loss 2% || fail "no loss on $interface"; done
counters
pingpong rxe0 rxe1 -n 100 -s 32768
for device in rxe0 rxe1; do at_least 1 $device duplicate_request out_of_seq_request rcvd_seq_err completer_retry_err; done
for interface in veth0 veth1; do
  tc -s qdisc show dev $interface | grep -qE 'dropped [1-9]' || fail "$interface has lost nothing"
done
finish
