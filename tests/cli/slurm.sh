# A Slurm cluster of this host alone, with a configuration, state and keys of its own in $work. Sourced after common.sh by tests that
# then use srun: `start_slurm RANKS` ends with status 77 and the reason where it cannot run.

start_slurm() {
  local program
  [[ $(id -u) == 0 ]] || skip "Slurm's daemons need root"
  for program in munged slurmctld slurmd srun salloc; do
    command -v $program >/dev/null || skip "$program is not installed (./dev deps installs it)"
  done
  trap 'stop_slurm; cleanup' EXIT
  configure_slurm "$1"
  # As children of this script, so that who ends it with all its children ends them, too.
  munged --foreground --socket="$work/munge.socket" --key-file="$work/munge.key" --pid-file="$work/munged.pid" \
    --seed-file="$work/munged.seed" &>"$work/munged.log" & disown
  slurm_waits munge --socket="$work/munge.socket" --no-input
  slurmctld -D &>"$work/slurmctld.log" & disown
  slurmd -D &>"$work/slurmd.log" & disown
  slurm_waits sinfo_says_idle
  # One allocation for all: its steps need not wait for each other.
  salloc --quiet --no-shell --ntasks="$1" || slurm_fails "no allocation"
  SLURM_JOB_ID=$(squeue --noheader --format=%i)
  export SLURM_JOB_ID SLURM_OVERLAP=1
}

configure_slurm() { # RANKS
  local host
  host=$(hostname -s)
  mkdir "$work/state" "$work/spool"
  chmod 711 "$work"  # munged wants its socket to be within reach of all
  (umask 077; head -c 1024 /dev/urandom >"$work/munge.key")
  export SLURM_CONF=$work/slurm.conf
  # The job's number is random because ranks that meet without PMI do so at a port made of it.
  cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
FirstJobId=$((RANDOM + 1))
NodeName=$host NodeAddr=127.0.0.1 CPUs=$1
PartitionName=all Nodes=ALL Default=YES
CONF
}

sinfo_says_idle() { [[ $(sinfo --noheader --format=%t) == idle ]]; }

slurm_waits() { # COMMAND...: until it succeeds
  local i
  for i in $(seq 300); do
    "$@" &>"$work/try" && return
    sleep 0.1
  done
  slurm_fails "'$*' does not succeed: $(cat "$work/try")"
}

slurm_fails() {
  fail "Slurm does not start: $*"
  tail -n 20 "$work"/*.log
  finish
}

# Everything of the cluster, the steps' own daemons among it, knows the configuration by its path.
slurm_processes() {
  local environment
  for environment in /proc/[0-9]*/environ; do
    ! tr '\0' '\n' 2>/dev/null <"$environment" | grep -qxF "SLURM_CONF=$work/slurm.conf" || basename "${environment%/environ}"
  done 2>/dev/null
}

stop_slurm() {
  local left
  unset SLURM_CONF  # for whatever is started here
  for _ in $(seq 100); do
    left=$(slurm_processes)
    [[ -n $left ]] || return
    kill -9 $left 2>/dev/null
    sleep 0.1
  done
  fail "these processes of Slurm are left: $left"
}
