# Helpers for tests of libtutti_mpi.so: compile a program with an MPI's own compiler and start it with the preload. Sourced after
# tutti, library, peers and family are set.
. "$(dirname "$0")/../../cli/common.sh"
unset TUTTI_CALIBRATE
here=$(dirname "$0")
export TMPDIR=$work

# MPICH 5 with more ranks than cores is slow without these.
export MPIR_CVAR_CH4_PROGRESS_THROTTLE=1 MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT=1
open_mpi() { # open_mpi MPIRUN RANKS COMMAND...
  "$1" --allow-run-as-root --oversubscribe --bind-to none -np "$2" -x LD_PRELOAD="$preload" "${@:3}"
}
hydra() { "$1" -n "$2" -genv LD_PRELOAD "$preload" "${@:3}"; }
preload=$library
# start RANKS COMMAND..., with $preload in the ranks
case $family in
  openmpi) compiler=mpicc.openmpi program=mpirun.openmpi; start() { open_mpi "$program" "$@"; } ;;
  openmpi5) compiler=$peers/openmpi/bin/mpicc program=$peers/openmpi/bin/mpirun; start() { open_mpi "$program" "$@"; } ;;
  mpich) compiler=mpicc.mpich program=mpiexec.hydra; start() { hydra "$program" "$@"; } ;;
  mpich5) compiler=$peers/mpich/bin/mpicc program=$peers/mpich/bin/mpiexec; start() { hydra "$program" "$@"; } ;;
  standard) compiler=$peers/mpich/bin/mpicc_abi program=$peers/mpich/bin/mpiexec; start() { hydra "$program" "$@"; } ;;
  impi | impi_standard) # its wheel has no headers; those of MPICH are made for the same ABI
    compiler=$peers/mpich/bin/mpicc program=$peers/impi/bin/mpiexec.hydra
    [[ $family == impi ]] || compiler+=_abi
    start() { LD_LIBRARY_PATH=$peers/impi/lib FI_PROVIDER_PATH=$peers/impi/lib hydra "$program" "$@"; } ;;
  *) fail "no MPI $family"; finish ;;
esac
command -v "$program" >/dev/null || skip "$program is not installed (./dev deps installs it)"
command -v "$compiler" >/dev/null || skip "$compiler is not installed (./dev deps installs it)"

compile() { # compile NAME [FLAGS...]: NAME.c into $work/NAME
  "$compiler" -std=c11 -O1 -g -Wall -Wextra -Wno-stringop-overflow "$here/$1.c" -o "$work/$1" -pthread "${@:2}" ||
    { fail "$1.c does not compile"; finish; }
}
