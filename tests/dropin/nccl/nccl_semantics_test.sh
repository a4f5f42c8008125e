#!/usr/bin/env bash
# nccl_semantics_test.sh LIBRARY HEADERS PEERS: semantics.c.
set -u
library=$1 headers=$2 peers=$3
. "$(dirname "$0")/common.sh"
compile semantics
program=semantics

echo "== without other ranks"
on 1 one_thread info init_arguments many configs parameters
on 1 "processes one_thread" abort_init abort_blocking_init leaves_init
echo "== ranks of one thread"
for ranks in 1 2 3 4; do
  on $ranks one_thread all_in_one nonblocking_group
  on $ranks "one_thread processes" fixed_id
done
for ranks in 1 2 3 4; do
  echo "== $ranks ranks"
  on $ranks "processes threads" arguments point_to_point average premultiplied split shrink scalable used_id nonblocking abort_split ends abort_waiting destroy_waiting \
    revoke_waiting mismatches memory simulated call_configs grow device_interface leaves_it_open
done
echo "== with a driver (the stand-in), whose contexts nobody has asked for"
standin=$(dirname "$library")/../standin
LD_LIBRARY_PATH=$standin STANDIN_KERNELS=$standin/libtutti_kernels_host.so on 2 processes simulated
echo "== a rank dies"
for ranks in 2 3 4; do on $ranks processes killed; done

echo "== NCCL_DEBUG=WARN tells what was wrong"
NCCL_DEBUG=WARN expect 0 "$work/semantics" one_thread 1 init_arguments
said "rank 2, expected 0 to 1"
expect 0 "$work/semantics" one_thread 1 init_arguments
[[ ! -s $work/err ]] || fail "it talks without being asked"
finish
