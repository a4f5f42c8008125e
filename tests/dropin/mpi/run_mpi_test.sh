#!/usr/bin/env bash
# run_mpi_test.sh TUTTI LIBRARY PEERS FAMILY: `tutti run-mpi`.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile semantics
launch=("$program" -n 2)
[[ $family != openmpi* ]] || launch=("$program" --allow-run-as-root --oversubscribe --bind-to none -np 2)

expect 0 "$tutti" run-mpi --report --verbose "${launch[@]}" "$work/semantics" mixed
printed "mixed: ok"
said "run-mpi: $program" "LD_PRELOAD" "MPI_Allreduce" "# served"
expect 0 "$tutti" run-mpi --report="$work/report" --check --algorithm all_reduce:recursive_doubling -- "${launch[@]}" "$work/semantics" mixed
printed "mixed: ok"
grep -q "^MPI_Allreduce .* recursive_doubling$" "$work/report" || { fail "another algorithm was used:"; cat "$work/report"; }
grep -q "compared with the MPI library's: 0 differ" "$work/report" || { fail "nothing was compared:"; cat "$work/report"; }
expect 0 "$tutti" run-mpi --off --verbose "${launch[@]}" "$work/semantics" mixed
printed "mixed: ok"
! grep -q "LD_PRELOAD\|# served" "$work/err" || { fail "--off is not off:"; cat "$work/err"; }
expect 0 "$tutti" run-mpi --off --report "${launch[@]}" "$work/semantics" mixed
printed "mixed: ok"
! grep -q "# served" "$work/err" || { fail "--off serves calls:"; cat "$work/err"; }
grep -Eq "^MPI_Allreduce +200 +[0-9.]+ +[0-9.]+  TUTTI_MPI=0$" "$work/err" || { fail "--off --report does not time the calls:"; cat "$work/err"; }
expect 0 env TUTTI_SHM_BYTES=1K "$tutti" run-mpi "${launch[@]}" "$work/semantics" mixed
printed "mixed: ok"
said "collectives are left to the MPI library" "TUTTI_SHM_BYTES" "at least 16K"
refuses "needs a command" "$tutti" run-mpi --report
refuses "no option --bogus" "$tutti" run-mpi --bogus "${launch[@]}"
expect 1 "$tutti" run-mpi "$work/no-such-launcher" -n 2 true
said "no-such-launcher"
finish
