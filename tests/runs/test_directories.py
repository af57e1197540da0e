"""Names and places of runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from project.runs import directories as runs
from project.system.errors import UserError


def test_each_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: runs.create_run(tmp_path, "net", {"config.yaml": "a: 1\n"}), range(24)))
    assert all((path / "config.yaml").read_text() == "a: 1\n" for path in made)
    assert sorted(path.name for path in made) == sorted(f"version_{number}" for number in range(24))


def test_the_next_number_follows_the_highest(tmp_path: Path) -> None:
    for name in ("version_9", "version_10", "version_x", "notes"):
        (tmp_path / "net" / name).mkdir(parents=True)
    made = runs.create_run(tmp_path, "net", {})
    assert made.name == "version_11"
    assert made.stat().st_mode & 0o777 == 0o755  # not for its owner alone


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


def test_only_one_process_trains_a_run(tmp_path: Path) -> None:
    held = runs.lock_run(tmp_path)
    with pytest.raises(UserError, match="another process is training"):
        runs.lock_run(tmp_path)
    held.release()
    runs.lock_run(tmp_path).release()
