"""A PyTorch Lightning experiment project: networks that classify images, trained from one YAML file.

`project.load(checkpoint)` gives a trained network that predicts. Nothing is imported before it is used.
"""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:
    from project.use.predictor import load

__all__ = ["load"]

__getattr__, __dir__ = lazy_names(__name__, {"load": "use.predictor"})
