#!/usr/bin/env bash
# What `tutti doctor` says of the devices here, of some that are down, hidden or not asked for, and of ranks that take different ones.
set -u
. "$(dirname "$0")/common.sh"
doctor() { expect "$1" "${@:2}" "$tutti" doctor; }
until_state() { # DEVICE STATE
  for _ in $(seq 100); do
    [[ $(<"/sys/class/infiniband/$1/ports/1/state") != *"$2" ]] || return 0
    sleep 0.1
  done
  fail "$1 does not become $2"
}

echo "== all devices"
doctor 0
printed "ok       rdma           tutti would take port 1 of rxe0, port 1 of rxe1, port 1 of rxe2" \
  "ok       rdma           port 1 of rxe0: active, RoCE, 10 Gbit/s, MTU 4096, GID 1 (::ffff:10.99.0.1, RoCE v2 over IPv4)" \
  "ok       rdma           port 1 of rxe2: active, RoCE, 2.5 Gbit/s, MTU 4096, GID 1 (::ffff:10.99.2.1, RoCE v2 over IPv4)" \
  "to other hosts like it: verbs over port 1 of rxe0, port 1 of rxe1, port 1 of rxe2 (RoCE v2 over IPv4, 10 + 10 + 2.5 Gbit/s), else tcp"

echo "== a cable that is out at one end, and small packets"
ip link set veth0 down
ip link set dummy0 mtu 1500
until_state rxe1 DOWN
doctor 0
printed "ok       rdma           tutti would take port 1 of rxe2" "note     rdma           port 1 of rxe1: down, RoCE, 10 Gbit/s, MTU 4096" \
  "note     rdma           port 1 of rxe0: down, RoCE, 10 Gbit/s, MTU 4096; its link is 3: Disabled" \
  "note     rdma           port 1 of rxe2 has an MTU of 1024, as dummy0's MTU is 1500" "ip link set dummy0 mtu 4200"
ip link set veth0 up
ip link set dummy0 mtu 9000
until_state rxe1 ACTIVE

echo "== a device without its file, and no driver for the others"
mv /dev/infiniband/uverbs2 /dev/infiniband/hidden
mv /etc/libibverbs.d/rxe.driver "$work/"
doctor 0
mv "$work/rxe.driver" /etc/libibverbs.d/
mv /dev/infiniband/hidden /dev/infiniband/uverbs2
printed "warning  rdma           rxe0 cannot be used: libibverbs has no driver for it" "ibverbs-providers" \
  "warning  rdma           rxe2 cannot be used: there is no /dev/infiniband/uverbs2" "docker --device=/dev/infiniband"

echo "== too little memory that may be locked, which a job shows, too"
little=(bash -c 'ulimit -l 64 && exec setpriv --bounding-set=-ipc_lock "$@"' little)
doctor 0 "${little[@]}"
printed "warning  memlock        65536 bytes of memory may be locked, and RDMA connections take 266240 of it each"
TUTTI_TRANSPORT=verbs run_ranks "1 1" 2 "${little[@]}" "$tutti" perf all_reduce --max-bytes 8 --iterations 1 --warmup 0
grep -qF "ulimit -l" "$work"/err.[01] || { fail "nobody says that memory cannot be registered"; show_ranks; }
TUTTI_TRANSPORT=verbs,tcp run_ranks "0 0" 2 "${little[@]}" "$tutti" perf all_reduce --max-bytes 8 --iterations 1 --warmup 0
rank_said 0 "RDMA is not used: registering the 266240 bytes that connections to 1 rank take, where 65536 may be locked"

echo "== a job whose ranks take different devices"
expect 0 mpirun.openmpi --allow-run-as-root --oversubscribe -np 1 env TUTTI_IB_DEVICES=rxe0 "$tutti" doctor : \
  -np 1 env TUTTI_IB_DEVICES=rxe1 "$tutti" doctor
printed "2 ranks on 1 host" "rank 0 on verbs: tutti would take port 1 of rxe0" "rank 1 on verbs: tutti would take port 1 of rxe1" \
  "ok       transports     within a host: shm, else verbs over port 1 of rxe0 to port 1 of rxe1 (RoCE v2 over IPv4, 10 Gbit/s, between networks, if routes lead there), else tcp"

# Two names make two hosts of one.
hosts() { # VARIABLE=VALUE of the second
  local setting=$1
  rank_setup() { (($1 == 0)) || export "${setting?}"; }
  TUTTI_TRANSPORT=verbs,tcp run_ranks "0 0" 2 unshare --uts bash -c 'hostname h$TUTTI_RANK && exec "$@"' h "$tutti" doctor
  cp "$work/out.0" "$work/out"
  printed "2 ranks on 2 hosts"
}
echo "== hosts that differ"
hosts TUTTI_IB_DEVICES=mlx5
printed 'warning  ports          RDMA ports would be used on h0, and none on others: TUTTI_IB_DEVICES="mlx5" leaves no port of an RDMA device' \
  'warning  rdma           rank 1 on h1: tutti would take no port: TUTTI_IB_DEVICES="mlx5"' \
  "rank 1 on h1: port 1 of rxe0: active, RoCE, 10 Gbit/s, MTU 4096; TUTTI_IB_DEVICES leaves it out" "transports     between hosts: tcp over"
hosts TUTTI_IB_GID_INDEX=0
printed "warning  ports          no ports that can be joined: RoCE v2 over IPv4 on h0, RoCE v2 over IPv6 on h1" "messages between them go over TCP"
finish
