"""Weights files: read without executing code, and compared with the architecture before use."""

import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn
from torch.overrides import TorchFunctionMode

from clipgan.base import lookup
from clipgan.base.durable_files import replacing
from clipgan.base.errors import UserError
from clipgan.base.text import why_unreadable
from clipgan.inputs.encoders.torchscript import is_torchscript, read_torchscript

SHOWN = 2  # number of tensors of each kind of mismatch that an error message names
NESTS = ("state_dict", "model")  # keys of a training script's checkpoint that hold the state dict
# functions that draw random initial weights
RANDOM_INITS = (
    torch.Tensor.normal_, torch.Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_
)  # fmt: skip
# entries of OpenAI's archives that are not weights: numbers, and the text tower's causal mask
ARCHIVE_EXTRAS = ("input_resolution", "context_length", "vocab_size", "attn_mask")


class SkipRandomInit(TorchFunctionMode):
    """Skips random initialisation inside `with SkipRandomInit():`, for a module whose weights are loaded next.

    Drawing random weights takes longer than loading. Buffers and constants are initialised as usual.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in RANDOM_INITS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def write_weights(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write a state dict as safetensors, with the user's usual file mode; a file is written completely or not at all.

    Raises:
        OSError: the file cannot be written, for example because the disk is full.
    """
    with replacing(path) as file:  # safetensors' own writer hides the system's error, and its files are 0600
        file.write(save({name: value.cpu().contiguous() for name, value in state.items()}))


def read_state_dict(path: Path, key: str) -> dict[str, torch.Tensor]:
    """Read the tensors in a weights file: safetensors, a state dict by `torch.save`, or a TorchScript archive.

    Pickles are read with `weights_only=True`, archives by `read_torchscript`: neither runs code in the file. The state
    dict may be nested under one of `NESTS`, as many training scripts write it. Its names lose what wrappers add:
    `module.` (of several GPUs) and `_orig_mod.` (of torch.compile).

    Args:
        path: the file.
        key: the configuration key that named the file, for the messages.

    Raises:
        UserError: the file is missing, cannot be read or holds no state dict.
    """
    if not lookup.is_file(path):
        raise UserError(f"{key}={path} {lookup.why_no_file(path)}; give a file with the weights")
    try:
        content: dict[str, Any] = load_file(path) if _is_safetensors(path) else _read_torch(path)
    except Exception as error:  # each reader raises its own kinds of errors for a damaged or foreign file
        reason = why_unreadable(error)
        raise UserError(f"{key}={path} cannot be read as a weights file: {reason[:200]}") from error
    nested = next((content[name] for name in NESTS if _has_tensor(content.get(name))), content)
    state = {_unwrapped(str(name)): value for name, value in nested.items() if torch.is_tensor(value)}
    if not state:
        inner = [repr(name) for name, value in content.items() if _has_tensor(value)]
        where = f" itself; those that it holds are under {', '.join(inner)}" if inner else ""
        raise UserError(f"{key}={path} holds no tensors{where}; give a file with a state dict")
    return state


def _unwrapped(name: str) -> str:
    """Return a tensor's name without what wrappers add; torch.compile may wrap any part of a model."""
    return name.replace("_orig_mod.", "").removeprefix("module.")


def _has_tensor(value: Any) -> bool:
    """Whether a value is a dict with a tensor in it; other values may have the name of a nest."""
    return isinstance(value, dict) and any(torch.is_tensor(each) for each in value.values())


def _is_safetensors(path: Path) -> bool:
    """Whether a file is safetensors by its name, or by its content: the length of a JSON table, and the table."""
    with path.open("rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    return path.suffix == ".safetensors" or (head[8:] == b"{" and length + 8 <= path.stat().st_size)


def _read_torch(path: Path) -> dict[str, Any]:
    if is_torchscript(path):
        tensors = read_torchscript(path)
        return {name: value for name, value in tensors.items() if name.rpartition(".")[2] not in ARCHIVE_EXTRAS}
    with warnings.catch_warnings(action="ignore"):  # a file that torch warns of is refused below
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, not a state dict")
    return content


def load_strictly(module: nn.Module, state: dict[str, torch.Tensor], source: str, model: str) -> None:
    """Copy `state` into `module` if all names and shapes agree; never resize, rename or leave out a tensor.

    Args:
        module: the architecture, which keeps its dtype.
        state: the tensors.
        source: the origin of the tensors, as the user gave it (`clip.checkpoint=FILE`).
        model: the architecture's name.

    Raises:
        UserError: names `source`, `model` and the first differences of each kind; or a parameter that is not finite.
    """
    wanted = module.state_dict()
    state = {name: _like(wanted.get(name), value) for name, value in state.items()}
    kinds = (
        [f"{name} is {list(state[name].shape)}, {model} has {list(tensor.shape)}"
         for name, tensor in wanted.items() if name in state and state[name].shape != tensor.shape],
        [f"{name} {list(tensor.shape)} is missing" for name, tensor in wanted.items() if name not in state],
        [f"{name} {list(tensor.shape)} is not in {model}" for name, tensor in state.items() if name not in wanted],
    )  # fmt: skip
    if any(kinds):
        shown = [difference for kind in kinds for difference in kind[:SHOWN]]
        left = sum(map(len, kinds)) - len(shown)
        more = f", and {left} more" if left else ""
        adapter = "; the file has a LoRA adapter: merge it into the weights first" if _is_adapted(state) else ""
        raise UserError(f"{source} does not fit {model}: {'; '.join(shown)}{more}{adapter}")
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and not state[name].isfinite().all():
            raise UserError(f"{source} cannot be used: {name} in it has a number that is not finite")
    module.load_state_dict(state)


def _is_adapted(state: Mapping[str, torch.Tensor]) -> bool:
    return any("lora_" in name for name in state)


def _like(wanted: torch.Tensor | None, value: torch.Tensor) -> torch.Tensor:
    """Reshape `value` to the shape of `wanted` if both are a single number: a logit scale is [] or [1]."""
    return value.reshape(wanted.shape) if wanted is not None and value.numel() == wanted.numel() == 1 else value


def check_weights(files: Mapping[str, str | None]) -> None:
    """Refuse weights files that do not exist; `files` maps configuration keys to paths (None: not given).

    Raises:
        UserError: names the key of the missing file.
    """
    for key, path in files.items():
        if path is not None and not lookup.is_file(path):
            raise UserError(f"{key}={path} {lookup.why_no_file(path)}; give a file with the weights")


def unreachable(url: str, timeout: float = 5.0) -> str | None:
    """Return why `url` cannot be fetched, or None if it can: one request without retries, at most `timeout` seconds."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return None
    except (urllib.error.URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", None) or error)
