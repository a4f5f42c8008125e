#!/usr/bin/env bash
# explain_devices_test.sh TUTTI: explain --device cuda, of machines that are only described, and of a job on the driver of
# tests/cuda/standin, where LD_LIBRARY_PATH leads.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
explain() { expect 0 "$tutti" explain "$@" --device cuda; }
lacks() { local t; for t; do ! grep -qF -- "$t" "$work/out" || { fail "'$what' prints '$t':"; cat "$work/out"; }; done; }
# json EXPRESSION: what it is of the answer `a`.
json() { python3 -c "import json, sys; a = json.load(open('$work/out')); print(($1))" || fail "'$what': no $1"; }
same() { [[ "$1" == "$2" ]] || fail "'$what': '$1' where '$2' is expected"; }
pcie=(--topology "package:2 numa:1 core:4 pci_switch:2 gpu:8 pcie=16GB/s")

echo "== wrong questions"
refuses "--device \"gpu\": must be host, cuda, or cuda:N" "$tutti" explain all_reduce --device gpu
refuses "--device: must not be empty" "$tutti" explain all_reduce --device ""
refuses "--device cuda: the machine has no GPU" "$tutti" explain all_reduce --device cuda --topology "core:4"
refuses "--on cores: with --device cuda ranks sit on GPUs" "$tutti" explain all_reduce --device cuda "${pcie[@]}" --on cores
refuses "--device cuda:8: the machine has 8 GPUs" "$tutti" explain all_reduce --device cuda:8 "${pcie[@]}" --ranks 2
refuses "--device cuda:1: how many ranks share it" "$tutti" explain all_reduce --device cuda:1 "${pcie[@]}"
refuses "1025 ranks: with --device cuda at most 1024" "$tutti" explain all_reduce --device cuda "${pcie[@]}" --ranks 1025
refuses "--root 8: there are ranks 0 to 7" "$tutti" explain broadcast --device cuda "${pcie[@]}" --root 8
refuses "there is no algorithm \"rong\"" "$tutti" explain all_reduce --device cuda "${pcie[@]}" --algorithm rong
expect 2 "$tutti" explain --device cuda "${pcie[@]}"

echo "== GPUs that NVLink joins"
explain all_reduce --bytes 64M --topology dgx-h100:1
printed "all_reduce of 67108864 bytes in the memory of devices, 8 ranks on 8 GPUs" "NVLink through switches" "450.00 GB/s" \
  "gpu 0 - gpu 1" "and 25 more" "kernel, LL128" "kernel, simple" "operations of streams" "chosen: "
lacks "share one way" "ranks 0"
explain all_reduce --bytes 8 --topology dgx-h100:1 --json
same "$(json 'a["chosen"]["way"], a["chosen"]["protocol"], a["chosen"]["channels"]')" "('kernel', 'LL', 1)"
same "$(json 'len(a["paths"]), {p["kind"] for p in a["paths"]}, len(a["devices"])')" "(28, {'nvswitch'}, 8)"
same "$(json 'a["paths"][0]["bandwidth_gbps"], len(a["ways"]), a["ways"][0]["total_us"] == min(w.get("total_us", 1e9) for w in a["ways"])')" "(450.0, 5, True)"
same "$(json '[w["way"] for w in a["ways"] if "refused" in w]')" "['one_pass']"
same "$(json 'all(w["algorithm"]["algorithm"] in [c["algorithm"] for c in w["candidates"]] for w in a["ways"] if "refused" not in w)')" True
explain all_reduce --bytes 8 --topology dgx-h100:1 --algorithm ring
printed "chosen: ring by kernel, LL, whose algorithm was forced by --algorithm"

echo "== GPUs that PCIe joins"
explain all_gather --bytes 8M "${pcie[@]}"
printed "all_gather of 1048576 bytes per block" "PCIe below one switch" "between processors" "4 ranks at a time share one way" \
  "kernel, LL128          refused: only over NVLink stores of 128 bytes arrive at once; between gpu 0 and gpu 1"
explain all_gather --bytes 8M "${pcie[@]}" --json
same "$(json 'sorted({p["kind"] for p in a["paths"]}), a["shared_ways"][0]["ranks"]')" "(['pci_switch', 'processors'], 4)"
same "$(json '[w.get("protocol", w["way"]) for w in a["ways"] if "refused" in w]')" "['LL128', 'one_pass']"

echo "== no algorithm that is forced beats the one that is chosen"
expect 0 "$tutti" explain reduce --bytes 1G --device cuda --topology dgx-h100:1 --json
least=$(json 'a["chosen"]["total_us"]')
for algorithm in circulant scatter_gather knomial direct; do
  expect 0 "$tutti" explain reduce --bytes 1G --device cuda --topology dgx-h100:1 --json --algorithm $algorithm
  same "$(json "a['chosen']['total_us'] >= $least")" True
done

echo "== ranks that share GPUs"
explain all_reduce "${pcie[@]}" --ranks 16
printed "16 ranks on 8 GPUs" "gpu 0: ranks 0, 8" "the same GPU" "refused: ranks 0 and 8 share gpu 0" "by operations of streams"
expect 0 "$tutti" explain all_reduce --device cuda:3 "${pcie[@]}" --ranks 3 --json
same "$(json '[d["ranks"] for d in a["devices"]], a["devices"][0]["name"], a["chosen"]["way"]')" "([[0, 1, 2]], 'gpu 3', 'one_pass')"
expect 0 "$tutti" explain all_reduce --device cuda:3 "${pcie[@]}" --ranks 3
printed "> one pass for all ranks" "every output once" "chosen: as it is defined by one pass for all ranks, the least predicted time"
expect 0 "$tutti" explain all_reduce --device cuda:3 "${pcie[@]}" --ranks 3 --algorithm ring
printed "one pass for all ranks refused: --algorithm names an algorithm" "chosen: ring by operations of streams"
expect 0 "$tutti" explain scan --device cuda:3 "${pcie[@]}" --ranks 3
printed "one pass for all ranks refused: scan is not done so"
explain all_reduce "${pcie[@]}" --ranks 2
printed "2 ranks on 2 GPUs"

