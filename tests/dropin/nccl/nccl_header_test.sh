#!/usr/bin/env bash
# nccl_header_test.sh LIBRARY HEADERS PEERS: our declarations against NVIDIA's own headers: sizes, offsets, values and the type of every
# function; and our answers against those of NVIDIA's library where it needs no GPU. NCCL 2.30.7 is in the wheel nvidia-nccl-cu13, which
# ./dev installs into PEERS/nccl; the header of 2.28.9 comes with CUDA 13.0. What is missing is not compared with.
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

mkdir "$work/cuda" # the little of CUDA's headers that NVIDIA's need
cat >"$work/cuda/cuda_runtime.h" <<'END'
#define CUDART_VERSION 13000
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
#include <stddef.h>
#include <stdint.h>
END
for file in cuda_fp16 cuda_bf16 cuda_fp8; do : >"$work/cuda/$file.h"; done

# alike HEADERS: what NVIDIA's nccl.h there declares is declared alike in ours.
alike() {
  "$compiler" -E -P -DNCCL_OS_LINUX -I "$1" -I "$work/cuda" -include nccl.h -x c /dev/null | grep -oE '\bp?nccl[A-Z][A-Za-z0-9]*\(' | tr -d '(' |
    sort -u >"$work/functions"
  grep -qx ncclAlltoAll "$work/functions" || fail "the functions of $1/nccl.h were not found"
  functions_of theirs -I "$1" -I "$work/cuda" >"$work/their.functions" || fail "NVIDIA's header does not compile"
  functions_of ours -I "$headers" >"$work/our.functions" || fail "our header lacks functions"
  sed -i 's/ncclConfig_v[0-9]*/ncclConfig/g' "$work/their.functions" "$work/our.functions" # the struct's tag has the version
  diff "$work/their.functions" "$work/our.functions" || fail "functions differ (<: NVIDIA's, >: ours)"
  echo "$(wc -l <"$work/our.functions") functions are declared alike"
}
# runs_with HEADERS: values.c compiled with NVIDIA's header there runs with our library.
runs_with() {
  "$compiler" -std=c11 -D_GNU_SOURCE -DNCCL_OS_LINUX ${SANITIZED:+-fsanitize=$SANITIZED} -I "$1" -I "$work/cuda" -c "$here/values.c" -o "$work/values.o" ||
    fail "values.c does not compile with $1/nccl.h"
  "$compiler" ${SANITIZED:+-fsanitize=$SANITIZED} "$work/values.o" -o "$work/values" "$library" -Wl,-rpath,"$(dirname "$library")" -lm -pthread
  program=values
  on 2 "processes one_thread" grouped configured
}

# CUDA 13.0 brings the header of 2.28.9.
for older in /usr/local/cuda-13.0/include /usr/local/cuda/include /usr/local/include /usr/include; do
  grep -qs "^#define NCCL_VERSION_CODE 22809" "$older/nccl.h" || continue
  echo "== NVIDIA's header of 2.28.9, $older/nccl.h"
  alike "$older"
  runs_with "$older"
  break
done

theirs=$(echo "$peers"/nccl/lib/python*/site-packages/nvidia/nccl/include)
if [[ ! -f $theirs/nccl.h ]]; then
  ((failures == 0)) || finish
  skip "NVIDIA's nccl.h 2.30.7 is not there to be compared with (./dev deps installs it from PyPI: nvidia-nccl-cu13)"
fi
echo "== NVIDIA's header of 2.30.7"
layout_of their_layout -I "$theirs" -I "$work/cuda" >"$work/their.layout" || fail "layout.c does not compile with NVIDIA's header"
diff "$work/their.layout" "$work/ours.layout" || fail "layouts differ (<: NVIDIA's, >: ours)"
alike "$theirs"
[[ $(wc -l <"$work/functions") -gt 110 ]] || fail "only $(wc -l <"$work/functions") functions found in NVIDIA's header"
runs_with "$theirs"

