#!/usr/bin/env bash
# nccl_values_test.sh LIBRARY HEADERS PEERS RANKS...: values.c on so many ranks, as processes, as threads, and as one thread that has
# all of them.
set -u
library=$1 headers=$2 peers=$3
. "$(dirname "$0")/common.sh"
compile values
program=values
for ranks in "${@:4}"; do
  echo "== $ranks ranks"
  on "$ranks" "processes threads one_thread" values grouped configured
done
finish
