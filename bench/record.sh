#!/bin/bash
# bench/record.sh NAME COMMAND...: runs a benchmark and writes its output to bench/results/NAME.txt, with the command and the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift
source=$(git describe --always --dirty)  # before the results of the last time are overwritten
{
  echo "command   $*"
  echo "date      $(date -u +%F)"
  echo "source    $source"
  lscpu | sed -n 's/^Model name: */machine   /p; s/^CPU(s): */cores     /p; s/^L2 cache: */L2        /p; s/^L3 cache: */L3        /p'
  echo "system    $(uname -sr), $(. /etc/os-release && echo "$PRETTY_NAME"), load $(cut -d' ' -f1 /proc/loadavg)"
  echo
  "$@"
} 2>&1 | tee "bench/results/$name.txt"
