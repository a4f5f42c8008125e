#!/usr/bin/env bash
# nccl_exports_test.sh LIBRARY HEADERS PEERS: the library shows the names that NCCL 2.32.3 shows, in both forms, and no others; it has
# NCCL's SONAME, no versions of symbols, and loads by itself.
set -u
library=$1 headers=$2 peers=$3
. "$(dirname "$0")/common.sh"
command -v readelf nm >/dev/null || skip "there are no binutils"

nm -D --defined-only "$library" | awk '$3 !~ /^_(init|fini|edata|end)$|^__bss_start$/ {print $2, $3}' | sort >"$work/shown"
{
  sed 's/.*/W nccl&/' "$here/names.txt"
  sed 's/.*/T pnccl&/' "$here/names.txt"
  echo "T ncclResetDebugInitInternal"
} | sort >"$work/wanted"
diff "$work/wanted" "$work/shown" || fail "the names differ (<: NCCL's, >: ours)"
[[ $(wc -l <"$here/names.txt") == 96 ]] || fail "names.txt does not hold the 96 names of 2.32.3"

readelf -d "$library" >"$work/dynamic"
grep -q 'SONAME.*\[libnccl.so.2\]' "$work/dynamic" || fail "the SONAME is not libnccl.so.2"
if readelf -V "$library" | grep -q "Version definition section"; then fail "it defines versions of symbols"; fi
if grep NEEDED "$work/dynamic" | grep -E 'cuda|libtutti'; then fail "it needs libraries that are not everywhere"; fi

# A tool's own ncclX goes before it, and calls the original by pncclX.
cat >"$work/tool.c" <<'END'
#include <nccl.h>
#include <stdio.h>
ncclResult_t ncclGetVersion(int* version) {
  const ncclResult_t result = pncclGetVersion(version);
  *version += 1;
  return result;
}
int main(void) {
  int version = 0;
  ncclGetVersion(&version);
  printf("%d\n", version);
  return 0;
}
END
"$compiler" "${flags[@]}" "$work/tool.c" -o "$work/tool" "$library" -Wl,-rpath,"$(dirname "$library")" || fail "tool.c does not compile"
expect 0 "$work/tool"
printed 23008
finish
