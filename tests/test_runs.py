"""Names and places of runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from project import runs
from project.errors import UserError


def test_each_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: runs.create(tmp_path, "net"), range(24)))
    assert sorted(path.name for path in made) == sorted(f"version_{number}" for number in range(24))


def test_the_next_number_follows_the_highest(tmp_path: Path) -> None:
    for name in ("version_9", "version_10", "version_x", "notes"):
        (tmp_path / "net" / name).mkdir(parents=True)
    assert runs.create(tmp_path, "net").name == "version_11"


@pytest.mark.parametrize(
    ("configs", "name"),
    [
        ([], "unnamed"),
        (["configs/convnet.yaml", "configs/data/digits.yaml"], "convnet"),
        (["lightning_logs/mlp/version_3/config.yaml"], "mlp"),
    ],
)
def test_experiment_name(configs: list[str], name: str) -> None:
    assert runs.experiment_name([Path(config) for config in configs]) == name


def test_newest_run_with_a_checkpoint(tmp_path: Path) -> None:
    for number in (2, 9, 10):
        (tmp_path / f"net/version_{number}/checkpoints").mkdir(parents=True)
        (tmp_path / f"net/version_{number}/checkpoints/last.ckpt").touch()
    (tmp_path / "net/version_11").mkdir()
    assert runs.find_checkpoint(tmp_path, "net", "last").parts[-3] == "version_10"
    with pytest.raises(UserError, match=r"--ckpt_path best: no run in .*net has a checkpoint"):
        runs.find_checkpoint(tmp_path, "net", "best")
