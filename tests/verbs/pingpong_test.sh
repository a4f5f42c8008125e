#!/usr/bin/env bash
# Messages over each device and between two; their counters, and only theirs, show it.
set -u
. "$(dirname "$0")/common.sh"
messages=200

for device in "${devices[@]}"; do
  echo "== $device"
  counters
  pingpong "$device" "$device" -n $messages
  at_least $((4 * messages)) "$device" sent_pkts rcvd_pkts
  for other in "${devices[@]}"; do
    [[ $other == "$device" || $(grown "$other" sent_pkts rcvd_pkts) == 0 ]] || fail "what was sent over $device is counted by $other"
  done
done

echo "== rxe0 and rxe1, over the cable"
counters
before=$(</sys/class/net/veth0/statistics/tx_packets)
pingpong rxe0 rxe1 -n $messages -s 16384
for device in rxe0 rxe1; do
  at_least $((8 * messages)) $device sent_pkts rcvd_pkts  # 4 packets each way for each message
  [[ $(grown $device duplicate_request out_of_seq_request completer_retry_err) == 0 ]] || echo "   (packets were repeated)"
done
[[ $(grown rxe2 sent_pkts rcvd_pkts) == 0 ]] || fail "rxe2 has counted, too"
(($(</sys/class/net/veth0/statistics/tx_packets) - before >= 4 * messages)) || fail "veth0 has not sent so much"

echo "== over IPv6, with events"
counters
pingpong rxe0 rxe1 -n $messages -e -g 0
at_least $messages rxe0 sent_pkts
finish
