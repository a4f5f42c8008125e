#!/usr/bin/env bash
# device_test.sh TUTTI: perf and doctor with GPUs, on the driver of tests/cuda/standin, where LD_LIBRARY_PATH leads.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
name="$(STANDIN_DEVICES=1 "$tutti" perf barrier --device cuda --iterations 1 | sed -n 's/.*the memory of 1 device (\(.*\)), 1 iterations.*/\1/p')"
[[ -n $name ]] || { fail "perf --device cuda names no device"; finish; }
short=(--max-bytes 4K --factor 64 --iterations 2 --warmup 1 --device cuda)

echo "== perf: values that cannot be meant"
for device in gpu cuda0 CUDA; do refuses "--device \"$device\": must be host, cuda, or cuda:N" "$tutti" perf all_reduce --device $device; done
for number in x -1 1x 99999999999; do refuses "cuda:$number: \"$number\" is not the number of a device" "$tutti" perf all_reduce --device cuda:$number; done
refuses "--device: must not be empty" "$tutti" perf all_reduce --device ""
refuses "--device cuda:1: there is device 0" "$tutti" perf all_reduce --device cuda:1
STANDIN_DEVICES=3 refuses "--device cuda:3: there are devices 0 to 2" "$tutti" perf all_reduce --device cuda:3
refuses "--graph: only calls on a device make a graph; add --device cuda" "$tutti" perf all_reduce --graph
refuses "--graph" "$tutti" perf all_reduce --graph --device host

echo "== perf: no driver, no device, no memory, no graphs"
if ! ldconfig -p | grep -q libcuda.so.1; then
  LD_LIBRARY_PATH= refuses "libcuda.so.1 cannot be loaded" "$tutti" perf all_reduce --device cuda
  said "--device cuda needs NVIDIA's driver and a GPU"
fi
STANDIN_DEVICES=0 refuses "the driver knows no device" "$tutti" perf all_reduce --device cuda
STANDIN_MEMORY=1000000 refuses "1 rank on this device take 2.0M, but only" "$tutti" perf all_reduce --min-bytes 1M --max-bytes 1M --device cuda
said "--max-bytes 256K or less"
STANDIN_FAIL=cuMemAlloc:2 expect 1 "$tutti" perf all_reduce --device cuda
said "bytes of memory of device 0 ($name)" "OUT_OF_MEMORY"
one_error
STANDIN_FAIL=cuStreamBeginCapture refuses "--graph: capturing the call" "$tutti" perf all_reduce --device cuda --graph
said cuStreamBeginCapture

echo "== perf: 1, 2, 3 and 8 ranks on one device, all values checked"
run_ranks "0" 1 "$tutti" perf all "${short[@]}"
for graph in "" --graph; do
  for ranks in 2 3; do
    wanted=$(printf '0 %.0s' $(seq "$ranks"))
    # shellcheck disable=SC2086
    run_ranks "${wanted% }" "$ranks" "$tutti" perf all "${short[@]}" $graph --json "$work/perf.json"
    grep -qF "perf: $ranks ranks" "$work/out.0" || fail "$what: no table"
    grep -qF "buffers in the memory of 1 device ($name)" "$work/out.0" || fail "$what does not say where the buffers are"
    [[ $(grep -c "^  [a-z]" "$work/out.0") == 23 ]] || { fail "$what: $(grep -c "^  [a-z]" "$work/out.0") rows"; cat "$work/out.0"; }
    grep -q '"buffers": "cuda"' "$work/perf.json" && grep -qF "\"name\": \"$name\"" "$work/perf.json" || fail "$what: no device in the JSON"
    grep -q "\"graph\": $([[ -n $graph ]] && echo true || echo false)" "$work/perf.json" || fail "$what: the JSON is wrong about graphs"
  done
done
run_ranks "0 0 0 0 0 0 0 0" 8 "$tutti" perf all_reduce "${short[@]}"
run_ranks "0 0" 2 "$tutti" perf all_reduce --min-bytes 6000004 --max-bytes 6000004 --iterations 1 --warmup 0 --device cuda  # in pieces
TUTTI_CUDA=host run_ranks "0 0" 2 "$tutti" perf all_reduce --max-bytes 8 --iterations 1 --device cuda
grep -q "^  all_reduce.*, shm$" "$work/out.0" || { fail "$what does not say that the host did it"; show_ranks; }
run_ranks "0 0" 2 "$tutti" perf reduce --root 1 --type bf16 --op max "${short[@]}" --graph --out-of-place
run_ranks "0 0" 2 "$tutti" perf all_reduce --min-bytes 0 --max-bytes 0 --iterations 1 --device cuda
expect 0 "$tutti" perf all_reduce --max-bytes 8 --iterations 1
printed "buffers in host memory"

echo "== perf: each rank of a host takes the next device, or the one that is named"
devices() { sed -n 's/.*"device": \([0-9]*\).*/\1/p' "$work/perf.json" | paste -sd ' '; }
export STANDIN_DEVICES=2
run_ranks "0 0 0" 3 "$tutti" perf all_gather "${short[@]}" --json "$work/perf.json"
[[ $(devices) == "0 1 0" ]] || fail "$what uses the devices $(devices)"
grep -q "the memory of 2 devices" "$work/out.0" || fail "$what does not count 2 devices"
run_ranks "0 0" 2 "$tutti" perf all_gather --max-bytes 8 --iterations 1 --device cuda:1 --json "$work/perf.json"
[[ $(devices) == "1 1" ]] || fail "$what uses the devices $(devices)"
run_ranks "2 2" 2 bash -c 'exec "$0" perf barrier --device $([[ $TUTTI_RANK == 0 ]] && echo host || echo cuda)' "$tutti"
unset STANDIN_DEVICES

echo "== doctor"
doctor() { # doctor STATUS TEXT...: with other problems of this host, whatever they are
  local wanted=$1 status=0
  shift
  what="tutti doctor"
  "$tutti" doctor >"$work/out" 2>"$work/err" || status=$?
  [[ $wanted == any || $status == "$wanted" ]] || fail "'$what' ended with $status, not $wanted"
  printed "$@"
}
doctor any "gpus" "1 GPU ($name, 4.0 GiB), driver of CUDA 13.0" "streams wait for values" "processes can map each other's memory" \
  "1 rank of this host, 1 GPU"
STANDIN_DEVICES=2 STANDIN_VERSION=12080 doctor any "2 GPUs (2 x $name, 4.0 GiB), driver of CUDA 12.8"
STANDIN_DEVICES=0 doctor any "no GPU can be used: the driver knows no device"
STANDIN_FAIL=cuIpcOpenMemHandle doctor any "processes cannot map each other's memory of device 0" "the driver says: cuIpcOpenMemHandle"
STANDIN_FAIL=cuIpcGetMemHandle doctor any "processes cannot map each other's memory of device 0" "the driver says: cuIpcGetMemHandle"
STANDIN_FAIL=cuStreamWaitValue32 doctor 1 "streams cannot wait for values in memory"
STANDIN_FAIL=cuDevicePrimaryCtxRetain doctor any "device 0 cannot be used"
start_ranks 3 "$tutti" doctor
wait_ranks
grep -q "3 ranks of this host share 1 GPU without" "$work/out.0" || { fail "$what does not see that ranks share a GPU"; show_ranks; }
finish
