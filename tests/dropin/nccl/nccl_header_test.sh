#!/usr/bin/env bash
# nccl_header_test.sh LIBRARY HEADERS PEERS: include/nccl.h against NVIDIA's own header of NCCL 2.30.7: sizes, offsets, values and the
# type of every function. That header is in the wheel nvidia-nccl-cu13, which ./dev installs into PEERS/nccl; without it our header is
# only compared with what was written down.
set -u
library=$1 headers=$2 peers=$3
. "$(dirname "$0")/common.sh"
cxx=$(command -v c++ g++ | head -1)
[[ -n $cxx ]] || skip "there is no C++ compiler"

echo "== our header in C and C++, beside declarations of CUDA's"
cat >"$work/alone.c" <<'END'
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
#include <nccl.h>
int main(void) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclCollConfig_t call = NCCL_COLLCONFIG_INITIALIZER;
  ncclEncryptionConfig_t encryption = NCCL_ENCRYPTION_CONFIG_INITIALIZER;
  return !(sizeof config == 96 && sizeof call == 72 && sizeof encryption == 32 && config.blocking == NCCL_CONFIG_UNDEF_INT);
}
END
for standard in c99 c11 c17; do
  expect 0 "$compiler" -std=$standard -Wall -Wextra -Werror -I "$headers" "$work/alone.c" -o "$work/alone"
  expect 0 "$work/alone"
done
for standard in c++11 c++20; do
  expect 0 "$cxx" -x c++ -std=$standard -Wall -Wextra -Werror -I "$headers" "$work/alone.c" -o "$work/alone"
  expect 0 "$work/alone"
done

# What a header declares: "ncclSend: ncclResult_t(const void*, ...)" for each function, by the compiler's own spelling.
functions_of() { # functions_of NAME INCLUDES...
  local name=$1 f
  shift
  {
    echo '#include <nccl.h>
#include <cstdio>
template <class Function> const char* spelled() { return __PRETTY_FUNCTION__; }
int main() {'
    while read -r f; do echo "std::printf(\"%s %s\n\", \"$f\", spelled<decltype($f)>());"; done <"$work/functions"
    echo '}'
  } >"$work/$name.cpp"
  "$cxx" -std=c++17 -Wno-deprecated-declarations -DNCCL_OS_LINUX "$@" "$work/$name.cpp" -o "$work/$name" && "$work/$name"
}
layout_of() { # layout_of NAME INCLUDES...
  local name=$1
  shift
  "$compiler" -std=c11 "$@" "$here/layout.c" -o "$work/$name" && "$work/$name"
}

echo "== sizes and offsets"
layout_of ours_layout -I "$headers" >"$work/ours.layout" || fail "layout.c does not compile with our header"
for line in "sizeof ncclUniqueId 128" "sizeof ncclConfig_t 96" "ncclConfig_t.commName 48 8" "ncclConfig_t.graphStreamOrdering 92 4" \
  "sizeof ncclSimInfo_t 24" "ncclMaxRedOp 2147483647" "NCCL_VERSION_CODE 23007" "ncclTimeout 8"; do
  grep -qxF "$line" "$work/ours.layout" || fail "not so: $line"
done

theirs=$(echo "$peers"/nccl/lib/python*/site-packages/nvidia/nccl/include)
if [[ ! -f $theirs/nccl.h ]]; then
  ((failures == 0)) || finish
  skip "NVIDIA's nccl.h 2.30.7 is not there to be compared with (./dev deps installs it from PyPI: nvidia-nccl-cu13)"
fi
echo "== NVIDIA's header"
mkdir "$work/cuda" # the little of CUDA's headers that it needs
cat >"$work/cuda/cuda_runtime.h" <<'END'
#define CUDART_VERSION 13000
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
#include <stddef.h>
END
for file in cuda_fp16 cuda_bf16 cuda_fp8; do : >"$work/cuda/$file.h"; done
layout_of their_layout -I "$theirs" -I "$work/cuda" >"$work/their.layout" || fail "layout.c does not compile with NVIDIA's header"
diff "$work/their.layout" "$work/ours.layout" || fail "layouts differ (<: NVIDIA's, >: ours)"

"$compiler" -E -P -DNCCL_OS_LINUX -I "$theirs" -I "$work/cuda" -include nccl.h -x c /dev/null | grep -oE '\bp?nccl[A-Z][A-Za-z0-9]*\(' | tr -d '(' |
  sort -u >"$work/functions"
[[ $(wc -l <"$work/functions") -gt 110 ]] || fail "only $(wc -l <"$work/functions") functions found in NVIDIA's header"
functions_of theirs -I "$theirs" -I "$work/cuda" >"$work/their.functions" || fail "NVIDIA's header does not compile"
functions_of ours -I "$headers" >"$work/our.functions" || fail "our header lacks functions"
diff "$work/their.functions" "$work/our.functions" || fail "functions differ (<: NVIDIA's, >: ours)"
echo "$(wc -l <"$work/our.functions") functions are declared alike"

echo "== programs compiled with NVIDIA's header run with our library"
"$compiler" -std=c11 -D_GNU_SOURCE -DNCCL_OS_LINUX ${SANITIZED:+-fsanitize=$SANITIZED} -I "$theirs" -I "$work/cuda" -c "$here/values.c" -o "$work/values.o" ||
  fail "values.c does not compile with NVIDIA's header"
"$compiler" ${SANITIZED:+-fsanitize=$SANITIZED} "$work/values.o" -o "$work/values" "$library" -Wl,-rpath,"$(dirname "$library")" -lm -pthread
program=values
on 2 "processes one_thread" grouped
finish
