"""scripts/benchmark.py itself: its options, its help, and how it ends."""

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from project.benchmarks.fitting import CONFIGS
from tests.benchmarks.test_benchmarks import starts_processes, written_so_far
from tests.conftest import REPOSITORY


def test_unknown_option(benchmark_script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark_script.main(["loader", "--data_dir", "elsewhere"])
    assert "loader has no option --data_dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["article", "loader", pytest.param("startup", marks=[pytest.mark.slow, starts_processes])]
)
def test_data_that_cannot_be_written(
    name: str, benchmark_script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("a file")
    with pytest.raises(SystemExit, match="2"):
        benchmark_script.main([name, "--data.data_dir", "taken/data"])
    line = capsys.readouterr().err
    assert line.startswith("error: --data.data_dir taken/data: cannot be written")
    assert line.count("\n") == 1


def test_no_seed(benchmark_script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark_script.main(["seeds", "--config", str(CONFIGS / "mlp.yaml"), "--seeds", "0"])
    assert "argument --seeds: 0 is too small; give at least 1" in capsys.readouterr().err


def test_fits_in_this_process_have_the_settings_of_main(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(benchmark_script, "settle", lambda: calls.append("settled"))
    names = (
        "overhead",
        "loader",
        "startup",
        "cost",
        "resume",
        "launch",
        "damage",
        "safety",
        "gpu",
        "step",
        "seeds",
        "article",
        "use",
        "look",
        "sets",
        "scale",
    )
    modules = {name: importlib.import_module(f"project.benchmarks.{name}") for name in names}
    fitting = {"fit_in_this_process", "measure_epochs"}  # the latter calls the former
    in_this_process = [name for name, module in modules.items() if fitting & vars(module).keys()]
    assert sorted(in_this_process) == ["gpu", "loader", "overhead", "safety", "scale", "step"]
    for name, module in modules.items():
        monkeypatch.setattr(module, "measure", lambda *, name=name, **_: calls.append(name))
        benchmark_script.main([name, *(["--config", "mlp.yaml"] if name == "seeds" else [])])
    expected = [call for name in names for call in (["settled"] * (name in in_this_process) + [name])]
    assert calls == expected


def test_ctrl_c_while_it_imports() -> None:
    """Python prints a line for each module that it has imported; Ctrl-C comes after the first of torch's."""
    for script, words in {"benchmark": ["loader"], "figures": ["descent"]}.items():
        command = [sys.executable, "-X", "importtime", str(REPOSITORY / f"scripts/{script}.py"), *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            assert process.stderr is not None
            next(line for line in process.stderr if "torch" in line)
            process.send_signal(signal.SIGINT)
            *_, last = process.stderr
        assert process.returncode == 130
        assert last.startswith(f"{words[0]}: stopped by Ctrl-C; ")


def test_help_imports_no_torch() -> None:
    for script in ("benchmark", "figures"):
        command = [sys.executable, "-X", "importtime", str(REPOSITORY / f"scripts/{script}.py"), "--help"]
        process = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "argparse" in process.stderr
        assert "torch" not in process.stderr


def test_ctrl_c_ends_a_benchmark_and_its_run(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started without it
    # In place of main.py: the run with seed 0 ends, and Ctrl-C comes during the next one.
    program = (
        "import json, os, pathlib, signal, sys, time\n"
        "if sys.argv[-1] == '0':\n"
        "    figures = {'test/accuracy': 0.5, 'train_seconds': 1.0, 'fit_seconds': 1.0}\n"
        "    sys.exit(pathlib.Path(sys.argv[1]).write_text(json.dumps(figures)) and 0)\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGINT)\ntime.sleep(600)\n"
    )
    monkeypatch.setattr("project.benchmarks.fitting.PROGRAM", program)
    with pytest.raises(SystemExit) as stopped:
        benchmark_script.main(["seeds", "--config", str(CONFIGS / "mlp.yaml")])
    assert stopped.value.code == 130
    assert capfd.readouterr().err == "seeds: stopped by Ctrl-C; the same command continues after the runs that ended\n"
    assert [run["seed"] for run in written_so_far("mlp")["runs"]] == [0]
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)
