"""Fused updates: an optimizer changes weights by one pass over their memory, instead of one for each operation."""

from typing import Any

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from project.system.hardware import fuses_updates


def use_fused_updates(optimizer: Optimizer) -> None:
    """Turn on `fused` where the hardware gains by it, the class has it, and the user has chosen nothing.

    It belongs to the machine: a run that is resumed on another one uses what that one is best at.
    """
    if not isinstance(optimizer, Adam | AdamW | SGD):
        return
    for group in optimizer.param_groups:
        chosen = any(group.get(name) for name in ("foreach", "differentiable", "capturable"))
        is_free = not chosen and group["fused"] is None
        if is_free and all(fuses_updates(parameter.device.type) for parameter in group["params"]):
            group["fused"] = True
    optimizer.register_load_state_dict_pre_hook(_keep_fused)


def skip_graph_check(optimizer: Optimizer) -> None:
    """Do not ask at each step whether a CUDA graph is recorded, if all weights are on the CPU.

    Where torch is made for CUDA and finds no GPU, it looks for one anew each time (torch 2.14).
    """
    if all(weights.device.type == "cpu" for group in optimizer.param_groups for weights in group["params"]):
        optimizer._accelerator_graph_capture_health_check = lambda: None  # type: ignore[method-assign]


def match_memory_order(optimizer: Optimizer) -> None:
    """Give gradients the memory order of their weights where updates are fused.

    torch's backward does so. But fused updates on a CPU would take the gradients of a callback in another order for
    those of other weights, without an error (torch 2.14).
    """
    for group in optimizer.param_groups:
        for weights in group["params"] if group.get("fused") else ():
            if weights.grad is not None and weights.grad.stride() != weights.stride():
                weights.grad = torch.empty_like(weights).copy_(weights.grad)


def _keep_fused(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state to load, with this machine's `fused`, by which torch chooses the device of the number of steps."""
    if len(state["param_groups"]) != len(optimizer.param_groups):
        return state  # torch says so
    groups = zip(state["param_groups"], optimizer.param_groups, strict=True)
    return {**state, "param_groups": [{**saved, "fused": group["fused"]} for saved, group in groups]}
