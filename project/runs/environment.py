"""The environment of a run: versions, code, hardware, precision and data. Figures depend on it as on the options."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from project.system.memory import machine_gib
from project.system.signals import job
from project.system.threads import usable_cores

version = cache(metadata.version)  # reads a long file
PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "jsonargparse", "tensorboard", "numpy")


def environment(trainer: Trainer) -> dict[str, Any]:
    """Versions, code, hardware, precision and data of a run, as plain values."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    memory = machine_gib()
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "git": git_state(Path(__file__).parents[2]),
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": None if memory is None else round(memory, 1),
        "device": device_name(trainer),
        "job": job(),
        "processes": trainer.world_size,
        "precision": str(trainer.precision),
        "data": {
            "class": type(data).__name__,
            "sha256": data.fingerprint(),
            "classes": list(data.class_names),
            "images": data.image_counts(),  # of each class, in the order of the classes
        },
    }


def git_state(folder: Path) -> dict[str, Any]:
    """The commit that `folder` is at, and whether anything differs from it; both None outside a repository."""

    def git(*arguments: str) -> str | None:
        try:
            words = ["git", "-C", str(folder), *arguments]
            done = subprocess.run(words, capture_output=True, encoding="utf-8", check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def cpu_name() -> str:
    """As the operating system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def device_name(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def cpu_and_threads() -> str:
    count = torch.get_num_threads()
    return f"{cpu_name()}, {count} thread{'s' if count > 1 else ''}"


def summary(trainer: Trainer) -> str:
    """Where and how a run computes, in a few words."""
    device = device_name(trainer)
    place = cpu_and_threads() if device == "cpu" else device
    parameters = sum(parameter.numel() for parameter in trainer.lightning_module.parameters())
    reason = getattr(trainer, "precision_reason", "")
    because = f" (auto: {reason})" if reason else ""
    return f"{parameters:,} parameters on {place}, precision {trainer.precision}{because}"
