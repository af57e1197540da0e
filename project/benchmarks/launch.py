"""Runs in two processes: one of them is killed at a random moment, under each launcher. Then the run is resumed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from project.benchmarks.comparison import differences
from project.benchmarks.fitting import CONFIGS, MAIN, fit_arguments
from project.benchmarks.report import OUTPUT, report
from project.runs.results import read_results

LAUNCHERS = {
    "Lightning": [sys.executable],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"],
    "srun": ["srun", "--kill-on-bad-exit=1", "--ntasks", "2", sys.executable],
}
MARK = "BENCHMARK_RUN"  # environment variable by which all processes of a run are found
MINUTE = 60.0
RUN = "lightning_logs/mlp/version_0"


def measure(kills: int) -> None:
    """Report `kills` killed runs under each launcher. srun is left out if it is not there."""
    directory = OUTPUT.absolute() / "launch"
    shutil.rmtree(directory, ignore_errors=True)
    launchers = [name for name in LAUNCHERS if name != "srun" or shutil.which("srun")]
    rows = []
    for launcher in launchers:
        whole = directory / f"{launcher}-whole"
        started = time.monotonic()
        with LaunchedRun(launcher, whole, fit_words()) as run:
            run.processes_of_fit()
            seconds = time.monotonic()
            assert run.process.wait() == 0, f"{whole}.log"
            seconds = time.monotonic() - seconds
        print(f"{launcher}: a run that is left alone took {time.monotonic() - started:.0f} s", flush=True)
        outcomes = []
        for number in range(kills):
            outcomes.append(trial(launcher, directory / f"{launcher}-{number}", whole, seconds, Random(number)))
            print(f"{launcher}, run {number + 1} of {kills}: {outcomes[-1]}", flush=True)
        rows.append({"launcher": launcher, **_totals(outcomes)})
    first, *others = (directory / f"{launcher}-whole" / RUN for launcher in launchers)
    rows[0]["differs from the first launcher"] = 0
    for row, other in zip(rows[1:], others, strict=True):
        row["differs from the first launcher"] = len(differences(first, other))
    report("launch", rows)


def _totals(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kills": len(outcomes),
        "of the first process": sum(outcome["rank"] == 0 for outcome in outcomes),
        "ended within a minute": sum(outcome["seconds"] < MINUTE for outcome in outcomes),
        "slowest end, s": max(outcome["seconds"] for outcome in outcomes),
        "orphans": sum(outcome["orphans"] for outcome in outcomes),
        "resumed to the same bits": sum(not outcome["differences"] for outcome in outcomes),
    }


def fit_words() -> list[str]:
    """Three epochs of mlp.yaml on the digits, with a checkpoint every five steps."""
    configs = [CONFIGS.absolute() / f"{name}.yaml" for name in ("mlp", "data/digits", "trainer/ddp")]
    options = ["--trainer.max_epochs", "3", "--checkpoints.every_n_steps", "5", "--data.batch_size", "16"]
    return fit_arguments(configs, [*options, "--trainer.accelerator", "cpu", "--pictures", "false"])


def trial(launcher: str, directory: Path, whole: Path, seconds: float, rng: Random) -> dict[str, Any]:
    """Kill one process within `seconds` after both have started, and resume the run; compare it with the whole one."""
    outcome = None
    while outcome is None:  # a run may end before it is killed
        shutil.rmtree(directory, ignore_errors=True)
        with LaunchedRun(launcher, directory, fit_words()) as run:
            outcome = _kill(run, rng.randrange(2), rng.random() * seconds)
    resumed = [*fit_words(), "--ckpt_path", "last"] if (directory / RUN).exists() else fit_words()
    if read_results(directory / RUN) is None:
        with LaunchedRun(launcher, directory, resumed) as run:
            assert run.process.wait() == 0, f"{directory}.log"
    outcome["differences"] = differences(whole / RUN, directory / RUN)
    return outcome


def _kill(run: "LaunchedRun", rank: int, seconds: float) -> dict[str, Any] | None:
    """What comes of killing the process of this rank; None if it has ended before."""
    processes = run.processes_of_fit()
    with suppress(subprocess.TimeoutExpired):
        run.process.wait(seconds)
        return None
    try:
        os.kill(processes[rank], signal.SIGKILL)
    except ProcessLookupError:
        return None
    killed = time.monotonic()
    while (alive := list(run.alive())) and time.monotonic() < killed + MINUTE:
        run.process.poll()
        time.sleep(0.1)
    return {"rank": rank, "seconds": round(time.monotonic() - killed, 1), "orphans": len(alive)}


class LaunchedRun:
    """A run that a launcher has started in `directory`. At the end of the block, none of its processes is left."""

    def __init__(self, launcher: str, directory: Path, words: Sequence[str]) -> None:
        self.mark = f"{MARK}={uuid4()}"
        directory.mkdir(parents=True, exist_ok=True)
        name, _, value = self.mark.partition("=")
        with directory.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [*LAUNCHERS[launcher], str(MAIN.absolute()), *words],
                cwd=directory,
                env={**os.environ, "OMP_NUM_THREADS": "1", name: value},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> "LaunchedRun":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.alive():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def processes_of_fit(self) -> dict[int, int]:
        """The two processes of the fit by their ranks, as soon as both have started."""
        while self.process.poll() is None:
            found = {}
            for process in self.alive():
                with suppress(OSError):  # it has ended
                    command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                    if str(MAIN.absolute()).encode() in command[1:3] and command[0] == sys.executable.encode():
                        found[_rank(process)] = process
            if len(found) == 2:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{self.process.args!r} ended with exit code {self.process.returncode}")

    def alive(self) -> Iterator[int]:
        """All processes of the run, also those of the launcher."""
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_zombie = (directory / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not is_zombie and self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    yield int(directory.name)


def _rank(process: int) -> int:
    pairs = [line.partition(b"=") for line in Path(f"/proc/{process}/environ").read_bytes().split(b"\0")]
    environment = {name.decode(): value.decode() for name, _, value in pairs}
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # torchrun's, Lightning's (not of the first process), srun's
    return next((int(environment[name]) for name in names if name in environment), 0)
