"""main.py export, where something is in the way: an output that exists, a full disk, an answer that differs."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import project
from project.checkpoints.files import write
from project.cli.main import main
from project.system.errors import UserError
from project.use import export
from project.use.export import compare

for package in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
    pytest.importorskip(package, reason="pip install -e '.[export]'")
OUTPUTS = {"onnx": "output.onnx", "pt2": "output.pt2", "safetensors": "output"}


@pytest.mark.parametrize("form", ["pt2", "safetensors"])
def test_an_output_is_replaced_only_with_force(form: str, small: dict[str, Any], error: Callable[..., str]) -> None:
    output = OUTPUTS[form]
    words = ["export", "--ckpt_path", "small.ckpt", "--to", form, "--output", output]
    main(words)
    first = contents(Path(output))
    assert error(*words) == f"--output {output}: it exists; name another, or replace it by --force"
    assert contents(Path(output)) == first
    small["state_dict"]["network.1.weight"] += 1
    write(small, Path("small.ckpt"))
    main([*words, "--force"])
    assert contents(Path(output)) != first
    assert sorted(path.name for path in Path().iterdir()) == [output, "small.ckpt"]


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("form", OUTPUTS)
def test_outputs_that_cannot_be(form: str, small: dict[str, Any], error: Callable[..., str]) -> None:
    words = ["export", "--ckpt_path", "small.ckpt", "--to", form, "--output"]
    for folder in ("no", "small.ckpt"):
        output = f"{folder}/{OUTPUTS[form]}"
        assert error(*words, output) == f"--output {output}: there is no directory {folder}; make it, or name another"
    if form != "safetensors":
        assert error(*words, "output.txt") == f"--output output.txt: give a name that ends in .{form}"
    Path("other").mkdir()
    Path("other/file").touch()
    wrong = "small.ckpt" if form == "safetensors" else "other"
    assert f"--output {wrong}: it is a " in error(*words, wrong, "--force")


@pytest.mark.parametrize("form", ["pt2", "safetensors"])
@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_no_half_file(
    form: str, force: bool, small: dict[str, Any], error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = OUTPUTS[form]
    words = ["export", "--ckpt_path", "small.ckpt", "--to", form, "--output", output]
    before = {}
    if force:
        main(words)
        before = contents(Path(output))

    def write_half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    line = f"--output {output}: it cannot be written (No space left on device); mend that, or name another"
    assert error(*words, "--force") == line
    assert sorted(path.name for path in Path().iterdir()) == [*([output] if force else []), "small.ckpt"]
    assert not force or contents(Path(output)) == before


def test_an_answer_that_differs_removes_the_file(
    small: dict[str, Any], error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        export.ImagesToProbabilities,
        "forward",
        lambda self, images: self.network(  # not normalised
            (images / 255).permute(0, 3, 1, 2)
        ).softmax(1),
    )
    line = error("export", "--ckpt_path", "small.ckpt", "--to", "pt2")
    assert line.startswith("--to pt2: the exported network does not answer as the network does (")
    assert line.endswith("); nothing is written")
    assert [path.name for path in Path().iterdir()] == ["small.ckpt"]


def test_answers_that_are_not_numbers_differ(small: dict[str, Any]) -> None:
    predictor = project.load("small.ckpt")
    images = torch.zeros(3, 32, 32, 3, dtype=torch.uint8)
    comparison = compare(predictor, lambda batch: torch.full((len(batch), 10), torch.nan), images, "")
    with pytest.raises(UserError, match="does not answer"):
        export._check_equal("onnx", comparison)


def test_a_network_that_torch_cannot_export_ends_in_a_line(
    small: dict[str, Any], error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("branching.py").write_text(
        "import torch\n"
        "class Network(torch.nn.Module):\n"
        "    def forward(self, images):\n"
        "        return images.mean((2, 3)) if images.sum().item() > 0 else images.amax((2, 3))\n"
    )
    monkeypatch.syspath_prepend(Path.cwd())
    small |= {"network": {"class_path": "branching.Network", "init_args": {}}, "state_dict": {}}
    small["data"]["class_names"] = ["a", "b", "c"]
    write(small, Path("small.ckpt"))
    line = error("export", "--ckpt_path", "small.ckpt", "--to", "pt2", "--allow", "branching")
    assert line.startswith("--to pt2: Network cannot be exported (")
    assert line.endswith("); --to safetensors exports its weights")


def test_the_extra_is_named_where_it_is_missing(
    small: dict[str, Any], error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("project.cli.export.find_spec", lambda name: None)
    line = error("export", "--ckpt_path", "small.ckpt", "--to", "onnx")
    assert line == "--to onnx: onnx is not installed: pip install -e '.[export]'"
