"""Reading the tensors of a TorchScript archive, such as OpenAI's CLIP files, without executing its code.

`torch.jit.load` compiles an archive's code and may run parts of it. Here only `data.pkl` is unpickled, with a short
list of allowed names, and modules become plain records: no code in the file is executed.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clipgan.base.pickles import refuse_huge_numbers

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class Record:
    """A module without code: parameters, buffers and submodules are its attributes."""


class ArchiveUnpickler(pickle.Unpickler):
    """Unpickles modules (as `Record`), tensors and lists of numbers, and refuses everything else."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        file = archive.open(f"{root}/data.pkl")
        refuse_huge_numbers(file)
        super().__init__(file)
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        """Return the object that replaces `module.name`.

        Raises:
            UnpicklingError: the name is not allowed.
        """
        if module.startswith("__torch__"):
            return Record
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch.jit._pickle":
            return lambda values, *_: values
        raise pickle.UnpicklingError(f"it names {module}.{name}, which a file of weights does not need")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """Read the storage `("storage", dtype, key, device, length)` as a flat tensor."""
        _, dtype, key, *_ = pid
        content = bytearray(self.archive.read(f"{self.root}/data/{key}"))
        return torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)


def is_torchscript(path: Path) -> bool:
    """Tell a TorchScript archive from a `torch.save` file: both are zip files, only the first has `constants.pkl`."""
    return zipfile.is_zipfile(path) and _root(path) is not None


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Read every tensor of the archive's modules, by its dotted name.

    Raises:
        UnpicklingError: the archive names anything other than modules and tensors.
    """
    with zipfile.ZipFile(path) as archive:
        module = ArchiveUnpickler(archive, _root(path) or "").load()
    return dict(_tensors(module, ""))


def _root(path: Path) -> str | None:
    """Return the archive's single folder, which has `constants.pkl`; None if no folder has it."""
    with zipfile.ZipFile(path) as archive:
        ends = (name.rpartition("/") for name in archive.namelist())
        return next((folder for folder, _, name in ends if name == "constants.pkl"), None)


def _tensor(
    storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> torch.Tensor:
    """Rebuild a tensor from its storage; torch checks that the view lies within the storage."""
    return storage.as_strided(size, stride, offset)


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Record):
        for key, child in vars(value).items():
            yield from _tensors(child, f"{name}.{key}" if name else key)
