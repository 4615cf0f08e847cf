"""What a network's block does, step by step, found out by running it on shapes.

Nothing is drawn or counted by hand: every call of a torch function or module becomes a step, with
the shape that it gives for a picture of 640 x 640 and the parameters that it has.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from featherface.models import layers
from featherface.models.layers import count_parameters

SIDE = 640
BASIC = (nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU, nn.ReLU, nn.MaxPool2d)
OURS = ("channel_shuffle", "upsample", "mean_and_max")  # functions of `layers` that are one step
SAME = {"flatten", "view", "reshape", "permute", "transpose", "getitem", "unsqueeze", "expand"}
SIGNS = {"add": "+", "sub": "−", "mul": "×", "cat": "concatenate", "silu": "swish", "relu": "ReLU"}
JOINED = ("norm", "LeakyReLU", "ReLU", "sigmoid")  # goes into the box of what it follows


@dataclass
class Step:
    """A box of a diagram.

    Attributes:
        label: what happens.
        kind: "end" (what goes in or out), "part", "conv", "move" (other places or channels), "sum".
        sources: the steps whose results it reads.
        shapes: of its results, without the batch.
        parameters: that it has.
        is_repeated: its weights are those of an earlier step.
    """

    label: str
    kind: str
    sources: list[Step] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    parameters: int = 0
    is_repeated: bool = False


class Recorder(TorchFunctionMode):
    """Writes down what happens to the tensors that go into a module."""

    def __init__(self, module: nn.Module, is_part: Callable[[str], bool]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._made: dict[int, Step] = {}  # by the id of a tensor
        self._kept: list[Tensor] = []  # so that no id is used twice
        self._module, self._is_part = module, is_part
        self._depth = 0  # of the module or function that counts as one step
        self._used: set[int] = set()  # modules, by their id

    def add(self, label: str, kind: str, given: Any, result: Any, parameters: int = 0) -> None:
        """A step that makes `result` of `given`; none if nothing of it was recorded."""
        sources = []
        for x in tensors(given):
            step = self._made.get(id(x))
            if step and not any(step is other for other in sources):
                sources.append(step)
        if not sources and kind != "end":
            return
        step = Step(label, kind, sources, [tuple(x.shape[1:]) for x in tensors(result)], parameters)
        self.steps.append(step)
        self.bind(step, result)

    def bind(self, step: Step, result: Any) -> None:
        """From now on these tensors are that step's."""
        for x in tensors(result):
            self._made[id(x)] = step
            self._kept.append(x)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every function and method on tensors comes by here."""
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").strip("_").removeprefix("i")
        if self._depth or not any(True for _ in tensors(result)) or name == "get":
            return result
        if name in SAME:
            known = [self._made[id(x)] for x in tensors(args) if id(x) in self._made]
            if known:
                self.bind(known[0], result)
            return result
        label, kind = describe(name, args, kwargs or {})
        if label == "×" and sum(id(x) in self._made for x in tensors(args)) == 1:
            self.add("× learned weight", kind, args, result, 1)
        else:
            self.add(label, kind, args, result)
        return result

    def run(self, *args: Any, names: list[str]) -> list[Step]:
        """Runs the module and returns its steps, with what goes in and what comes out."""
        for name, x in zip(names, tensors(args), strict=True):
            self.add(name, "end", (), x)
        with ExitStack() as stack:
            for path, module in self._module.named_modules():
                if path and (isinstance(module, BASIC) or self._is_part(path)):
                    stack.enter_context(self._one_step(module, path))
            for name in OURS:
                stack.enter_context(self._one_function(name))
            with torch.no_grad(), self:
                result = self._module(*args)
        outs = dict(zip(getattr(result, "_fields", ["output"]), tensors(result), strict=True))
        for name, x in outs.items():
            name = name.upper() if re.fullmatch(r"[cp]\d", name) else name.replace("_", " ")
            self.add(name, "end", x, x)
        return joined(self.steps)

    def _one_step(self, module: nn.Module, path: str) -> ExitStack:
        """Hooks that make a module one step."""

        def before(_module: nn.Module, _args: Any) -> None:
            self._depth += 1

        def after(module: nn.Module, args: Any, result: Any) -> None:
            self._depth -= 1
            if not self._depth:
                label, kind = title(module, path)
                parameters = count_parameters(module)
                self.add(label, kind, args, result, parameters)
                if parameters and id(module) in self._used:
                    self.steps[-1].parameters, self.steps[-1].is_repeated = 0, True
                self._used.add(id(module))

        stack = ExitStack()
        stack.callback(module.register_forward_pre_hook(before).remove)
        stack.callback(module.register_forward_hook(after).remove)
        return stack

    def _one_function(self, name: str) -> ExitStack:
        """Makes a function of `layers` one step, in all modules that have it."""
        function = getattr(layers, name)
        signature = inspect.signature(function)

        def called(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            try:
                result = function(*args, **kwargs)
            finally:
                self._depth -= 1
            if not self._depth:
                given = signature.bind(*args, **kwargs).arguments
                label = {
                    "channel_shuffle": "shuffle channels, {groups} groups",
                    "upsample": "enlarge × {factor}",
                    "mean_and_max": "maximum and mean over channels",
                }[name].format(**given)
                self.add(label, "move", args, result)
            return result

        stack = ExitStack()
        for module in [m for n, m in sys.modules.items() if n.startswith("featherface.models")]:
            if getattr(module, name, None) is function:
                setattr(module, name, called)
                stack.callback(setattr, module, name, function)
        return stack


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a value, and in the tuples and lists in it."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


def describe(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str]:
    """Label and kind of a function's step."""
    name = re.sub(r"^r(add|sub|mul)$", r"\1", name)
    if name in ("mean", "amax"):
        dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
        what = {"mean": "mean", "amax": "maximum"}[name]
        return f"{what} over {'places' if dims == (2, 3) else 'channels'}", "move"
    if name == "softmax":
        return "softmax over places", "sum"
    if name == "sum":
        return "sum over places", "move"
    if name == "avg_pool2d":
        return f"mean of cells {args[1]} × {args[1]}", "move"
    return SIGNS.get(name, name), "sum"


