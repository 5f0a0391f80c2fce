#!/bin/sh
# A Slurm cluster of one node, this machine, for tests: no systemd, no cgroups, nothing outside its own folder.
#
#   apt-get install slurm-wlm munge          # Debian; this script installs nothing
#   tests/slurm/cluster.sh start             # as root
#   export SLURM_CONF=/tmp/slurm-test/slurm.conf
#   python -m pytest tests/slurm
#   tests/slurm/cluster.sh stop
set -eu

FOLDER=${SLURM_TEST_FOLDER:-/tmp/slurm-test}
HOST=$(hostname -s)
CPUS=${SLURM_TEST_CPUS:-4}  # more than there are, so that jobs run side by side

start() {
    for tool in slurmctld slurmd munged sinfo; do
        command -v "$tool" >/dev/null || { echo "$tool is not installed (Debian: apt-get install slurm-wlm munge)" >&2; exit 1; }
    done
    [ "$(id -u)" = 0 ] || { echo "slurmd needs root" >&2; exit 1; }
    mkdir -p "$FOLDER/state" "$FOLDER/spool" "$FOLDER/munge"
    chmod 711 "$FOLDER"
    chmod 755 "$FOLDER/munge"
    [ -e "$FOLDER/key" ] || (umask 077; head -c 1024 /dev/urandom >"$FOLDER/key")
    cat >"$FOLDER/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge/socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd.log
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool
# a container has neither a cgroup of its own nor an accounting database
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
SchedulerParameters=sched_min_interval=100000,bf_interval=1
KillWait=5
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS State=UNKNOWN
PartitionName=test Nodes=$HOST Default=YES MaxTime=60 State=UP
CONF
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\n' >"$FOLDER/cgroup.conf"
    export SLURM_CONF="$FOLDER/slurm.conf"
    munged --force --key-file="$FOLDER/key" --socket="$FOLDER/munge/socket" --pid-file="$FOLDER/munge/munged.pid" \
        --log-file="$FOLDER/munge/munged.log" --seed-file="$FOLDER/munge/seed"
    slurmctld -c
    slurmd -c
    for _ in $(seq 60); do
        sinfo --noheader --format=%T 2>/dev/null | grep -q idle && break
        sleep 0.5
    done
    sinfo --noheader --format=%T | grep -q idle || { echo "the node does not come up:" >&2; tail -n 5 "$FOLDER"/*.log >&2; exit 1; }
    echo "export SLURM_CONF=$SLURM_CONF"
}

stop() {
    for file in "$FOLDER/slurmd.pid" "$FOLDER/slurmctld.pid" "$FOLDER/munge/munged.pid"; do
        [ -e "$file" ] && kill "$(cat "$file")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$FOLDER"
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
