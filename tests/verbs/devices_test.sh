#!/usr/bin/env bash
# What the tools see of the devices, and one rail of ours by itself.
set -u
. "$(dirname "$0")/common.sh"

expect 0 ibv_devices
printed "${devices[@]}"
for device in "${devices[@]}"; do
  number=${device#rxe}
  expect 0 ibv_devinfo -v -d "$device"
  printed "hca_id:	$device" "PORT_ACTIVE (4)" "active_mtu:		4096 (5)" "link_layer:		Ethernet" "GID[  0]:		fe80::ff:fe00:$number, RoCE v2" \
    "GID[  1]:		::ffff:10.99.$number.1, RoCE v2"
  [[ $(ipv4_gid "$device") == 1 ]] || fail "the GID of $device's IPv4 address is '$(ipv4_gid "$device")', not 1"
  [[ -w /dev/infiniband/uverbs$number ]] || fail "no /dev/infiniband/uverbs$number"
done
[[ -e /dev/infiniband/rdma_cm ]] || fail "no /dev/infiniband/rdma_cm"
expect 0 "$binaries/tests/verbs_device_test"
printed "[  PASSED  ] 6 tests."
finish
