"""The option --device of commands that use a trained network."""

from project.system.errors import UserError
from project.system.quick_imports import no_garbage_collection


def usable_device(name: str | None) -> str:
    """The device of this name; for None cuda if there is one, otherwise cpu. Raises UserError if it cannot be used."""
    with no_garbage_collection():
        import torch  # takes a second

    device = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device).cpu()
    except Exception as error:  # each kind of device has exceptions of its own
        reason = str(error).split("\n")[0]
        raise UserError(f"--device {device}: this device cannot be used ({reason}); give cpu, or another") from None
    return device
