"""Names and places of runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from project.checkpoints.files import read, write
from project.runs import directories as runs
from project.system.errors import UserError


def test_each_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: runs.create(tmp_path, "net", {"config.yaml": "a: 1\n"}), range(24)))
    assert all((path / "config.yaml").read_text() == "a: 1\n" for path in made)
    assert sorted(path.name for path in made) == sorted(f"version_{number}" for number in range(24))


def test_the_next_number_follows_the_highest(tmp_path: Path) -> None:
    for name in ("version_9", "version_10", "version_x", "notes"):
        (tmp_path / "net" / name).mkdir(parents=True)
    made = runs.create(tmp_path, "net", {})
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


def checkpoint(path: Path, step: int) -> None:
    write({"state_dict": {}, "epoch": 0, "global_step": step, "loops": {}}, path)


def test_newest_run_with_a_checkpoint(tmp_path: Path) -> None:
    for number in (2, 9, 10):
        checkpoint(tmp_path / f"net/version_{number}/checkpoints/last.ckpt", number)
    (tmp_path / "net/version_11").mkdir()
    assert runs.find_checkpoint(tmp_path, "net", "last", [])[0].parts[-3] == "version_10"
    own = [tmp_path / "net/version_9/config.yaml"]
    assert runs.find_checkpoint(tmp_path, "net", "last", own)[0].parts[-3] == "version_9"
    with pytest.raises(UserError, match=r"--ckpt_path best: no run in .*net has a checkpoint"):
        runs.find_checkpoint(tmp_path, "net", "best", [])


def test_the_run_to_resume_is_the_newest_that_began(tmp_path: Path) -> None:
    assert runs.to_resume(tmp_path, "net", []) is None
    made = [runs.create(tmp_path, "net", {"config.yaml": ""}) for _ in range(11)]
    (tmp_path / "net/version_20").mkdir()
    assert runs.to_resume(tmp_path, "net", []) == made[10]
    assert runs.to_resume(tmp_path, "other", [made[3] / "config.yaml"]) == made[3]


def newest(run: Path) -> Path:
    found = runs.newest_whole(run)
    assert found is not None
    assert found[1] == read(found[0])
    return found[0]


def test_the_newest_whole_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.newest_whole(tmp_path) is None
    last, previous, best = (tmp_path / f"checkpoints/{name}.ckpt" for name in ("last", "previous", "best"))
    for step, path in enumerate((previous, best, last), 1):
        checkpoint(path, step)
    assert newest(tmp_path) == last
    assert capsys.readouterr().out == ""
    last.write_bytes(last.read_bytes()[:-100])
    assert newest(tmp_path) == best
    assert "last.ckpt: not a whole checkpoint" in (said := capsys.readouterr().out)
    assert said.endswith(f"going on from {best}, step 2\n")
    best.unlink()
    last.unlink()
    assert newest(tmp_path) == previous
    previous.write_bytes(b"")
    with pytest.raises(UserError, match="there is no such file"):
        runs.newest_whole(tmp_path)


def test_only_one_process_trains_a_run(tmp_path: Path) -> None:
    held = runs.lock(tmp_path)
    with pytest.raises(UserError, match="another process is training"):
        runs.lock(tmp_path)
    held.release()
    runs.lock(tmp_path).release()
