#!/usr/bin/env bash
# fortran_test.sh TUTTI LIBRARY PEERS FAMILY: Fortran programs, by the three ways there are to call MPI from Fortran; their calls must
# have been served.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
fortran=mpif90.$family
command -v "$fortran" >/dev/null && command -v gfortran >/dev/null || skip "there is no $fortran with gfortran"
for way in MPIF_H USE_MPI USE_F08; do
  echo "== $way"
  "$fortran" -w -std=legacy -D$way "$here/fortran.F90" -o "$work/$way" -J "$work" || { fail "fortran.F90 does not compile with $way"; continue; }
  TUTTI_MPI_REPORT=$work/report expect 0 start 3 "$work/$way"
  printed "fortran: ok"
  for served in Bcast Allgatherv Allreduce; do grep -q "^MPI_$served " "$work/report" || fail "MPI_$served was not served"; done
done
finish
