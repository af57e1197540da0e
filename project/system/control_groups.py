"""Linux's control groups, which limit the memory and the computing time of a container or of a SLURM job."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS_OF_PROCESS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


def limits(controller: str, *files: tuple[str, ...]) -> Iterator[list[int]]:
    """The numbers of each limit of this process: of its own control group and of all groups around it.

    Args:
        controller: memory or cpu.
        files: The files of one limit, for version 2 of control groups, then those for version 1.
    """
    for group in _groups(controller):
        for names in files:
            with suppress(OSError, ValueError):  # no such file, or the word max
                yield [int(word) for name in names for word in (group / name).read_text("utf-8").split()]


def _groups(controller: str) -> Iterator[Path]:
    """Directories of the groups; some do not exist inside a container."""
    lines = GROUPS_OF_PROCESS.read_text("utf-8").splitlines() if GROUPS_OF_PROCESS.exists() else []
    for line in lines:  # such as 4:cpu,cpuacct:/job of version 1, and 0::/job of version 2
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            group = ROOT / (controller if controllers else "") / path.lstrip("/")
            yield from (group, *group.parents)
