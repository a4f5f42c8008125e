#!/bin/bash
# doctor_hosts.sh TUTTI: what `tutti doctor` says of two hosts that are alike, of two whose networks are not, and where they do not reach
# each other.
set -u
tutti=$1
. "$(dirname "$0")/hosts.sh"
command -v mpirun.openmpi > /dev/null || skip "mpirun.openmpi is not installed (./dev deps installs it)"
hosts_or_skip
make_hosts 2
doctor() { launch openmpi mpirun.openmpi 2,1 "$@" > "$work/out" 2> "$work/err"; }
printed() { grep -qE -- "$1" "$work/out" || { cat "$work/out" "$work/err"; fail "nothing like '$1'"; }; }

echo "== alike"
doctor "$tutti" doctor
printed "^3 ranks on 2 hosts"
printed "^ok +reach +2 ways between 2 hosts tried, all reached"
printed "^ok +alike +2 hosts"
printed "^ok +networks +alike on all hosts: .* on h1, h2"

echo "== a description with what was measured between them"
doctor env TUTTI_CALIBRATE=1 "$tutti" doctor --write-topology "$work/machine.json"
printed "eth0: measured .* between hosts"
"$tutti" topo --from "$work/machine.json" | grep -q "network .*(system)" || fail "what was measured is not in the file"

# own_variables SETUP COMMAND...: a rank on each host, started by hand after SETUP in its shell
own_variables() {
  local setup=$1 r
  shift
  for r in 0 1; do
    TUTTI_RANK=$r TUTTI_SIZE=2 TUTTI_RENDEZVOUS=$subnet.1:4711 timeout 120 "$work/on" "h$((r + 1))" \
      sh -c "$setup; exec \"\$@\"" sh "$@" > "$work/out.$r" 2> "$work/err.$r" &
  done
  wait
  cat "$work"/out.[01] > "$work/out"
  cat "$work"/err.[01] > "$work/err"
}

echo "== the same without a launcher that could be asked a second time"
rm -f "$work/machine.json"
own_variables true env TUTTI_CALIBRATE=1 "$tutti" doctor --write-topology "$work/machine.json" --force
printed "eth0: measured .* between hosts"
if command -v mpiexec.hydra > /dev/null; then
  rm -f "$work/machine.json"
  launch mpich mpiexec.hydra 2,1 env TUTTI_CALIBRATE=1 "$tutti" doctor --write-topology "$work/machine.json" --force > "$work/out" 2> "$work/err"
  printed "^3 ranks on 2 hosts"
  printed "eth0: measured .* between hosts"
else
  echo "no mpiexec.hydra: not tried with it"
fi

echo "== hosts of one name are two"
own_variables "hostname localhost" "$tutti" doctor
printed "^2 ranks on 2 hosts"
printed "^ok +reach +2 ways between 2 hosts tried, all reached"
printed "on localhost \(1\), localhost \(2\)"

echo "== one host sends larger packets; both have a network of containers with the same address"
for i in 1 2; do
  ip -n "$tag-h$i" link add docker0 type veth peer name container0
  ip -n "$tag-h$i" addr add 172.17.0.1/16 dev docker0
  ip -n "$tag-h$i" link set docker0 up
  ip -n "$tag-h$i" link set container0 up
done
ip -n "$tag-h2" link set eth0 mtu 1400
doctor "$tutti" doctor
printed "^warning +networks .*MTU 1400 on h2; MTU 1500 on h1"
printed "^ok +reach"

echo "== that network is taken"
if doctor env TUTTI_INTERFACE=docker0 TUTTI_TIMEOUT=5 "$tutti" doctor; then fail "hosts that cannot reach each other are well"; fi
printed "^warning +interfaces .*docker0 172.17.0.1"
grep -q "^tutti: " "$work/err" || { cat "$work/err"; fail "the ranks do not say that they did not meet"; }
echo PASSED
