"""Each command of the README and of the pages in docs/ is run as it stands there, on tiny data."""

import importlib.util
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from project.cli.commands import tool_module
from project.cli.main import main
from tests.conftest import CONFIGS, REPOSITORY
from tests.data_sets import write_cifar10
from tests.test_configs import SMALL

README = (REPOSITORY / "README.md").read_text()
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
GUIDE = "".join(page.read_text() for page in PAGES)
OTHERS = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "configs/README.md")]
QUICK = [*SMALL, "--trainer.limit_train_batches", "2"]
MY_NETWORK = """from project.networks import MLP

class MyNetwork(MLP):
    def __init__(self, num_classes: int, width: int):
        super().__init__(num_classes, hidden=[width])
"""


def commands(script: str) -> list[str]:
    """What follows `script` in each line of a block that has it, once, in their order."""
    lines = (README + GUIDE).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.match(rf"(pip .* && )?python {script}", line)]
    return list(dict.fromkeys(shlex.join(line[line.index(script) + 1 :]) for line in words))


@pytest.fixture(scope="module")
def convnet_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an experiment with one run, from which a command goes on."""
    folder = tmp_path_factory.mktemp("convnet")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        write_cifar10(folder / "data", patched)
        main(["fit", "--config", str(CONFIGS / "convnet.yaml"), *QUICK])
    return folder / "lightning_logs/convnet"


@pytest.mark.parametrize("command", commands("scripts/main.py"), ids=str)
def test_command(command: str, cifar10_dir: Path, convnet_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    Path("configs").symlink_to(CONFIGS)
    Path("mynetwork.py").write_text(MY_NETWORK)
    Path("photos").mkdir()
    for photograph in ("cat.jpg", "photos/1.png"):
        Image.new("RGB", (40, 50)).save(photograph)
    experiments = ["convnet"] if words[0] == "compare" or "--ckpt_path" in words else []
    experiments += [words[words.index("--model.weights") + 1]] if "--model.weights" in words else []
    experiments += ["mlp-search"] if "lightning_logs/mlp-search" in command else []
    for experiment in experiments:
        shutil.copytree(convnet_runs, f"lightning_logs/{experiment}")
    if "mlp-search" in experiments:
        Path("lightning_logs/mlp-search/best.yaml").write_text("model: {optimizer: {init_args: {lr: 0.01}}}")
    data = [] if "configs/data/digits.yaml" in words else ["--data.data_dir", str(cifar10_dir)]
    small = [*QUICK, "--trainer.max_epochs", "2" if "last" in words else "1"]
    if tool_module(words) or any(word == "--help" or word.endswith(".help") for word in words):
        data = small = []
    if words[0] == "search":
        small = [*QUICK, "--trainer.max_epochs", "1", "--trials", "1"]
    with suppress(SystemExit):  # --help and --print_config end so, and a mistake with its error line
        main([*words, *data, *small])
    assert "error:" not in capsys.readouterr().err


def door(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", commands("scripts/benchmark.py"), ids=str)
def test_benchmark_is_asked_for(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each measures is run in tests/benchmarks."""
    module, name = door("benchmark"), command.partition(" ")[0]
    asked: list[str] = []
    monkeypatch.setattr(f"project.benchmarks.{name}.measure", lambda **options: asked.append(name))
    module.main(shlex.split(command))
    assert asked == [name]


@pytest.mark.parametrize("command", commands("scripts/figures.py"), ids=str)
def test_figure_is_asked_for(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is drawn in tests/figures."""
    module, asked = door("figures"), []
    monkeypatch.setattr(module, "drawing", lambda name: lambda data_dir: asked.append(name))
    module.main(shlex.split(command))
    assert asked == ([*module.PICTURES] if command == "all" else [command])


def test_commands_are_found() -> None:
    counts = [len(commands(f"scripts/{name}.py")) for name in ("main", "benchmark", "figures")]
    assert min(counts) >= 8


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives to the headings: lower case, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*OTHERS, *PAGES], ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_have_their_targets(page: Path) -> None:
    missing = []
    for link in re.findall(r"\]\((?!https?:)([^()\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


def test_figures_have_their_commands() -> None:
    for command in ("article --seeds", "seeds --config configs/mlp.yaml"):
        assert f"scripts/benchmark.py {command}" in README + GUIDE


def test_workflow_runs_the_install_commands() -> None:
    text = (REPOSITORY / ".github/workflows/tests.yml").read_text()
    job = yaml.safe_load(text)["jobs"]["tests"]
    steps = [step.get("run") for step in job["steps"]]
    assert [line for line in README.splitlines() if line.startswith("pip install -e")] == steps[2:]
    assert {name.partition("-")[0] for name in job["strategy"]["matrix"]["system"]} == {"ubuntu", "macos", "windows"}
    assert job["strategy"]["matrix"]["python"][:3] == ["3.11", "3.12", "3.13"]
    assert "secrets" not in text
