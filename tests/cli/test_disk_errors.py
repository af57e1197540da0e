"""A directory that cannot be written ends a command in one line."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from project.cli.messages import user_message
from tests.cli.test_errors import CONFIGS, QUICK


def test_log_directory_that_cannot_be_written(error: Callable[..., str]) -> None:
    Path("taken").write_text("a file")
    assert "taken/lightning_logs cannot be written" in error("fit", *QUICK, "--trainer.default_root_dir", "taken")


def test_disks_that_cannot_be_written() -> None:
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EPERM", "EROFS", "EIO"):
        reason = os.strerror(code := getattr(errno, name))
        assert (
            user_message(OSError(code, reason, "run/metrics.csv"))
            == f"run/metrics.csv: {reason}; mend that, then resume"
        )


def test_data_directory_that_cannot_be_written(error: Callable[..., str]) -> None:
    Path("taken").write_text("a file")
    line = error("fit", "--config", str(CONFIGS / "mlp.yaml"), "--data.data_dir", "taken/data")
    assert "--data.data_dir taken/data: cannot be written" in line
    assert not list(Path().glob("lightning_logs/*/*"))
