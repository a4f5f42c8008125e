#!/usr/bin/env bash
# run.sh BUILD LOGS [STEP...]: what needs a GPU, on the driver of this machine: tests of streams and kernels, and programs that speak NCCL.
# PYTHON (python3) is one with torch, CuPy or JAX; what it does not have is left out. A line for each step; their output goes to LOGS. A step
# takes at most LIMIT (120) seconds.
set -u
build=$(realpath "$1") logs=$2
shift 2
steps=${*:-doctor streams kernels processes calls semantics perf torch train cupy jax}
here=$(dirname "$(realpath "$0")") python=${PYTHON:-python3} failed=0
mkdir -p "$logs"

# The driver comes before the stand-in that tests are linked with.
driver=$(ldconfig -p | sed -n 's/.*libcuda\.so\.1 .*=> //p' | head -1)
[[ -n $driver ]] || driver=$(ls /usr/local/nvidia/lib64/libcuda.so.1 2>/dev/null)
[[ -n $driver ]] || { echo "run.sh: there is no libcuda.so.1" >&2; exit 77; }
export LD_LIBRARY_PATH=$(dirname "$driver")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# Kernels wait for those of other ranks, in streams of one process: code that is loaded late waits for them, and so do streams that share a queue.
export CUDA_MODULE_LOADING=EAGER CUDA_DEVICE_MAX_CONNECTIONS=32

# step NAME COMMAND...
step() {
  local name=$1 status start
  shift
  [[ " $steps " == *" ${name%-*} "* || " $steps " == *" $name "* ]] || return 0
  start=$SECONDS
  timeout -k 5 "${LIMIT:-120}" "$@" >"$logs/$name.log" 2>&1 </dev/null
  status=$?
  echo "$name: $( ((status)) && echo "FAILED with $status" || echo ok), $((SECONDS - start)) s"
  ((status == 0)) || { failed=1; tail -n 12 "$logs/$name.log" | cut -c1-300 | sed 's/^/    /'; }
}
has() { "$python" -c "import $1" 2>/dev/null; }
# ranks N COMMAND...: as the ranks of a job, without a launcher.
ranks() {
  local n=$1 r pids=() status=0
  shift
  for ((r = 0; r < n; ++r)); do
    TUTTI_RANK=$r TUTTI_SIZE=$n TUTTI_RENDEZVOUS=127.0.0.1:29655 TUTTI_SECRET=gpu "$@" & pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return $status
}
export -f ranks

# What the stand-in is told to do wrong is not tested here.
step doctor "$build/bin/tutti" doctor
step streams "$build/tests/gpu_streams_test" --gtest_filter="-StreamExecutor.AllRanksLearnWhyOneCannot:StreamExecutor.TakesLess*"
step kernels "$build/tests/gpu_kernels_test"
step processes "$build/tests/gpu_processes_test" --gtest_filter="-*AllLearnThatMemory*:*RunningOutOfMemory*"
step calls "$build/tests/streams_test" --gtest_filter="-*AStreamThatDoesNotExist*:*ThePiecesOfTheHost*:*EveryRankNeedsOneStreamOnly*:*ACommunicatorMayGoAfter*"
step semantics bash "$here/../dropin/nccl/nccl_semantics_test.sh" "$build/lib/libnccl.so.2" "$here/../../include" /nowhere
for p in 2 4; do
  step perf-$p bash -c "ranks $p '$build/bin/tutti' perf all --check --device cuda --min-bytes 8 --max-bytes 32M --factor 64"
done
export LD_PRELOAD=$build/lib/libnccl.so.2
has torch && step torch "$python" -W ignore "$here/../dropin/nccl/nccl_torch_test.py"
has torch && step train "$python" -W ignore "$here/train.py" 2 4 8
for p in 2 4; do has cupy && step cupy-$p "$python" "$here/cupy_client.py" $p; done
has jax && step jax "$python" "$here/jax_client.py" 2
exit $failed
