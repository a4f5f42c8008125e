# Helpers for tests of RDMA devices; for $tutti also those of ../cli/common.sh. Sourced, in the virtual machine, where $binaries is the
# folder of a build.

devices=(rxe0 rxe1 rxe2)
tutti=$binaries/bin/tutti
. "$(dirname "${BASH_SOURCE[0]}")/../cli/common.sh"

# The place of its IPv4 address in a device's table of GIDs.
ipv4_gid() { # DEVICE
  local gid
  for gid in "/sys/class/infiniband/$1/ports/1/gids"/*; do
    [[ $(<"$gid") != 0000:0000:0000:0000:0000:ffff:* ]] || { echo "${gid##*/}"; return; }
  done
}

# counters: remembers what all devices have counted. grown DEVICE COUNTER...: by how much these have grown since then, added up.
# (sent_pkts, rcvd_pkts, rdma_sends, rdma_recvs; duplicate_request, out_of_seq_request, completer_retry_err where packets were lost)
counters() {
  local device file
  declare -gA counted
  for device in "${devices[@]}"; do
    for file in "/sys/class/infiniband/$device/ports/1/hw_counters"/*; do counted[$device/${file##*/}]=$(<"$file"); done
  done
}
grown() {
  local device=$1 name sum=0
  shift
  for name; do
    sum=$((sum + $(<"/sys/class/infiniband/$device/ports/1/hw_counters/$name") - counted[$device/$name]))
  done
  echo "$sum"
}
# at_least NUMBER DEVICE COUNTER...
at_least() {
  local least=$1 found
  shift
  found=$(grown "$@")
  echo "   $*: $found more"
  ((found >= least)) || fail "$what: $* grew by $found, not by $least"
}

# until_grown NUMBER DEVICE COUNTER...: waits for that; fails after half a minute.
until_grown() {
  local least=$1
  shift
  for _ in $(seq 300); do
    (($(grown "$@") < least)) || return 0
    sleep 0.1
  done
  fail "$*: $(grown "$@") more in 30 s, and not $least"
}

# cable WHAT...: netem's WHAT at both ends of the cable. Between rxe0 and rxe1 there has to be something of it (a delay of 10us does):
# on a cable without a queue of packets rxe's two ends call each other until, now and then, the kernel locks up.
cable() {
  local interface
  for interface in veth0 veth1; do tc qdisc replace dev $interface root netem "$@" || fail "no '$*' on $interface"; done
}

until_listening() { # PORT
  for _ in $(seq 200); do
    [[ -z $(ss -Hltn "sport = :$1") ]] || return 0
    sleep 0.05
  done
  fail "nobody listens at port $1"
}

# pingpong SERVER_DEVICE CLIENT_DEVICE [OPTIONS of ibv_rc_pingpong]: both check what they receive; output in $work/server and $work/out.
# Server and client find each other by TCP over loopback, whatever the devices are.
pingpong() {
  local server=$1 client=$2 before=$failures port status=0
  shift 2
  port=$(free_port)
  ibv_rc_pingpong -d "$server" -g "$(ipv4_gid "$server")" -p "$port" --chk "$@" >"$work/server" 2>&1 &
  until_listening "$port"
  expect 0 ibv_rc_pingpong -d "$client" -g "$(ipv4_gid "$client")" -p "$port" --chk "$@" 127.0.0.1
  ((failures == before)) || kill $!
  wait $! || status=$?
  ((status == 0)) || { fail "the server of '$what' ended with $status:"; cat "$work/server"; }
}