# compare_device_header TOOLKIT: where CUDA's cuda.h is, which NVIDIA's nccl_device.h includes.
compare_device_header() {
  local toolkit=$1
  echo "== the host's side of nccl_device.h, with $toolkit/cuda.h"
room=$here/../../../src/dropin
includes='#include <nccl_device/core.h>
#include <nccl_device/lsa_barrier.h>
#include <nccl_device/gin_barrier.h>
#include <nccl_device/ll_a2a.h>
#include <nccl_device/impl/core__types.h>
#include <nccl_device/impl/lsa_barrier__types.h>
#include <nccl_device/impl/gin_barrier__types.h>
#include <nccl_device/impl/ll_a2a__types.h>'
with_theirs=("$cxx" -std=c++17 -w -DNCCL_OS_LINUX -I "$theirs" -I "$work/cuda" -idirafter "$toolkit")
with_ours=("$cxx" -std=c++17 -w -I "$room" -I "$headers")
# One declaration after the other of the same C function: an error where they differ. Left out are what came later than 2.30.7, and two
# that NVIDIA declares for Windows only.
sed -n '/^extern "C" {/,/^}  \/\/ extern/p' "$room/nccl/device.h" | tr '\n' ' ' | grep -oE '(ncclResult_t|ncclTeam_t|int) nccl[A-Za-z0-9]+\([^;]*\);' |
  grep -vE 'LeInfo|TeamCft|GinOutbox|GinInbox' | sed 's/.*/extern "C" &/' >"$work/prototypes"
[[ $(wc -l <"$work/prototypes") == 16 ]] || fail "$(wc -l <"$work/prototypes") prototypes were found in device.h"
{ echo "$includes"; cat "$work/prototypes"; } >"$work/both.cpp"
"${with_theirs[@]}" -fsyntax-only "$work/both.cpp" || fail "prototypes differ"
sed '/extern "C"/s/int rank)/long rank)/' "$work/both.cpp" >"$work/wrong.cpp"
! "${with_theirs[@]}" -fsyntax-only "$work/wrong.cpp" 2>/dev/null || fail "wrong prototypes would not be noticed"
{
  echo '#include <cstddef>
#include <cstdio>
#define AT(type, field) std::printf("%s.%s %zu %zu\n", #type, #field, offsetof(type, field), sizeof(type))
int main() {'
  for field in ncclTeam,stride ncclMultimemHandle,mcBasePtr ncclCommProperties,{rank,nvmlDev,multimemSupport,ginType,nLsaTeams,hostRmaSupport,railedGinType} \
    ncclDevResourceRequirements,{bufferAlign,outBufferHandle,ginCounterCount,outGinSignalStart,outGinCounterStart} \
    ncclLsaBarrierHandle,nBarriers ncclGinBarrierHandle,signal0 ncclLLA2AHandle,nSlots; do
    echo "AT(${field/,/, });"
  done
  echo '}'
} >"$work/fields"
{ echo "$includes"; cat "$work/fields"; } >"$work/their_device.cpp"
{ echo '#include <nccl/device.h>'; cat "$work/fields"; } >"$work/our_device.cpp"
"${with_theirs[@]}" "$work/their_device.cpp" -o "$work/their_device" || fail "NVIDIA's nccl_device does not compile"
"${with_ours[@]}" "$work/our_device.cpp" -o "$work/our_device" || fail "device.h does not compile"
diff <("$work/their_device") <("$work/our_device") || fail "layouts differ (<: NVIDIA's, >: ours)"
}

for toolkit in /usr/local/cuda/include "$peers"/cuda/lib/python*/site-packages/nvidia/cu13/include; do
  [[ ! -f $toolkit/cuda.h ]] || break
done
if [[ -f $toolkit/cuda.h ]]; then
  compare_device_header "$toolkit"
else
  echo "== nccl_device.h is not compared: there is no cuda.h (./dev deps installs nvcc with it where there is none)"
fi

echo "== the answers of NVIDIA's library to calls that need no communicator and no GPU"
"$compiler" "${flags[@]}" "$here/answers.c" -o "$work/answers" -ldl || fail "answers.c does not compile"
for of in theirs,"$theirs/../lib/libnccl.so.2" ours,"$library"; do
  "$work/answers" "${of#*,}" >"$work/answers.${of%%,*}" || fail "answers.c ended with $?"
done
[[ -n ${SANITIZED:-} ]] || diff "$work/answers.theirs" "$work/answers.ours" || fail "the answers differ (<: NVIDIA's, >: ours)"
echo "$(wc -l <"$work/answers.ours") lines"
finish