def title(module: nn.Module, path: str) -> tuple[str, str]:
    """Label and kind of a module's step."""
    if isinstance(module, nn.Conv2d):
        side = module.kernel_size[0]
        label = f"{side} × {side}"
        if module.groups > 1:
            label += " depthwise"
        return label + (f", stride {module.stride[0]}" if module.stride[0] > 1 else ""), "conv"
    if isinstance(module, nn.MaxPool2d):
        return f"maximum of {module.kernel_size} × {module.kernel_size}, stride 2", "move"
    if isinstance(module, nn.BatchNorm2d):
        return "norm", "sum"
    if isinstance(module, nn.Sequential) and type(module) is nn.Sequential:
        stage = re.fullmatch(r"(?:backbone\.)?stage(\d)(?:\.(\d+))?", path)
        if stage and stage[2] is None:
            return f"MobileNetV1, stage {stage[1]}", "part"
        convs = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
        return " → ".join(title(conv, "")[0] for conv in convs), "part"
    return type(module).__name__, "sum" if isinstance(module, BASIC) else "part"


def joined(steps: list[Step]) -> list[Step]:
    """Norms and activations in the box of what they follow, when nobody else reads that."""
    kept: list[Step] = []
    into: dict[int, Step] = {}
    readers: dict[int, int] = {}
    for step in steps:
        for source in step.sources:
            readers[id(source)] = readers.get(id(source), 0) + 1
    for step in steps:
        before = [into.get(id(source), source) for source in step.sources]
        step.sources = [s for n, s in enumerate(before) if all(s is not t for t in before[:n])]
        only = step.sources[0] if len(step.sources) == 1 else None
        if (
            only
            and only.kind in ("conv", "sum")
            and step.label in JOINED
            and readers.get(id(only), 0) == 1
        ):
            only.label += f" · {step.label}"
            only.shapes = step.shapes
            only.parameters += step.parameters
            only.is_repeated |= step.is_repeated
            into[id(step)] = only
            readers[id(only)] = readers.get(id(step), 0)
        else:
            kept.append(step)
    return kept
