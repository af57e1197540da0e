"""Real jobs of SLURM, by the scripts in scripts/slurm."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from tests.conftest import CONFIGS, REPOSITORY

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        shutil.which("sbatch") is None or subprocess.run(["scontrol", "ping"], capture_output=True).returncode != 0,
        reason="SLURM is not there",
    ),
]
RUN = Path("lightning_logs/mlp/version_0")
CONFIG = [word for name in ("mlp", "data/digits") for word in ("--config", str(CONFIGS / f"{name}.yaml"))]
QUICK = [*CONFIG, "--trainer.accelerator", "cpu", "--pictures", "false", "--trainer.limit_train_batches", "4"]


@pytest.fixture
def submit(request: pytest.FixtureRequest) -> Callable[..., int]:
    """Queue a job, whose output goes to <script>.log, and return its number."""

    def queue(script: str, options: list[str], words: list[str]) -> int:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
        Path("scripts").symlink_to(REPOSITORY / "scripts")
        command = ["sbatch", "--parsable", "--cpus-per-task=1", "--time=10", f"--output={script}.log", *options]
        command += [f"scripts/slurm/{script}.sbatch", *words]
        job = int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        request.addfinalizer(lambda: subprocess.run(["scancel", str(job)], check=True))
        return job

    return queue


def wait_for(text: str, log: Path, command: Sequence[str] = ()) -> str:
    """The output of a job, as soon as it has the text. The command is repeated until then."""
    for _ in range(1200):
        if command:
            subprocess.run(command, capture_output=True)
        output = log.read_text() if log.exists() else ""
        if text in output:
            return output
        time.sleep(0.1)
    raise AssertionError(f"no {text!r} in: {output}")


def test_a_job_saves_its_run_and_goes_on_with_it(submit: Callable[..., int]) -> None:
    """In two processes. SLURM sends the signal now, and not before the time limit."""
    job = submit("fit", ["--ntasks-per-node=2"], [*QUICK, "--trainer.max_epochs", "60"])
    wait_for("epoch  2/60", Path("fit.log"))
    subprocess.run(["scancel", "--signal=USR1", str(job)], check=True)
    wait_for("DUE TO JOB REQUEUE", Path("fit.log"))
    time.sleep(5)  # a job that starts again before SLURM has cleaned up fails
    # Otherwise it would wait for two minutes.
    wait_for("continuing", Path("fit.log"), ["scontrol", "update", f"jobid={job}", "starttime=now"])
    output = wait_for("results: ", Path("fit.log"))
    assert output.count("stopped by SIGUSR1 after ") == 1
    assert output.count(f"continuing {RUN} after ") == 1
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    environments = [yaml.safe_load((RUN / f"environment{part}.yaml").read_text()) for part in ("", "-2")]
    assert [(found["processes"], found["threads"], found["job"]) for found in environments] == [(2, 1, str(job))] * 2
