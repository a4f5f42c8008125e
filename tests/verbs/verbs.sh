#!/usr/bin/env bash
# verbs.sh BINARIES VM LOGS [-R REGEX] [-E REGEX]: prepares the virtual machine in the folder VM and runs the tests NAME_test.sh of this
# folder there, all in one boot: those whose NAME matches -R and not -E. BINARIES is the folder of a build. Ends with 77 and the reason
# where that cannot be done.
#
# A new test is a file NAME_test.sh beside this one: it uses common.sh, which reads counters and runs ranks, and is root in a machine of
# its own (vm/run.sh --help), whose network it may disturb; in_vm.sh mends it. What it starts of a build, ./dev test-verbs must build.
set -u
here=$(cd "$(dirname "$0")" && pwd)
skip() { echo "SKIPPED: $*"; exit 77; }
fail() { echo "verbs: $*" >&2; exit 1; }

binaries=$(realpath "$1") vm=$2 logs=$3
shift 3
wanted=. unwanted='^$'
while (($#)); do
  case $1 in
    -R) wanted=${2:-} ;;
    -E) unwanted=${2:-} ;;
    *) fail "unknown option '$1'; there are -R REGEX and -E REGEX" ;;
  esac
  [[ -n ${2:-} ]] || fail "$1 needs a regular expression"
  shift 2
done
tests=()
for file in "$here"/*_test.sh; do
  name=${file##*/} name=${name%_test.sh}
  all+=" $name"
  if [[ $name =~ $wanted && ! $name =~ $unwanted ]]; then tests+=("$name"); fi
done
((${#tests[@]})) || fail "no test matches; there are:$all"

for program in ibv_devinfo ibv_rc_pingpong ip rdma tc ss mpirun.openmpi; do
  PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null || skip "the program '$program' is not installed (./dev test-verbs installs it)"
done
reason=$("$here/vm/prepare.sh" "$vm" 2>&1) || skip "$reason"
[[ -z $reason ]] || echo "$reason"
reason=$("$here/vm/run.sh" --vm "$vm" --check 2>&1) || skip "$reason"

echo "Starting a virtual machine (output of tests goes to $logs)"
status=0
rm -rf "$logs"
"$here/vm/run.sh" --vm "$vm" --results "$logs" --timeout 800 "$here/in_vm.sh" "$binaries" "${tests[@]}" || status=$?
case $status in
  0) echo "PASSED" ;;
  1) echo "FAILED" && exit 1 ;;
  *) fail "the tests did not end as they should (status $status)" ;;
esac
