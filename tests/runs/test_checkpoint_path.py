"""What --ckpt_path and project.load take."""

import os
from pathlib import Path

import pytest

from project.runs.checkpoint_path import find_path
from project.runs.directories import create_run
from project.system.errors import UserError


def run(root: Path, experiment: str, *names: str, time: int) -> Path:
    directory = create_run(root, experiment, {"environment.yaml": ""})
    (directory / "checkpoints").mkdir()
    for name in names:
        file = directory / f"checkpoints/{name}.ckpt"
        file.touch()
        os.utime(file, (time, time))
    return directory


def test_what_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "lightning_logs"
    old = run(root, "net", "best", "last", time=1)
    new = run(root, "net", "last", time=2)
    run(root, "net", time=3)
    other = run(root, "other", "best", "last", time=4)
    best, last = (old / f"checkpoints/{name}.ckpt" for name in ("best", "last"))
    only = new / "checkpoints/last.ckpt"
    assert find_path(str(best), root) == best
    assert capsys.readouterr().out == ""
    for value, meant in ((str(old), best), (str(new), only), (str(root / "net"), only), ("net", only)):
        assert find_path(value, root) == meant
    assert find_path("last", root, "net") == find_path("best", root, "net") == only
    assert capsys.readouterr().out.splitlines()[-1] == f"checkpoint {only}, since the run has no best.ckpt"
    assert find_path("best", root) == find_path("other", root) == other / "checkpoints/best.ckpt"
    assert capsys.readouterr().out.splitlines()[-1] == f"checkpoint {other / 'checkpoints/best.ckpt'}"
    os.utime(best, (9, 9))  # as after a later test of the older run
    assert find_path("last", root, "net") == only
    moved = old.rename(tmp_path / "moved")
    assert find_path(str(moved), root) == moved / "checkpoints/best.ckpt"
    assert last.name == "last.ckpt"


@pytest.mark.parametrize("value", ["best", "last", "net", "empty"])
def test_nothing_is_there(tmp_path: Path, value: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"--ckpt_path {value}: no run in .* has a checkpoint; train one first"):
        find_path(value, tmp_path)
