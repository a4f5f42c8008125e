# Several hosts on one machine: network namespaces joined by a bridge, each with its own host name, processes, IPC, /dev/shm.
# Sourced by tests and by bench/peers/run.py. Needs root and the right to make namespaces; `hosts_or_skip` ends with status 77 and the
# reason where they are missing.

# Exported: what another shell needs to start ranks on hosts that this one has made.
export hosts_subnet=10.77.0
export hosts_tag=${hosts_tag:-tt$$}  # names of this run's namespaces
export hosts_work=${hosts_work:-$(mktemp -d)}
subnet=$hosts_subnet tag=$hosts_tag work=$hosts_work
. "$(dirname "${BASH_SOURCE[0]}")/../cli/slurm.sh"

skip() { echo "SKIPPED: $*"; exit 77; }
fail() { echo "FAILED: $*" >&2; exit 1; }

hosts_or_skip() {
  [ "$(id -u)" = 0 ] || skip "making network namespaces needs root"
  for tool in ip unshare mount; do command -v "$tool" > /dev/null || skip "the program '$tool' is not installed"; done
  ip netns add "$tag-try" 2> "$work/why" || skip "no network namespaces here: $(cat "$work/why")"
  ip netns del "$tag-try"
  unshare -u -i -m -p -f --mount-proc true 2> "$work/why" || skip "no private namespaces here: $(cat "$work/why")"
}

# make_hosts N: h1 .. hN at $subnet.1 .. $subnet.N
make_hosts() {
  trap remove_hosts EXIT
  ip netns add "$tag-net"
  ip -n "$tag-net" link add bridge type bridge
  ip -n "$tag-net" link set bridge up
  for i in $(seq "$1"); do
    ip netns add "$tag-h$i"
    ip -n "$tag-net" link add "port$i" type veth peer name eth0 netns "$tag-h$i"
    ip -n "$tag-net" link set "port$i" master bridge up
    ip -n "$tag-h$i" addr add "$subnet.$i/24" dev eth0
    ip -n "$tag-h$i" link set eth0 up
    ip -n "$tag-h$i" link set lo up
  done
  { echo "127.0.0.1 localhost"; for i in $(seq "$1"); do echo "$subnet.$i h$i"; done; } > "$work/hosts"
  cat > "$work/on" << END
#!/bin/sh
# on HOST COMMAND...: runs it there
host=\$1; shift
exec ip netns exec $tag-\$host unshare -u -i -m -p -f --kill-child --mount-proc sh -c '
  hostname "\$0"
  mount -t tmpfs tmpfs /dev/shm
  [ ! -e /etc/hosts ] || mount --bind "$work/hosts" /etc/hosts
  export TMPDIR=/dev/shm
  exec "\$@"' "\$host" "\$@"
END
  cat > "$work/agent" << END
#!/bin/sh
# Stands in for ssh: drops ssh's options; the first word left is the host, the rest the command.
while :; do
  case \$1 in
    -l|-p|-o|-i|-F) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
host=\$1; shift
exec $work/on "\$host" sh -c "\$*"
END
  chmod +x "$work/on" "$work/agent"
}

remove_hosts() {
  for ns in $(ip netns list | awk '{print $1}' | grep "^$tag-"); do
    ip netns pids "$ns" | xargs -r kill -9 2> /dev/null
    ip netns del "$ns"
  done
  rm -rf "$work"
}

# sent HOST: bytes that this host has put on the wire
sent() { ip netns exec "$tag-$1" cat /sys/class/net/eth0/statistics/tx_bytes; }

# For Slurm's daemons.
on_node() { "$work/on" "$@"; }

# launcher_program LAUNCHER PEERS: what to start. PEERS is where ./dev installs those that Debian does not have.
launcher_program() {
  case $1 in
    openmpi) echo mpirun.openmpi ;;
    openmpi5) echo "$2/openmpi/bin/mpirun" ;;
    mpich) echo mpiexec.hydra ;;
    mpich5) echo "$2/mpich/bin/mpiexec" ;;
    impi) echo "$2/impi/bin/mpiexec.hydra" ;;
    slurm_*) echo srun ;;
  esac
}

# launch LAUNCHER PROGRAM RANKS_OF_H1,RANKS_OF_H2,... COMMAND...: starts the ranks from h1
launch() {
  local launcher=$1 program=$2 layout=$3 list= total=0 i=0 command
  shift 3
  for n in ${layout//,/ }; do
    i=$((i + 1)); total=$((total + n)); list=$list${list:+,}h$i:$n
  done
  case $launcher in
    openmpi) command=(--allow-run-as-root --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include "$subnet.0/24" --bind-to none
      -H "$list" -np "$total") ;;
    openmpi5) command=(--allow-run-as-root --prtemca plm_ssh_agent "$work/agent" --bind-to none -H "$list" -np "$total") ;;
    mpich | mpich5) command=(-localhost "$subnet.1" -launcher ssh -launcher-exec "$work/agent" -hosts "$list" -np "$total") ;;
    impi) command=(-iface eth0 -bootstrap ssh -bootstrap-exec "$work/agent" -machine "$work/machines" -np "$total")
      tr , '\n' <<<"$list" >"$work/machines" ;;
    slurm_*) command=(--mpi="${launcher#slurm_}" --distribution=arbitrary --ntasks="$total")
      SLURM_HOSTFILE=$work/machines
      export SLURM_HOSTFILE
      tr , '\n' <<<"$list" | while IFS=: read -r host n; do for ((; n > 0; n--)); do echo "$host"; done; done >"$SLURM_HOSTFILE" ;;
  esac
  "$work/on" h1 timeout "${launch_limit:-120}" "$program" "${command[@]}" "$@"
}
