#!/usr/bin/env bash
# Runs a command in a virtual machine with RDMA devices; `run.sh --help` says how. Needs no root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

vm=$(realpath -m "$here/../../../build/verbs/vm") results='' memory=1024 cpus=2 limit=120 accelerator='' check='' pin=''

usage() {
  cat <<'END_OF_USAGE'
usage: run.sh [OPTIONS] COMMAND [ARGUMENT...]

Runs COMMAND as root in a virtual machine whose kernel has three RDMA devices (Soft-RoCE): rxe0 and rxe1 on the two ends of a veth pair
(veth0 10.99.0.1, veth1 10.99.1.1), rxe2 on dummy0 (10.99.2.1). COMMAND sees the files of this machine, in the same folder; what it
writes is gone at the end, except in /run/results. It gets no variables and no input; its output is passed on as it comes.

  --vm FOLDER       what prepare.sh has made (build/verbs/vm)
  --results FOLDER  what is /run/results there (otherwise that is gone, too)
  --memory MIB      memory of the virtual machine (1024)
  --cpus N          its processors (2); polling processes want one each
  --timeout SECONDS after so long the virtual machine is stopped (120)
  --pin             each of them on a core of its own, with a clock that is cheap to read: for measurements
  --tcg             emulate the processor even where KVM is usable
  --check           only say whether this can run here

Exit status: COMMAND's own; 124 after the time limit; 125 if the virtual machine died or could not be started; 2 if the command line is bad
or something is missing.
END_OF_USAGE
}

fail() {
  echo "run.sh: $*" >&2
  exit 2
}

number() { [[ $2 =~ ^[1-9][0-9]{0,6}$ ]] || fail "$1: '$2' is not a number from 1"; }

while (($#)); do
  case $1 in
    --vm | --results | --memory | --cpus | --timeout) (($# >= 2)) || fail "$1 needs a value" ;;&
    --vm) vm=$2 && shift 2 ;;
    --results) results=$2 && shift 2 ;;
    --memory) number "$1" "$2" && memory=$2 && shift 2 ;;
    --cpus) number "$1" "$2" && cpus=$2 && shift 2 ;;
    --timeout) number "$1" "$2" && limit=$2 && shift 2 ;;
    --pin) pin=1 && shift ;;
    --tcg) accelerator=tcg && shift ;;
    --check) check=1 && shift ;;
    -h | --help) usage && exit ;;
    --) shift && break ;;
    -*) usage >&2 && fail "unknown option $1" ;;
    *) break ;;
  esac
done

# The device alone proves nothing: where it is that of a hypervisor without hardware support of its own (PVM), kernels like Debian's
# hang in it.
kvm_is_usable() {
  [[ -r /dev/kvm && -w /dev/kvm && ! -e /sys/module/kvm_pvm ]] && grep -Eqw 'vmx|svm' /proc/cpuinfo
}

command -v qemu-system-x86_64 >/dev/null || fail "qemu-system-x86_64 is not installed (package qemu-system-x86; ./dev test-verbs installs it)"
available=$(($(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024))
((available >= memory + 256)) || fail "$available MiB of memory are available; $((memory + 256)) are needed (--memory $memory)"
((memory >= 256)) || fail "--memory $memory: the virtual machine needs at least 256 MiB"
[[ -s $vm/made_of ]] || fail "no virtual machine in $vm: run '$here/prepare.sh $vm' first"
[[ -z $check ]] || exit 0
(($#)) || { usage >&2; fail "no command to run"; }
[[ -z $results ]] || mkdir -p "$results" || fail "cannot make the folder $results"

# The threads that are processors, once they are there.
pin_processors() {
  local qemu='' threads thread core cores
  mapfile -t cores < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | awk -F- '{ for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }')
  until [[ -n $qemu ]] && mapfile -t threads < <(grep -l '^CPU [0-9]*/' "/proc/$qemu/task"/*/comm 2>/dev/null | sort -V) && ((${#threads[@]} == cpus)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
    qemu=$(pgrep -P "$pid" -f qemu-system) || true
  done
  core=0
  for thread in "${threads[@]}"; do
    thread=${thread%/comm}
    taskset -cp "${cores[core++ % ${#cores[@]}]}" "${thread##*/}" >/dev/null
  done
}

work=$(mktemp -d)
pid=
finish() {
  trap '' INT TERM  # once is enough
  [[ -z $pid ]] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$work/job" "$work/results"
pwd >"$work/job/folder"
{ printf 'cd %q && exec' "$PWD"; printf ' %q' "$@"; echo; } >"$work/job/command"

options=(-name tests-verbs,debug-threads=on -M pc -smp "$cpus" -m "$memory" -nodefaults -no-user-config -display none -serial stdio -no-reboot)
if [[ $accelerator != tcg ]] && kvm_is_usable; then options+=(-accel kvm -cpu host); else options+=(-accel "tcg,thread=multi" -cpu max); fi
# share NAME FOLDER OPTIONS
share() {
  options+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=none,multidevs=remap$3" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}
share host / ,readonly=on
share job "$work/job" ""
share results "${results:-$work/results}" ""

# With this script, whatever ends it, the virtual machine ends.
setpriv --pdeathsig TERM timeout -k 5 "$limit" qemu-system-x86_64 "${options[@]}" -kernel "$vm/kernel" -initrd "$vm/initramfs" \
  -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off${pin:+ tsc=reliable}" </dev/null &
pid=$!
[[ -z $pin ]] || pin_processors
status=0
wait "$pid" || status=$?
pid=
if [[ -s $work/job/status ]]; then exit "$(<"$work/job/status")"; fi
case $status in
  124 | 137) echo "run.sh: stopped after $limit s (--timeout)" >&2 && exit 124 ;;
  *) echo "run.sh: the virtual machine ended without a status of the command (qemu: $status)" >&2 && exit 125 ;;
esac
