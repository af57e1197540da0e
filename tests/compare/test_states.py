"""main.py compare: runs that have not finished, are broken, were resumed or have a seed twice."""

import json
from pathlib import Path

import numpy as np

from project.compare.answers import read_answers
from project.compare.runs import read_run
from project.runs.directories import lock_run
from tests.compare.runs import Printed, cells, config, write_logits, write_run


def test_runs_with_a_seed_twice_and_resumed_ones(printed: Printed) -> None:
    for place, (seed, accuracy) in enumerate(((0, 0.5), (1, 0.7), (0, 0.6))):
        write_run(f"lightning_logs/try/version_{place}", config(seed), {"test/accuracy": accuracy})
    lines = printed()
    assert cells(lines[1])[:3] == ["try/version_1-2", "0-1 (n = 2)", "65.00 ± 7.07 %"]
    assert lines[-1] == "try/version_0: left out of the means, since try/version_1-2 has the same settings and seeds"
    longer = config(3)
    longer["trainer"]["max_epochs"] = 5
    run = write_run("lightning_logs/try/version_3", longer, {"test/accuracy": 0.8})
    (run / "config-2.yaml").write_text(json.dumps(config(3)))
    header, best, *_ = map(cells, printed())
    assert best[header.index("resumed")] == "trainer.max_epochs 5 -> 10"
    (run / "results.json").write_text('{"test/accuracy": 0.8, "steps": 20}')  # metrics.csv goes on until step 30
    assert read_run(run).state == "unfinished, epoch 3 of 10"
    with lock_run(Path("lightning_logs/try/version_1")):
        assert read_run(Path("lightning_logs/try/version_1")).state == "running, epoch 3 of 10"


def test_unfinished_and_broken_runs_are_shown(printed: Printed) -> None:
    write_run("lightning_logs/good/version_0", figures={"test/accuracy": 0.5})
    unfinished = write_run("lightning_logs/unfinished/version_0")
    running = write_run("lightning_logs/running/version_0")
    broken = {
        name: write_run(f"lightning_logs/broken/{name}", figures={"test/accuracy": 0.9})
        for name in ("config", "cut", "list", "results", "object", "bytes", "table", "nested")
    }
    (broken["config"] / "config.yaml").write_text("trainer: {max_epochs: 3")
    (broken["cut"] / "config.yaml").write_text("seed_everything: 0\ntrainer:\n  max_epochs: 3\n")
    (broken["list"] / "config.yaml").write_text("- 1\n")
    (broken["results"] / "results.json").write_text('{"test/accuracy": 0.')
    (broken["object"] / "results.json").write_text("[]")
    (broken["bytes"] / "results.json").write_bytes(b"\xff\xfe")
    (broken["table"] / "results.json").unlink()
    (broken["table"] / "metrics.csv").write_text("epoch,step,val/accuracy\nsoon,1,0.5\n")
    (broken["nested"] / "config.yaml").write_text("a: &a {b: *a}\n" + (unfinished / "config.yaml").read_text())
    Path("lightning_logs/version_0").mkdir()
    Path("lightning_logs/version_1").mkdir()
    Path("lightning_logs/version_1/hparams.yaml").write_text("{}\n")
    with lock_run(running):
        rows = {row[0]: row[1:] for row in map(cells, printed("lightning_logs"))}
    assert rows["good/version_0"] == ["0", "50.00 %"]
    assert rows["unfinished/version_0"] == ["0", "75.00 %", "unfinished, epoch 3 of 10"]
    assert rows["running/version_0"] == ["0", "75.00 %", "running, epoch 3 of 10"]
    expected = {
        "config": "config.yaml is cut or damaged",
        "cut": "config.yaml: it has no model: it is cut, or of another project",
        "list": "config.yaml: it has no settings",
        "results": "results.json is cut or damaged",
        "object": "results.json: its content is none of this project",
        "bytes": "results.json: its content is none of this project",
        "table": "metrics.csv: its content is none of this project",
        "nested": "config.yaml: its content is none of this project",
    }
    assert {name: rows[f"broken/{name}"][-1] for name in expected} == {
        name: f"broken: {problem}" for name, problem in expected.items()
    }
    assert rows["lightning_logs/version_0"] == ["broken: the directory is empty"]
    assert rows["lightning_logs/version_1"] == ["broken: no config.yaml: it is no run of this project"]
    assert read_run(running).state == "unfinished, epoch 3 of 10"


def test_a_file_that_is_cut_anywhere_gives_no_traceback() -> None:
    run = write_run("try/version_0", figures={"test/accuracy": 0.9, "steps": 30})
    write_logits(run, np.eye(3), np.arange(3))
    for file in ("config.yaml", "environment.yaml", "results.json", "test.npz", "metrics.csv"):
        content = (run / file).read_bytes()
        for end in range(0, len(content), 13):
            (run / file).write_bytes(content[:end])
            found = read_run(run)
            if file == "results.json" or (file == "config.yaml" and end < len(content) - len("ckpt_path: null\n")):
                assert found.problem.startswith(file)
            assert isinstance(read_answers([run]), str) == (file == "test.npz")
        (run / file).write_bytes(content)
        if file == "results.json":
            (run / file).unlink()  # then metrics.csv is read


def test_what_chooses_the_checkpoint_is_shown_of_an_unfinished_run() -> None:
    settings = config()
    settings["checkpoints"] = {"monitor": "val/loss", "mode": None}
    run = write_run("try/version_0", settings)
    assert read_run(run).figures == {"val/loss": 0.25}
    with (run / "metrics.csv").open("a") as file:
        file.write("4,40,0.9")  # a row that a kill has cut
    assert read_run(run).progress == "epoch 3 of 10"
