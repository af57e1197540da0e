"""How many threads compute."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from project.system import control_groups, threads
from project.system.memory import total_bytes
from project.system.threads import usable_cores
from tests.conftest import REPOSITORY

VERSION_2 = {"job/step/cpu.max": "max 100000", "job/cpu.max": "350000 100000", "job/memory.max": "1000000"}
VERSION_1 = {
    "cpu/cpu.cfs_quota_us": "-1",
    "cpu/cpu.cfs_period_us": "100000",
    "cpu/job/cpu.cfs_quota_us": "150000",
    "cpu/job/cpu.cfs_period_us": "100000",
    "memory/memory.limit_in_bytes": "2000000",
}
CONTAINER = {"cpu.max": "50000 100000"}  # whose files are those of the root, whatever the group's name outside


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine of eight cores with control groups."""

    def build(lines: str = "0::/", files: dict[str, str] | None = None, **environment: str) -> None:
        (tmp_path / "cgroup").write_text(lines)
        for name, text in (files or {}).items():
            (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "groups" / name).write_text(f"{text}\n")
        monkeypatch.setattr(control_groups, "GROUPS_OF_PROCESS", tmp_path / "cgroup")
        monkeypatch.setattr(control_groups, "ROOT", tmp_path / "groups")
        for name in (threads.OPENMP, "MKL_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(threads, "_allowed_cores", lambda: 8)

    return build


@pytest.mark.parametrize(
    ("lines", "files", "slurm", "expected"),
    [
        ("0::/", {}, "", 8),
        ("0::/", {}, "3", 3),
        ("0::/", {}, "16", 8),
        ("0::/job/step", VERSION_2, "", 3),
        ("0::/elsewhere/job", CONTAINER, "4", 1),
        ("5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/", VERSION_1, "", 1),
    ],
)
def test_usable_cores(
    machine: Callable[..., None], lines: str, files: dict[str, str], slurm: str, expected: int
) -> None:
    machine(lines, files, **({"SLURM_CPUS_PER_TASK": slurm} if slurm else {}))
    assert usable_cores() == expected


@pytest.mark.parametrize(("line", "files", "expected"), [("0::/job", VERSION_2, 1e6), ("4:memory:/a", VERSION_1, 2e6)])
def test_memory_of_a_control_group(
    machine: Callable[..., None], line: str, files: dict[str, str], expected: float
) -> None:
    machine(line, files)
    assert total_bytes() == expected


@pytest.mark.parametrize(("version", "expected"), [("sched_getaffinity", 5), ("cpu_count", 6)])
def test_cores_before_python_3_13(monkeypatch: pytest.MonkeyPatch, version: str, expected: int) -> None:
    functions = {"sched_getaffinity": lambda pid: set(range(5)), "cpu_count": lambda: 6}
    monkeypatch.setattr(threads, "os", SimpleNamespace(environ={}, **{version: functions[version]}))
    monkeypatch.setattr(threads, "_allowed_cores", threads._allowed_cores.__wrapped__)  # without its cache
    monkeypatch.setattr(control_groups, "GROUPS_OF_PROCESS", Path("missing"))
    assert usable_cores() == expected


def test_torch_has_the_number_in_the_block(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    used = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[-1])
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    machine("0::/job", VERSION_2)
    with threads.threads():
        assert (used[-1], os.environ.get(threads.OPENMP)) == (3, None)  # the launcher divides the cores
    with threads.threads(5):
        assert (used[-1], os.environ[threads.OPENMP]) == (5, "5")
    assert (used, os.environ.get(threads.OPENMP)) == ([8, 3, 8, 5, 8], None)
    with threads.threads(processes=2):
        assert (used[-1], os.environ[threads.OPENMP]) == (1, "1")
    machine(SLURM_CPUS_PER_TASK="4")  # of each process
    with threads.threads(processes=2):
        assert used[-1] == 4
    machine("0::/job", VERSION_2, OMP_NUM_THREADS="8")
    with threads.threads():
        assert used[-1] == 8


def test_torch_that_is_not_imported_finds_the_number(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "sys", SimpleNamespace(modules={}))
    machine()
    with threads.threads():
        assert threads.OPENMP not in os.environ  # torch knows better
    machine("0::/job", VERSION_2)
    with threads.threads():
        assert os.environ[threads.OPENMP] == "3"
    with threads.threads(5):
        assert os.environ[threads.OPENMP] == "5"
    assert threads.OPENMP not in os.environ


@pytest.mark.skipif(sys.platform != "linux" or usable_cores() == 1, reason="needs Linux and two cores")
def test_bound_threads_are_more_than_one(digits: Callable[..., list[str]]) -> None:
    """With OMP_PROC_BIND=true, OpenMP binds the first thread to one core when torch is imported."""
    command = [sys.executable, str(REPOSITORY / "scripts/main.py"), "fit", *digits(), "--trainer.max_steps", "1"]
    variables = {name: value for name, value in os.environ.items() if name != threads.OPENMP}
    variables |= {"OMP_PROC_BIND": "true", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert re.search(r", \d+ threads, ", done.stdout)
