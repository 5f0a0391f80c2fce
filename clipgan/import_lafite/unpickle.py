"""Reading a network pickle of LAFITE or StyleGAN2-ADA without executing any code in it.

Facts about the format, from NVlabs/stylegan2-ada-pytorch (torch_utils/persistence.py) and torch: each module is a call
of `_reconstruct_persistent_obj` with the name of its class, its attributes and the source code of its class. The public
loader executes this source code; this loader never reads it. A tensor's storage is a `torch.save` file in the pickle.
"""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clipgan.base import lookup
from clipgan.base.errors import UserError
from clipgan.base.pickles import refuse_huge_numbers
from clipgan.base.text import first_line
from clipgan.engine.checkpoint_file import ARCHIVE

NO_PICKLE = re.compile(r"codec can't decode|opcode .* unknown")  # in Python's messages
TRUNCATED = re.compile(r"truncated|[Rr]an out of input|but only \d+ remain|exhausted before")
PERSISTENCE_VERSION = 6


@dataclass(frozen=True)
class Module:
    """A module as plain data."""

    class_name: str
    attributes: Mapping[str, Any]

    def children(self) -> Mapping[str, "Module"]:
        """Return the submodules by name, without those that are None."""
        modules = self.attributes.get("_modules", {})
        return {name: child for name, child in modules.items() if isinstance(child, Module)}

    def tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yield every parameter and buffer with its dotted name."""
        for kind in ("_parameters", "_buffers"):
            for name, value in self.attributes.get(kind, {}).items():
                if isinstance(value, Tensor):
                    yield f"{prefix}{name}", value
        for name, child in self.children().items():
            yield from child.tensors(f"{prefix}{name}.")

    def walk(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """Yield this module and all modules below it with their dotted names."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.walk(f"{prefix}.{name}" if prefix else name)


class Settings(dict):
    """Replaces `dnnlib.util.EasyDict`."""


class Ignored:
    """Replaces numpy's scalars, arrays and dtypes, which no weight of LAFITE's needs (a StyleGAN3 has arrays)."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class NetworkUnpickler(pickle.Unpickler):
    """Unpickles only the few names that a network pickle needs, each as a harmless replacement."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of `module.name`.

        Raises:
            UnpicklingError: the name is not allowed.
        """
        try:
            return ALLOWED[module, name]
        except KeyError:
            if module.startswith("dnnlib.tflib"):
                raise pickle.UnpicklingError("it is a StyleGAN of TensorFlow, not a network of PyTorch") from None
            raise pickle.UnpicklingError(f"it names {module}.{name}, which weights do not need") from None


def read_pickle(path: Path) -> dict[str, Any]:
    """Read the dictionary in the pickle: networks as `Module`, settings as dictionaries.

    Raises:
        UserError: the file is missing, or names anything that networks and tensors do not need.
    """
    if not lookup.is_file(path):
        raise UserError(f"{path} {lookup.why_no_file(path)}; give a network pickle of LAFITE")
    try:
        with path.open("rb") as file:
            if file.read(4) == ARCHIVE:
                raise pickle.UnpicklingError("it is a zip, such as torch.save writes, and not LAFITE's network pickle")
            file.seek(0)
            refuse_huge_numbers(file)
            content = NetworkUnpickler(file).load()
    except Exception as error:  # a damaged pickle can raise any kind of error
        reason = _plain(first_line(error))
        raise UserError(f"{path} is not read: {reason[:300]}; no code in it was run") from error
    if not isinstance(content, dict):
        what = "number, as old files of torch.save begin with" if isinstance(content, int) else type(content).__name__
        raise UserError(f"{path} holds a {what}, not the networks G, D and G_ema")
    return content


def _plain(reason: str) -> str:
    """Say in plain words what Python's unpickler says of another file, such as a text, and of one cut short."""
    if NO_PICKLE.search(reason):
        return f"it is no pickle, or it is damaged ({reason})"
    return f"its end is missing ({reason})" if TRUNCATED.search(reason) else reason


def _module(meta: Mapping[str, Any]) -> Module:
    kind, version = meta["type"], meta["version"]
    if (kind, version) != ("class", PERSISTENCE_VERSION):
        raise pickle.UnpicklingError(f"its modules have format {kind} {version}, not class {PERSISTENCE_VERSION}")
    return Module(meta["class_name"], dict(meta["state"]))


def _storage(content: bytes) -> Tensor:
    """Read a storage as a flat tensor; `weights_only` runs no code of the file in it."""
    try:
        storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own message advises to execute the file
        raise pickle.UnpicklingError("a tensor's storage holds something other than numbers") from error
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError(f"a tensor's storage is a {type(storage).__name__}")
    return torch.empty(0, dtype=storage.dtype).set_(storage)


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """Rebuild a tensor from its storage; torch checks that the view lies within the storage."""
    return storage.as_strided(size, stride, offset)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


ALLOWED = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("dnnlib.util", "EasyDict"): Settings,
    ("builtins", "set"): set,
    ("numpy", "dtype"): Ignored,
    ("numpy", "ndarray"): Ignored,
    ("numpy.core.multiarray", "_reconstruct"): Ignored,
    ("numpy._core.multiarray", "_reconstruct"): Ignored,
    ("numpy.core.numeric", "_frombuffer"): Ignored,  # protocol 5, the default from Python 3.14 on
    ("numpy._core.numeric", "_frombuffer"): Ignored,
    ("numpy.core.multiarray", "scalar"): Ignored,
    ("numpy._core.multiarray", "scalar"): Ignored,
}
