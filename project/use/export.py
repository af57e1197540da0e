"""Export of a trained network, with the proof that what was exported answers as the network does."""

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from project.runs.directories import ENVIRONMENT
from project.system.errors import UserError
from project.system.files import output_errors
from project.use.formats import Answer, Format, ImagesToProbabilities, Onnx, Pt2, Safetensors
from project.use.model_card import model_card, project_version
from project.use.predictor import Predictor, make_predictor
from project.use.validation_images import validation_images

IMAGES = 1000  # on which the exported network is compared
BATCH = 64  # images; the last batch of 1,000 is smaller, so the comparison also tries another number
# The largest difference of a probability that rounding explains. Sums in another order change it by about 1e-6, and by
# 1e-4 if the logits are in the hundreds. A wrong normalisation changes it by far more.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Comparison:
    """The answers of an exported network beside those of the network itself, in float32 on a CPU."""

    images: int
    """Number of images."""
    source: str
    """What these images are."""
    equal_answers: int
    """Number of images to which both give the same class."""
    largest_difference: float
    """Of a probability, over all images and classes."""

    def __str__(self) -> str:
        return (
            f"{self.equal_answers:,} of {self.images:,} answers equal on {self.source}, "
            f"largest difference of a probability {self.largest_difference:.1e}"
        )


@dataclass(frozen=True)
class Export:
    """What to export, and where to."""

    path: Path
    """A checkpoint file, or an exported model.safetensors."""
    checkpoint: Mapping[str, Any]
    """Its content."""
    to: str
    """onnx, pt2 or safetensors."""
    output: Path
    """The file or directory to write; one that exists is replaced."""
    floats: bool = False
    """The exported network takes floats from 0 to 1, not uint8."""
    data_dir: Path | None = None
    """Where the data is now; None takes the directory of the training."""
    allow: tuple[str, ...] = ()
    """Modules of your own that the checkpoint may import."""

    def write(self) -> Comparison | None:
        """Write the output, whole or not at all, and print how it compares. None if the network cannot be made.

        Raises:
            UserError: the output cannot be written, the network cannot be exported, or it answers otherwise.
        """
        predictor = self._predictor()
        pixels, source = self._images() if predictor else (torch.empty(0), "")
        form = self._format(predictor, pixels)
        with (
            output_errors(self.output),
            TemporaryDirectory(prefix=f".{self.output.name}.", dir=self.output.parent) as directory,
        ):
            unfinished = Path(directory, self.output.name)
            metadata = self._metadata()
            _write(unfinished, form.content(metadata))
            comparison = None
            if predictor:
                comparison = compare(predictor, form.open(unfinished), pixels, source)
                _check_equal(self.to, comparison)
                _write(unfinished, form.content({**metadata, "comparison": asdict(comparison)}))
            _move(unfinished, self.output)
        if comparison:
            print(f"{self.to}: {comparison}", flush=True)
        print(f"exported {self.output}", flush=True)
        return comparison

    def _predictor(self) -> Predictor | None:
        """The network to export. Its weights alone can be exported if its class cannot be imported."""
        try:
            return make_predictor(self.checkpoint, allow=self.allow)
        except UserError as error:
            if self.to != "safetensors":
                raise
            print(f"the weights are exported without a comparison: {error}", flush=True)
            return None

    def _images(self) -> tuple[Tensor, str]:
        """Images [N, H, W, C], and what they are."""
        try:
            pixels, source = validation_images(self.checkpoint, IMAGES, self.data_dir, self.allow)
        except UserError as error:
            problem = str(error).replace("--data.data_dir", "--data_dir")  # as in fit; this command has the short name
            print(f"random images are used: {problem}; if the data is elsewhere, give --data_dir", flush=True)
            channels, height, width = self.checkpoint["data"]["image_shape"]
            size = (IMAGES, height, width, channels)
            pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
            source = "random images"
        return (pixels / 255 if self.floats else pixels), source

    def _format(self, predictor: Predictor | None, pixels: Tensor) -> Format:
        if predictor is None or self.to == "safetensors":
            run = self.path.absolute().parent.parent
            known_run = run if (run / ENVIRONMENT).exists() else None
            parameters = sum(part.numel() for part in predictor.network.parameters()) if predictor else None
            card = model_card(self.checkpoint, known_run, self.output.absolute().name, parameters)
            return Safetensors(self.checkpoint, card, self.allow)
        try:
            program = trace(ImagesToProbabilities(predictor), torch.zeros_like(pixels[:2]))
            return Onnx(program) if self.to == "onnx" else Pt2(program)
        except UserError:
            raise
        except Exception as error:  # torch.export has no exception of its own
            kind, problem = type(predictor.network).__name__, next(iter(str(error).strip().splitlines()), "")
            remedy = "--to safetensors exports its weights"
            raise UserError(f"--to {self.to}: {kind} cannot be exported ({problem}); {remedy}") from None

    def _metadata(self) -> dict[str, Any]:
        data, run_keys = self.checkpoint["data"], ("experiment", "figures", "environment", "calibration")
        channels, height, width = data["image_shape"]
        return {
            "project": project_version(),
            **{name: self.checkpoint[name] for name in run_keys if name in self.checkpoint},
            "class_names": data["class_names"],
            "input": {
                "shape": ["N", height, width, channels],
                "type": "float32 from 0 to 1" if self.floats else "uint8 from 0 to 255",
            },
            "output": "probabilities [N, classes]",
            "preparation": data["preparation"],
            "normalisation": {"mean": data["mean"], "std": data["std"], "inside": True},
        }


def trace(network: nn.Module, example: Tensor) -> ExportedProgram:
    """The network as a program of torch.export that takes any number of images.

    Args:
        network: In evaluation mode.
        example: Two or more images [N, H, W, C].
    """
    with torch.no_grad(), redirect_stderr(io.StringIO()):  # torch.export prints the graph of what it cannot export
        program = torch.export.export(network.eval(), (example,), dynamic_shapes={"images": {0: Dim("N")}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it has paths of this machine
    return program


@torch.inference_mode()
def compare(predictor: Predictor, answer: Answer, pixels: Tensor, source: str) -> Comparison:
    """Compare the answers of an exported network with the network's, on images [N, H, W, C]."""
    expected = predictor.probabilities(pixels.numpy())
    answers = torch.cat([answer(batch) for batch in torch.split(pixels, BATCH)])
    equal = int((answers.argmax(1) == expected.argmax(1)).sum())
    return Comparison(len(pixels), source, equal, (answers - expected).abs().max().item())


def _check_equal(to: str, comparison: Comparison) -> None:
    if not comparison.largest_difference <= ROUNDING:  # false for nan, too
        raise UserError(
            f"--to {to}: the exported network does not answer as the network does ({comparison}); nothing is written"
        )


def _write(path: Path, content: Mapping[str, bytes]) -> None:
    """Write a file, or a directory of files."""
    for name, part in content.items():
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(part)


def _move(unfinished: Path, target: Path) -> None:
    """Move a file or directory to its place. Other files of a directory that exists stay."""
    if not (target.is_dir() and any(target.iterdir())):
        unfinished.replace(target)
        return
    for file in unfinished.iterdir():
        file.replace(target / file.name)
