#!/usr/bin/env bash
# failures_test.sh TUTTI LIBRARY PEERS FAMILY: what goes wrong, and what must not.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile semantics
compile fuzz
report=$work/report

echo "== settings that are wrong on one rank alone: all is left to the MPI library, on all ranks alike"
cat >"$work/one.sh" <<'SCRIPT'
#!/bin/bash
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}
[[ $rank != 1 ]] || export "$ONE_RANK"
exec "$@"
SCRIPT
chmod +x "$work/one.sh"
for wrong in TUTTI_SHM_BYTES=much TUTTI_MPI=0 TUTTI_TRANSPORT=pigeon; do
  ONE_RANK=$wrong TUTTI_MPI_REPORT=$report expect 0 start 3 "$work/one.sh" "$work/semantics" requests
  printed "requests: ok"
  grep -q "^MPI_Allreduce " "$report" && ! grep -q "# served" "$report" || { fail "with $wrong on one rank this was done:"; cat "$report"; }
done

echo "== one rank gets no shared memory: another transport serves, or, where there is none, nobody does"
for lack in memory_refused memory_full; do
  for transports in shm,tcp shm; do
    TUTTI_TRANSPORT=$transports TUTTI_MPI_REPORT=$report expect 0 start 3 "$work/semantics" $lack
    printed "$lack: ok"
    if grep -q "permits no seccomp filter" "$work/err"; then
      echo "this system permits no seccomp filter: $lack is NOT tested"
    elif [[ $transports == shm ]]; then
      said "collectives are left to the MPI library: rank 1 could not start" "collectives are left to the MPI library: rank 2 could not start"
      grep -Eq "^MPI_Allreduce +21 .*rank 0 could not start <- told by rank 1 .*shared memory" "$report" && ! grep -q "# served" "$report" ||
        { fail "with $lack on one rank this was done:"; cat "$report"; }
    else
      ! grep -q "left to MPI" "$report" || { fail "with $lack on one rank this was done:"; cat "$report"; }
    fi
  done
done

echo "== one rank can open no socket: all is left to the MPI library at once, not when the others' time is up"
TUTTI_MPI_REPORT=$report expect 0 start 3 "$work/semantics" no_socket
printed "no_socket: ok"
grep -q "permits no seccomp filter" "$work/err" || { grep -q "opening a socket\|another rank would not" "$report" && ! grep -q "# served" "$report"; } ||
  { fail "without sockets on one rank this was done:"; cat "$report"; }

echo "== switched off"
TUTTI_MPI=0 TUTTI_MPI_REPORT=$report expect 0 start 2 "$work/semantics" mixed
grep -q "TUTTI_MPI=0" "$report" || { fail "the report gives another reason:"; cat "$report"; }

echo "== two of them"
preload="$library $library" expect 0 start 2 "$work/semantics" mixed
printed "mixed: ok"

echo "== no MPI library that is known: one line, and the next library's functions"
cat >"$work/unknown.c" <<'SCRIPT'
#include <stdio.h>
int PMPI_Init(int* c, char*** v) { (void)c, (void)v; return 0; }
int MPI_Barrier(long comm) { printf("the program's own barrier of %ld\n", comm); return 7; }
SCRIPT
cat >"$work/caller.c" <<'SCRIPT'
int MPI_Barrier(long comm);
int main(void) { return MPI_Barrier(12) == 7 ? MPI_Barrier(13) - 7 : 1; }
SCRIPT
cc -shared -fPIC "$work/unknown.c" -o "$work/libunknown.so" && cc "$work/caller.c" -o "$work/caller" -L"$work" -lunknown -Wl,-rpath,"$work" ||
  fail "the unknown library does not compile"
LD_PRELOAD=$library expect 0 "$work/caller"
printed "the program's own barrier of 12" "the program's own barrier of 13"
said "none of Open MPI"
[[ $(wc -l <"$work/err") == 1 ]] || { fail "more than one line:"; cat "$work/err"; }

echo "== a rank dies in a collective: the others name it and end, or live on where error handlers return"
cat >"$work/dies.c" <<'SCRIPT'
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char** argv) {
  int rank, in = 1, out, code = MPI_SUCCESS;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (argc > 1) MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  for (int i = 0; i < 1000 && code == MPI_SUCCESS; ++i) {
    code = MPI_Allreduce(&in, &out, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (i == 500 && rank == 1) raise(SIGKILL);
  }
  fprintf(stderr, "rank %d lives on\n", rank);
  sleep(1); /* the others are to hear of the dead rank first */
  _exit(0);
}
SCRIPT
here=$work compile dies
status=0
start 3 "$work/dies" >"$work/out" 2>"$work/err" </dev/null || status=$?
((status != 0)) || fail "a job with a dead rank ends with 0"
! grep -q "lives on" "$work/err" || { fail "MPI_ERRORS_ARE_FATAL is not:"; cat "$work/err"; }
# In sessions of their own the survivors outlive a launcher that ends the job, as Hydra does even where it is told not to.
cat >"$work/apart.sh" <<'SCRIPT'
#!/bin/bash
exec setsid -w "$@" 2>"$TMPDIR/said.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
SCRIPT
chmod +x "$work/apart.sh"
case $family in openmpi*) stay=--enable-recovery ;; *) stay=-disable-auto-cleanup ;; esac
start 3 $stay "$work/apart.sh" "$work/dies" returning >"$work/out" 2>&1 </dev/null
for rank in 0 2; do
  for ((i = 0; i < 100; i++)); do ! grep -q "lives on" "$work/said.$rank" || break; sleep 0.1; done
  grep -Eq "rank $rank of an MPI communicator of 3: .*rank 1 \(.*\) died" "$work/said.$rank" && grep -q "lives on" "$work/said.$rank" ||
    { fail "rank $rank does not name the dead one and live on:"; cat "$work/said.$rank"; }
done

echo "== a report that cannot be written"
TUTTI_MPI_REPORT=$work/missing/report expect 0 start 2 "$work/semantics" mixed
said "cannot write TUTTI_MPI_REPORT=$work/missing/report"
finish
