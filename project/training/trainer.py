"""Lightning's Trainer with the precision `auto`, complete checkpoint files, and loops that resume exactly."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from lightning.fabric.plugins import CheckpointIO, ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.profilers import PassThroughProfiler

# Lightning has no public name for the part that chooses a checkpoint.
from lightning.pytorch.trainer.connectors.checkpoint_connector import _CheckpointConnector

from project.system.errors import UserError
from project.system.hardware import native_bfloat16
from project.system.launch import external_launch
from project.training.checkpoint_io import CheckpointFiles
from project.training.loops import EpochLoop, FitLoop

Full = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"]
TransformerEngine = Literal["transformer-engine", "transformer-engine-float16"]
Precision = Literal["auto", Full, TransformerEngine, "32", "bf16", "16", "64"] | Literal[32, 16, 64]  # as YAML has them
NOTHING = nullcontext()
SHORT = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}  # as Lightning reads them


class ExperimentTrainer(Trainer):
    """Lightning's Trainer with the precision `auto`, complete checkpoint files, and loops that resume exactly."""

    def __init__(
        self,
        precision: Precision = "auto",
        plugins: Any = None,
        log_every_n_steps: int | None = None,
        limit_train_batches: int | float | None = None,  # Lightning's may have float first, so 1 is 1.0
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        **options: Any,
    ) -> None:
        """Choose the precision, and the loops and plugins with which a run resumes exactly.

        Args:
            precision: Precision of the computation. auto: bf16-mixed if the hardware computes bfloat16 natively (a CPU
                with AVX512-BF16 or AMX, CUDA 8.0 and newer), else 32-true. 32, bf16, 16 and 64 stand for 32-true,
                bf16-mixed, 16-mixed and 64-true.
            plugins: Lightning's plugins. A CheckpointIO replaces the one of this project.
            log_every_n_steps: Number of steps between two points of the curves of loss and learning rate. None: a tenth
                of an epoch, at most 50.
            limit_train_batches: Number of training batches in an epoch, or with a decimal point a fraction of them: 1
                is one batch, 1.0 is all. None: all.
            limit_val_batches: The same of the validation batches.
            limit_test_batches: The same of the test batches.
            limit_predict_batches: The same of the batches to predict.
        """
        options["limit_train_batches"], options["limit_val_batches"] = limit_train_batches, limit_val_batches
        options["limit_test_batches"], options["limit_predict_batches"] = limit_test_batches, limit_predict_batches
        self._every_n_steps = log_every_n_steps
        chosen = self._choose_precision(precision, device_type(options.get("accelerator", "auto")))
        plugins = plugins if isinstance(plugins, list) else [plugins] if plugins else []
        super().__init__(
            precision=chosen, plugins=_with_own_plugins(plugins), log_every_n_steps=log_every_n_steps, **options
        )
        self._checkpoint_connector = CheckpointConnector(self)
        if options.get("profiler") is None:
            self.profiler = NoProfiler()
        limits = self.fit_loop
        self.fit_loop = FitLoop(self, limits.min_epochs, limits.max_epochs)
        self.fit_loop.epoch_loop = EpochLoop(self, limits.min_steps, limits.max_steps)

    def _choose_precision(self, precision: Precision, device: str) -> Any:
        """Lightning's name of the precision. `precision_reason` says why `auto` has chosen it."""
        self.precision_reason = ""
        if precision == "auto":
            natively, self.precision_reason = native_bfloat16(device)
            precision = "bf16-mixed" if natively else "32-true"
        chosen: Any = SHORT.get(str(precision), precision)
        if device == "mps" and chosen == "64-true":
            raise UserError("--trainer.precision 64-true: Apple's GPUs have no float64; give 32-true or auto")
        return chosen

    @property
    def log_every_n_steps(self) -> int:
        """The option if it was given, else a tenth of an epoch, rounded down, from 1 to 50."""
        if self._every_n_steps is not None or self._without_logs:
            return self._every_n_steps or 0
        steps = self.num_training_batches / self.accumulate_grad_batches  # infinite until there is a loader
        return int(max(1, min(50, steps // 10)))

    @log_every_n_steps.setter
    def log_every_n_steps(self, value: int) -> None:
        """Lightning sets its own default here, and 0 if nothing is to be logged."""
        self._without_logs = value == 0


def _with_own_plugins(plugins: list[Any]) -> list[Any]:
    """Add this project's checkpoint files and cluster environments where the user has named none."""
    if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        plugins = [*plugins, CheckpointFiles()]
    if not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        plugins = [*plugins, *_cluster_environments()]
    return plugins


class NoProfiler(PassThroughProfiler):
    """Measures nothing, with less work. Lightning asks it before each hook of each callback, 90 times in a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return NOTHING


class CheckpointConnector(_CheckpointConnector):
    """Loads no checkpoint that the caller did not name.

    Without a `ckpt_path`, Lightning loads the file of an OnExceptionCheckpoint and, on SLURM, hpc_ckpt_*.ckpt from its
    root directory. Such a file may come from another run.
    """

    def _parse_ckpt_path(self, state_fn: Any, ckpt_path: Any, model_provided: bool, model_connected: bool) -> Any:
        return ckpt_path and super()._parse_ckpt_path(state_fn, ckpt_path, model_provided, model_connected)


def _cluster_environments() -> list[ClusterEnvironment]:
    """How the processes of a run know each other; empty if Lightning finds it out."""
    launch = external_launch()
    if launch is not None and launch.launcher == "srun":
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(launch.processes))  # which Lightning wants
        # Lightning's own requeueing saves in the middle of a step, where the next run of any kind would find it.
        return [SLURMEnvironment(auto_requeue=False)]
    # In a batch script without srun, Lightning would wait for tasks that srun has not started.
    return [LightningEnvironment()] if launch is None and SLURMEnvironment.detect() else []


def is_logged_step(trainer: Trainer) -> bool:
    """Whether the current optimizer step, which is not counted yet, writes its metrics to the loggers."""
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every and (trainer.global_step + 1) % every == 0) or trainer.should_stop


def device_type(accelerator: Any) -> str:
    """Return torch's name for the devices of Lightning's `accelerator`."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator == "auto":
        return "mps" if torch.backends.mps.is_available() else "cpu"
    return str(accelerator)
