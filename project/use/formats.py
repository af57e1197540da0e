"""The files that a trained network is exported to. Each is made as bytes, and opened as a function that answers."""

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from project.checkpoints import weights_directory
from project.networks.test_time_augmentation import views_probabilities
from project.system.errors import UserError
from project.use.predictor import Predictor, load

Answer = Callable[[Tensor], Tensor]
"""From images [N, H, W, C] to probabilities [N, num_classes]."""
METADATA = "metadata.json"  # of a pt2 file
ONNX_LIMIT = 2**31 - 2**20  # bytes of weights: an ONNX file with its weights inside has at most 2 GiB


class ImagesToProbabilities(nn.Module):
    """A network with normalisation, views, temperature and softmax inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.network, self.calibration = predictor.network, predictor.calibration
        self.register_buffer("mean", predictor.mean)
        self.register_buffer("std", predictor.std)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, H, W, C], uint8 or floats from 0 to 1, to probabilities [N, num_classes]."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        normalised = ((pixels - self.mean) / self.std).permute(0, 3, 1, 2)
        return views_probabilities(self.network, normalised, self.calibration)


class Format(ABC):
    """A form that a trained network is exported to."""

    @abstractmethod
    def content(self, metadata: Mapping[str, Any]) -> dict[str, bytes]:
        """The content of each file by its name; a single file has the name ""."""

    @abstractmethod
    def open(self, path: Path) -> Answer:
        """Read back what was written to `path`."""


class Pt2(Format):
    """A program of torch.export. It needs torch, and nothing of this project."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program

    def content(self, metadata: Mapping[str, Any]) -> dict[str, bytes]:
        buffer = io.BytesIO()
        torch.export.save(self.program, buffer, extra_files={METADATA: json.dumps(metadata)})
        return {"": buffer.getvalue()}

    @staticmethod
    def open(path: Path) -> Answer:
        answer: Answer = torch.export.load(path).module()
        return answer


class Onnx(Format):
    """An ONNX file, whose metadata has a value as JSON for each key."""

    def __init__(self, program: ExportedProgram) -> None:
        size = sum(weights.nbytes for weights in program.state_dict.values())
        if size > ONNX_LIMIT:
            raise UserError(f"--to onnx: the weights have {size:,} bytes, and the file at most 2 GiB; use pt2")
        exported = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes={"images": {0: "N"}},  # the name of the dimension
            dynamo=True,
            verbose=False,
        )
        assert exported is not None
        self.exported = exported

    def content(self, metadata: Mapping[str, Any]) -> dict[str, bytes]:
        self.exported.model.metadata_props.update({name: json.dumps(value) for name, value in metadata.items()})
        return {"": self.exported.model_proto.SerializeToString()}

    @staticmethod
    def open(path: Path) -> Answer:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


class Safetensors(Format):
    """A directory in the layout of the Hugging Face Hub: weights, description and model card."""

    def __init__(self, checkpoint: Mapping[str, Any], card: str, allow: Collection[str] = ()) -> None:
        self.checkpoint, self.card, self.allow = checkpoint, card, allow

    def content(self, metadata: Mapping[str, Any]) -> dict[str, bytes]:
        more = {name: metadata[name] for name in ("project", "comparison") if name in metadata}
        return {**weights_directory.files_of(self.checkpoint, more), "README.md": self.card.encode()}

    def open(self, path: Path) -> Answer:
        predictor = load(path, allow=self.allow)
        return lambda images: predictor.probabilities(images.numpy())
