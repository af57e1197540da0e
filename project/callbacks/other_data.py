"""A line about a checkpoint that is used with other images than those of its run."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class OtherData(Callback):
    """Prints a line if the images, or their division into parts, are not those of the checkpoint's run.

    They are compared by their fingerprint. It does not depend on where the images are.
    """

    def __init__(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        self.path = path
        self.sha256 = checkpoint.get("environment", {}).get("data", {}).get("sha256")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self.sha256 and trainer.is_global_zero and stage != "predict":
            sha256, self.sha256 = self.sha256, None  # a fit ends with a test, which needs no second line
            if (now := data.fingerprint()) != sha256:
                print(
                    f"--ckpt_path {self.path}: the images, or their division into training, validation and test "
                    f"images, are not those of its run (SHA-256 {now[:12]}, in its run {sha256[:12]}); it may have "
                    "been trained on images that are tested now",
                    flush=True,
                )
