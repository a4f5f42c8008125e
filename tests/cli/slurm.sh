# A Slurm cluster with a configuration, state and keys of its own in $work. Sourced by tests that then use srun, after what defines
# work, skip and fail. They may define on_node and set slurm_nodes for other nodes than this host alone.

. "$(dirname "${BASH_SOURCE[0]}")/free_port.sh"
slurm_nodes=("$(hostname -s) 127.0.0.1")  # name and address
on_node() { shift; "$@"; }                # on_node NAME COMMAND...: runs it there

# start_slurm RANKS: room for so many on every node. Ends with status 77 and the reason where Slurm cannot run.
start_slurm() {
  local program node first=${slurm_nodes[0]% *}
  [[ $(id -u) == 0 ]] || skip "Slurm's daemons need root"
  for program in munged slurmctld slurmd srun salloc; do
    command -v $program >/dev/null || skip "$program is not installed (./dev deps installs it)"
  done
  configure_slurm "$1"
  # As children of this script, so that who ends it with all its children ends them, too.
  munged --foreground --socket="$work/munge.socket" --key-file="$work/munge.key" --pid-file="$work/munged.pid" \
    --seed-file="$work/munged.seed" &>"$work/munged.log" & disown
  slurm_waits munge --socket="$work/munge.socket" --no-input
  on_node "$first" slurmctld -D &>"$work/slurmctld.log" & disown
  for node in "${slurm_nodes[@]% *}"; do
    on_node "$node" slurmd -D &>"$work/slurmd-$node.log" & disown
  done
  slurm_waits all_idle "$first"
  # One allocation for all: its steps need not wait for each other.
  on_node "$first" salloc --quiet --no-shell --nodes=${#slurm_nodes[@]} --ntasks-per-node="$1" || slurm_fails "no allocation"
  SLURM_JOB_ID=$(on_node "$first" squeue --noheader --format=%i)
  export SLURM_JOB_ID SLURM_OVERLAP=1
}

configure_slurm() { # RANKS
  local first=${slurm_nodes[0]} controller node
  controller=$(free_port)
  until node=$(free_port) && [[ $node != "$controller" ]]; do :; done
  mkdir "$work/state" $(printf "$work/tmp-%s " "${slurm_nodes[@]% *}")
  echo "CgroupPlugin=cgroup/v1" >"$work/cgroup.conf"  # not used, but slurmd would end where it cannot detect one
  chmod 711 "$work"  # munged wants its socket to be within reach of all
  (umask 077; head -c 1024 /dev/urandom >"$work/munge.key")
  export SLURM_CONF=$work/slurm.conf
  # The job's number is random because ranks that meet without PMI do so at a port made of it.
  cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=${first% *}(${first#* })
SlurmctldPort=$controller
SlurmdPort=$node
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
TmpFS=$work/tmp-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
FirstJobId=$((RANDOM + 1))
$(printf "NodeName=%s NodeAddr=%s CPUs=$1\n" ${slurm_nodes[*]})
PartitionName=all Nodes=ALL Default=YES
CONF
}

all_idle() { [[ $(on_node "$1" sinfo --noheader --format="%t %D") == "idle ${#slurm_nodes[@]}" ]]; }

slurm_waits() { # COMMAND...: until it succeeds
  local i
  for i in $(seq 300); do
    "$@" &>"$work/try" && return
    sleep 0.1
  done
  slurm_fails "'$*' does not succeed: $(cat "$work/try")"
}

slurm_fails() {
  tail -n 20 "$work"/*.log
  fail "Slurm does not start: $*"
  exit 1
}

# Everything of the cluster, the steps' own daemons among it, knows the configuration by its path.
slurm_processes() { grep -lzxF "SLURM_CONF=$work/slurm.conf" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }

# Fails when something is left.
stop_slurm() {
  local left
  unset SLURM_CONF  # for whatever is started here
  for _ in $(seq 100); do
    left=$(slurm_processes)
    [[ -n $left ]] || return 0
    kill -9 $left 2>/dev/null
    sleep 0.1
  done
  echo "these processes of Slurm are left: $left"
  return 1
}
