# Helpers for tests of libnccl.so.2. Sourced after library, headers and peers are set.
. "$(dirname "$0")/../../cli/common.sh"
here=$(dirname "$0")
compiler=$(command -v cc gcc | head -1)
[[ -n $compiler ]] || skip "there is no C compiler"
export TMPDIR=$work PYTHONDONTWRITEBYTECODE=1
flags=(-std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra ${SANITIZED:+-fsanitize=$SANITIZED} -I "$headers" -pthread)

compile() { # compile NAME: NAME.c, linked with the library, into $work/NAME
  "$compiler" "${flags[@]}" "$here/$1.c" -o "$work/$1" "$library" -Wl,-rpath,"$(dirname "$library")" -lm ||
    { fail "$1.c does not compile"; finish; }
}
# on RANKS MODES CASE...: each case on so many ranks in each way to have ranks; $program says which program.
on() {
  local ranks=$1 modes=$2 mode case
  shift 2
  for mode in $modes; do
    for case; do
      expect 0 timeout -k 5 100 "$work/$program" "$mode" "$ranks" "$case"
      printed "$case: ok"
    done
  done
}
