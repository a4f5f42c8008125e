#!/usr/bin/env bash
# launchers_test.sh TUTTI HELLO PEERS LAUNCHER: `tutti perf` and examples/hello as real launchers start them. PEERS is where ./dev
# installs those that Debian does not have.
set -u
tutti=$1 hello=$2 peers=$3 launcher=$4
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/slurm.sh"
export TMPDIR=$work

# start RANKS COMMAND..., by the launcher that `program` names, and what tutti calls it.
open_mpi=(--allow-run-as-root --oversubscribe --bind-to none)
case $launcher in
  openmpi) program=mpirun.openmpi by="Open MPI's mpirun"; start() { "$program" "${open_mpi[@]}" -np "$@"; } ;;
  openmpi5) program=$peers/openmpi/bin/mpirun by="Open MPI's mpirun"; start() { "$program" "${open_mpi[@]}" -np "$@"; } ;;
  prrte)
    program=$peers/openmpi/bin/prterun by="a PMIx launcher"
    start() { "$program" --allow-run-as-root --map-by :oversubscribe --bind-to none -np "$@"; } ;;
  mpich) program=mpiexec.hydra by=Hydra; start() { "$program" -np "$@"; } ;;
  mpich5) program=$peers/mpich/bin/mpiexec by=Hydra; start() { "$program" -np "$@"; } ;;
  impi) program=$peers/impi/bin/mpiexec.hydra by=Hydra; start() { "$program" -np "$@"; } ;;
  slurm_none | slurm_pmi2 | slurm_pmix)
    program=srun by="Slurm's srun"; start() { "$program" --mpi="${launcher#slurm_}" --ntasks="$@"; } ;;
  torchrun)
    program=torchrun by=torchrun
    # Torch 1.13 on Python 3.11 cannot read its own defaults of --redirects and --tee; these mean the same for ranks other than 9.
    start() {
      "$program" --redirects 9:1 --tee 9:1 --monitor_interval 0.1 --master_addr 127.0.0.1 --master_port "$(free_port)" --no_python \
        --nproc_per_node "$@"
    } ;;
  *) fail "no launcher $launcher"; finish ;;
esac
command -v "$program" >/dev/null || skip "$program is not installed (./dev deps installs it)"
if [[ $launcher == slurm_* ]]; then
  trap 'stop_slurm; cleanup' EXIT
  start_slurm 3
  srun --mpi=list 2>&1 | grep -qw "${launcher#slurm_}" || skip "this Slurm has no plugin ${launcher#slurm_}"
fi
short=(--check --max-bytes 4K --factor 64 --iterations 2 --warmup 1)

# Launchers that take a program for broken say so with status 0, too.
nobody_complains() { ! grep -iE "error|abort|fail" "$work/err" || fail "'$what': see above"; }

for ranks in 1 2 3; do
  echo "== $ranks ranks by $program"
  expect 0 start $ranks "$tutti" perf all "${short[@]}"
  printed "perf: $ranks ranks, launcher $by, " "all_reduce" "barrier"
  [[ $(grep -c "^# tutti perf" "$work/out") == 1 ]] || fail "'$what': not one table"
  nobody_complains
  expect 0 start $ranks "$hello"
  for ((rank = 0; rank < ranks; rank++)); do printed "rank $rank of $ranks: the sum is $((ranks * (ranks - 1) / 2))"; done
  [[ $(wc -l <"$work/out") == "$ranks" ]] || { fail "'$what' prints more:"; cat "$work/out"; }
  nobody_complains
done

echo "== a wrong type"
start 2 "$tutti" perf all_reduce --type f31 >"$work/out" 2>"$work/err" </dev/null && fail "a wrong type passed"
told=$(cat "$work/out" "$work/err" | grep -c 'tutti: --type "f31"')
# A launcher may end the other rank before it could say the same.
((told == 1 || told == 2)) || { fail "$told errors of 2 ranks"; cat "$work/out" "$work/err"; }
[[ $launcher != slurm_* ]] || stop_slurm || fail "Slurm does not stop"
finish
