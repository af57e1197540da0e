"""Outputs that cannot be written: one line that names the option, and no half file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from project.cli.main import main
from tests.cli.test_predict_images_errors import small_files
from tests.compare.runs import write_run
from tests.conftest import REPOSITORY


@pytest.fixture
def run() -> Path:
    return write_run("lightning_logs/mlp/version_0", figures={"test/accuracy": 0.5})


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no directory in which even root can write nothing")
@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["compare", "--html"], "--html /proc/x.html"),
        (["compare", "--csv"], "--csv /proc/x.csv"),
        (["compare", "--csv"], f"--csv {'x' * 300}.csv"),
        (["predict", "--ckpt_path", "none.ckpt", "--images", "none", "--output"], "--output /proc/x.csv"),
        (["predict", "--ckpt_path", "none.ckpt", "--images", "none", "--output"], f"--output {'x' * 300}.csv"),
        (["inspect", "--data", "Digits", "--output"], "--output /proc/x"),
    ],
)
@pytest.mark.usefixtures("run")
def test_places_where_nothing_can_be_written(words: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words, option.split()[1]])
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {option}: it cannot be written (")
    assert printed.err.endswith("); mend that, or name another\n")
    assert printed.out == ""


@pytest.mark.parametrize("output", ["--html page.html", "--csv runs.csv"])
@pytest.mark.usefixtures("run")
def test_compare_on_a_full_disk(output: str, error: Callable[..., str]) -> None:
    option, name = output.split()
    Path(name).write_text("earlier")
    with small_files(20):
        line = error("compare", option, name, "--force")
    assert line == f"{output}: it cannot be written (File too large); mend that, or name another"
    assert Path(name).read_text() == "earlier"
    assert [path.name for path in Path().glob(".*")] == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has this device")
@pytest.mark.parametrize("words", [["compare"], ["-u", "compare"], ["compare", "--help"]])
@pytest.mark.usefixtures("run")
def test_a_full_disk_below_the_output(words: list[str]) -> None:
    code = "from project.cli.main import main; main()"
    flags = [word for word in words if word == "-u"]  # with it, Python keeps nothing to write at its end
    command = [sys.executable, *flags, "-c", code, *words[len(flags) :]]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    line = "the output of the command cannot be written (No space left on device); make room, or send it elsewhere"
    assert done.stderr == f"error: {line}\n"
    assert done.returncode == 2
