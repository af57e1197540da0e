"""A run of several processes, whatever has started them. test_reported_figures.py has a whole run."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from project.benchmarks.processes import FORKSERVER, imitate_shell
from project.benchmarks.resume import arguments_of
from project.cli.main import main
from project.system import launch
from project.system.launch import external_launch, is_first_error
from project.training.trainer import ExperimentTrainer
from tests.conftest import REPOSITORY
from tests.runs.test_kills import PLAIN

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
BATCH_SCRIPT = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_TASKS_PER_NODE": "2"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1", "SLURM_STEP_NUM_NODES": "3"}
ONE_MACHINE = {"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_NODEID": "0"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Set variables as a launcher does."""

    def change(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return change


@pytest.mark.parametrize(
    ("variables", "start", "remedy"),
    [
        (TORCHRUN, "--trainer.devices 1: torchrun has started 2 processes", "--trainer.devices 2"),
        (
            {**BATCH_SCRIPT, **STEP},
            "--trainer.devices 1 --trainer.num_nodes 1: srun has started 2 processes on each of 3 machines",
            "--trainer.devices 2 --trainer.num_nodes 3",
        ),
    ],
    ids=["torchrun", "srun"],
)
def test_another_number_of_processes_than_the_launcher_has_started(
    digits: Callable[..., list[str]],
    error: Callable[..., str],
    environment: Callable[[dict[str, str]], None],
    variables: dict[str, str],
    start: str,
    remedy: str,
) -> None:
    environment(variables)
    assert error("fit", *digits()) == f"{start}; give {remedy}"


def test_a_batch_script_without_srun(environment: Callable[[dict[str, str]], None]) -> None:
    environment(BATCH_SCRIPT)
    assert external_launch() is None
    launcher = ExperimentTrainer(accelerator="cpu", devices=2, logger=False).strategy.launcher
    assert isinstance(launcher, _SubprocessScriptLauncher)
    assert not launcher.cluster_environment.creates_processes_externally


def test_the_first_error_is_printed(
    environment: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    environment({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)})
    monkeypatch.setattr(launch, "_has_joined", lambda: True)
    assert [is_first_error(), is_first_error()] == [True, True]  # the same process may explain itself
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not is_first_error()
    environment({"TORCHELASTIC_RESTART_COUNT": "1"})
    assert is_first_error()


class Fails(Callback):
    """Fails in the second of two processes."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 8:  # of the second epoch: there is a checkpoint
            raise ValueError("no more")


def srun(rank: int) -> dict[str, str]:
    return {**BATCH_SCRIPT, **STEP, **ONE_MACHINE, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


def torchrun(rank: int) -> dict[str, str]:
    return {**TORCHRUN, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def _process(run: Callable[[list[str]], object], words: list[str], log: Path, variables: dict[str, str]) -> None:
    os.environ |= variables
    imitate_shell(words, log)
    os.chdir(log.parent)
    run(words)


def two_processes(
    run: Callable[[list[str]], object], words: list[str], launcher: Callable[[int], dict[str, str]] = srun
) -> list[tuple[int | None, str]]:
    """The exit code and the output of each of two processes that call `run(words)` here, as a launcher starts them.

    They are forked, since it takes seconds to import what they need.
    """
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    logs = [Path(f"process_{rank}").absolute() for rank in (0, 1)]
    processes = []
    for rank, log in enumerate(logs):
        log.mkdir()
        processes.append(FORKSERVER.Process(target=_process, args=(run, words, log, {**launcher(rank), **place})))
        processes[rank].start()
    for process in processes:
        process.join()
    return [
        (process.exitcode, log.with_suffix(".log").read_text()) for process, log in zip(processes, logs, strict=True)
    ]


def test_an_error_of_one_process() -> None:
    """Of two that srun has started: its error is the only one, and the other process ends soon."""
    words = [*arguments_of({**PLAIN, "processes": 2}), f"--trainer.callbacks={__name__}.Fails"]
    (code, first), (other_code, second) = two_processes(main, words)
    assert (code, other_code) == (1, 2), first + second
    assert "error" not in first
    assert second.startswith(f"error: --trainer.callbacks {__name__}.Fails: no more")
    assert second.count("\n") == 1
    assert len(list(Path("lightning_logs").rglob("last.ckpt"))) == 1


@pytest.mark.parametrize("script", ["fit", "search"])
def test_a_job_of_slurm_in_another_directory(script: str) -> None:
    job = REPOSITORY / f"scripts/slurm/{script}.sbatch"
    ended = subprocess.run(["bash", str(job)], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == f"error: no scripts/main.py in {Path.cwd()}; type sbatch in the project's directory\n"
