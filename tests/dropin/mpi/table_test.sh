#!/usr/bin/env bash
# table_test.sh TUTTI LIBRARY PEERS FAMILY TABLE: every row of the table of predefined types and operators against the MPI library's own
# header. TABLE prints the rows.
set -u
tutti=$1 library=$2 peers=$3 family=$4 table=$5
. "$(dirname "$0")/common.sh"

# A program that prints every name of the table that the header has, with its value as the library under test would see it.
{
  echo '#include <mpi.h>'
  echo '#include <stdio.h>'
  echo '#include <stdint.h>'
  echo 'int main(int argc, char** argv) { MPI_Init(&argc, &argv);'
  "$table" | while read -r kind name open_mpi mpich standard; do
    echo "#ifdef $name"
    case $family in
      openmpi*)
        echo "{ extern struct ompi_predefined_${kind}_t $open_mpi; printf(\"$name %d\\n\", (void*)($name) == (void*)&$open_mpi); }" ;;
      standard | impi_standard) echo "printf(\"$name %d\\n\", (uintptr_t)($name) == $standard);" ;;
      *) echo "printf(\"$name %d\\n\", (unsigned)($name) == ${mpich}u);" ;;
    esac
    echo "#endif"
  done
  echo 'MPI_Finalize(); return 0; }'
} >"$work/table.c"
here=$work compile table
preload= expect 0 start 1 "$work/table"
known=$(grep -c ' 1$' "$work/out")
((known >= 60)) || fail "only $known rows were compared"
if grep ' 0$' "$work/out"; then fail "these rows are not what mpi.h of $family says"; fi
finish
