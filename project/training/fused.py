"""Fused updates: an optimizer changes all weights by one operation, instead of some for each weight."""

from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from project.system.hardware import fuses_updates


def use_fused_updates(optimizer: Optimizer) -> None:
    """Turn on `fused` where the hardware gains by it, the class has it, and the user has chosen nothing.

    It belongs to the machine: a run that is resumed on another one uses what that one is best at.
    """
    if not isinstance(optimizer, Adam | AdamW | SGD):
        return
    for group in optimizer.param_groups:
        is_free = not (group["foreach"] or group["differentiable"]) and group["fused"] is None
        if is_free and all(fuses_updates(parameter.device.type) for parameter in group["params"]):
            group["fused"] = True
    optimizer.register_load_state_dict_pre_hook(_keep_fused)


def _keep_fused(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state to load, with this machine's `fused`, by which torch chooses the device of the number of steps."""
    if len(state["param_groups"]) != len(optimizer.param_groups):
        return state  # torch says so
    groups = zip(state["param_groups"], optimizer.param_groups, strict=True)
    return {**state, "param_groups": [{**saved, "fused": group["fused"]} for saved, group in groups]}
