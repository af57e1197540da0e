"""The memory of the machine."""

import sys
from pathlib import Path

import pytest

from project.system.memory import total_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_whole_memory_is_that_of_the_machine_or_less() -> None:
    words = Path("/proc/meminfo").read_text().split()
    machine = 1024 * int(words[words.index("MemTotal:") + 1])
    assert machine / 1000 < total_bytes() <= machine