echo "== what the host does"
explain all_reduce --topology dgx-h100:2
printed "chosen: the host, through pinned memory, piece by piece: the ranks are on several hosts"
explain all_reduce "${pcie[@]}" --ordered
printed "chosen: the host" "the operator is the user's"
explain all_gather "${pcie[@]}" --uneven --json
same "$(json 'a["chosen"]["way"], "v-variant" in a["chosen"]["why"], a["ways"]')" "('host', True, [])"
explain all_reduce "${pcie[@]}" --ranks 1
printed "chosen: the host" "there is one rank"

echo "== every collective, and none and odd numbers of bytes"
for collective in all_reduce all_gather reduce_scatter broadcast reduce gather scatter all_to_all barrier; do
  explain $collective "${pcie[@]}" --ranks 3 --bytes 1000003
  explain $collective --topology dgx-h100:1 --bytes 0
done

echo "== a job"
if ! ldconfig -p | grep -q libcuda.so.1; then
  unset_driver() { export LD_LIBRARY_PATH=; }
  rank_setup() { unset_driver; }
  run_ranks "2 2" 2 "$tutti" explain all_reduce --device cuda
  grep -qh "libcuda.so.1 cannot be loaded" "$work"/err.* || { fail "$what does not say that there is no driver"; show_ranks; }
  unset -f rank_setup
fi
STANDIN_DEVICES=2 run_ranks "0 0" 2 "$tutti" explain all_reduce --bytes 64K --device cuda
for text in "2 ranks on 2 GPUs" "operations of streams" "kernel, simple" "chosen: "; do
  grep -qF "$text" "$work/out.0" || { fail "$what does not print '$text'"; show_ranks; }
done
[[ ! -s $work/out.1 ]] || fail "$what: rank 1 prints, too"
STANDIN_DEVICES=1 run_ranks "0 0 0" 3 "$tutti" explain all_reduce --bytes 64K --device cuda --json
cp "$work/out.0" "$work/out"
same "$(json 'a["ranks"], a["chosen"]["way"], a["paths"][0]["kind"]')" "(3, 'one_pass', 'same_gpu')"
export TUTTI_CUDA=kernel STANDIN_DEVICES=2
run_ranks "0 0" 2 "$tutti" explain all_reduce --bytes 64M --device cuda
grep -qF "operations of streams  refused: TUTTI_CUDA=kernel" "$work/out.0" || { fail "$what does not tell of TUTTI_CUDA"; show_ranks; }
TUTTI_CUDA=host run_ranks "0 0" 2 "$tutti" explain all_reduce --device cuda
grep -qF "chosen: the host" "$work/out.0" || { fail "$what does not leave it to the host"; show_ranks; }
unset TUTTI_CUDA STANDIN_DEVICES

echo "== what is explained is what runs"
for bytes in 64 64K 4M; do
  for devices in 1 2; do
    STANDIN_DEVICES=$devices run_ranks "0 0" 2 "$tutti" explain all_reduce --bytes $bytes --device cuda --json
    cp "$work/out.0" "$work/out"
    told=$(json '"a kernel, " + a["chosen"]["protocol"] if a["chosen"]["way"] == "kernel" else "operations of a stream"')
    algorithm=$(json 'a["chosen"]["algorithm"]')
    TUTTI_LOG=debug STANDIN_DEVICES=$devices run_ranks "0 0" 2 "$tutti" perf all_reduce --min-bytes $bytes --max-bytes $bytes --type u8 \
      --iterations 1 --warmup 0 --device cuda
    [[ $algorithm == one_pass ]] && by="in one pass" || by="by $algorithm: "
    grep -F "$by" "$work/err.0" | grep -qF "$told" || { fail "$what: not '$told' by $algorithm"; grep "us expected" "$work/err.0"; }
  done
done

echo "== levels of a described machine, on devices"
"$tutti" topo --json --from "package:2 numa:1 core:1 gpu:4 pcie=16GB/s" >"$work/plain.json"
python3 - "$work/plain.json" >"$work/machine.json" <<'PYTHON'
import json, sys
machine = json.load(open(sys.argv[1]))
for number, gpu in enumerate(n for n in machine["nodes"] if n["kind"] == "gpu"):
    gpu["pci_bus_id"] = "0000:%02x:00.0" % (number + 1)  # as the stand-in's
print(json.dumps(machine))
PYTHON
export TUTTI_TOPOLOGY=$work/machine.json STANDIN_DEVICES=4
run_ranks "0 0 0 0" 4 "$tutti" explain all_reduce --bytes 1M --device cuda
for text in "through a processor" "between processors" "2 ranks at a time share one way"; do
  grep -qF "$text" "$work/out.0" || { fail "$what does not print '$text'"; show_ranks; }
done
for how in streams kernel; do
  for algorithm in hierarchical hierarchical_scatter swing; do
    TUTTI_CUDA=$how run_ranks "0 0 0 0" 4 "$tutti" perf all_reduce --max-bytes 64K --factor 64 --iterations 1 --warmup 0 --device cuda \
      --algorithm $algorithm
    grep -q "^  all_reduce.*$algorithm, $how" "$work/out.0" || { fail "$what does not say that it was done by $how"; show_ranks; }
  done
done
finish
