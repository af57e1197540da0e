"""A PyTorch Lightning experiment project: networks that classify images, trained from one YAML file.

`project.load(checkpoint)` gives a trained network that predicts. Nothing is imported before it is used.
"""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:  # imported when it is used
    from project.use.predictor import load as load

__getattr__, __dir__ = lazy_names(__name__, __file__)
