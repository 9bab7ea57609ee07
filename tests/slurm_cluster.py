"""A Slurm cluster of one node on this machine: munged, slurmctld and slurmd as root, with own ports and folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")


def missing():
    """The programs that are needed, and are not there."""
    return [p for p in PROGRAMS if shutil.which(p) is None]


class Cluster:
    """Daemons that live as long as the context; `environment` is that of programs that use them."""

    def __init__(self, folder, cpus=2):
        self.folder, self.cpus = folder, cpus
        self.daemons = {}

    @property
    def environment(self):
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def __enter__(self):
        (self.folder / "key").write_bytes(os.urandom(1024))
        (self.folder / "key").chmod(0o400)
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        self._write_configuration()
        f = self.folder
        munged = ["munged", "--foreground", "--force", f"--key-file={f}/key", f"--socket={f}/munge.socket"]
        munged += [f"--pid-file={f}/munged.pid", f"--log-file={f}/munged.log", f"--seed-file={f}/munged.seed"]
        self._start("munged", *munged)
        self._wait("munged", (f / "munge.socket").exists)
        self.start_controller()
        self._start("slurmd", "slurmd", "-D", "-N", "node")
        self._wait("slurmd", lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"))
        return self

    def __exit__(self, *_):
        self.ask("scancel", "--user=root")
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        self._end_what_is_left()

    def start_controller(self):
        """Start slurmctld, again after it was killed."""
        self._start("slurmctld", "slurmctld", "-D")
        self._wait("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def kill_controller(self):
        """End slurmctld as a crash does, once it has saved its state, some seconds after a change; a job must run."""
        saved, changed = self.folder / "state" / "job_state", time.time()
        self.ask("scontrol", "update", f"jobid={self.running()[0]}", "comment=changed")
        self._wait("slurmctld", lambda: saved.exists() and saved.stat().st_mtime > changed)
        self.daemons["slurmctld"].kill()
        self.daemons["slurmctld"].wait()

    def ask(self, *command):
        """What a client program prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30)
        return done.stdout

    def running(self):
        """Ids of the running jobs."""
        return self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()

    def _start(self, name, *command):
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def _end_what_is_left(self):
        """Kill what a killed job left: without cgroups, the cluster does not find all of its processes."""
        own = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if own.items() <= process.environ().items():
                    process.kill()

    def _stop(self, name):
        daemon = self.daemons[name]
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait(self, name, ready, seconds=20):
        end = time.monotonic() + seconds
        while not ready():
            gone = self.daemons[name].poll() is not None
            if gone or time.monotonic() > end:
                text = (self.folder / f"{name}.out").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} {'ended' if gone else 'is not ready'}: {text}")
            time.sleep(0.1)

    def _write_configuration(self):
        f, host = self.folder, socket.gethostname()
        controller, node = _free_port(), _free_port()
        # steps of a job lose the variable, since a real cluster has its configuration in /etc
        wrapper = f'#!/bin/sh\nSLURM_CONF={f}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        (f / "bin" / "srun").write_text(wrapper)
        (f / "bin" / "srun").chmod(0o755)
        # no accounting, no cgroups: what a machine without systemd and a database can do
        (f / "slurm.conf").write_text(
            f"""ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={f}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={f}/state
SlurmdSpoolDir={f}/spool
SlurmctldPidFile={f}/slurmctld.pid
SlurmdPidFile={f}/slurmd.pid
SlurmctldLogFile={f}/slurmctld.log
SlurmdLogFile={f}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=600
SchedulerParameters=batch_sched_delay=0,sched_interval=5
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={self.cpus} RealMemory=8000
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
"""
        )


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
