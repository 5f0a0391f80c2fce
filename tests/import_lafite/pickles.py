"""Pickles that are true to the public format: modules by reference to `torch_utils.persistence`, with source code.

As in the public files, a module is a call of `_reconstruct_persistent_obj` with a dictionary of its class's name, its
attributes and the source code of its class; settings are `dnnlib.util.EasyDict`s; tensors carry their storage as a
file of `torch.save`.
"""

import pickle
import sys
import types
from contextlib import contextmanager

from torch import nn

SOURCE = "raise SystemExit('the source code in a pickle was executed')"


def _reconstruct_persistent_obj(meta):
    raise AssertionError("only pickled by reference")


class EasyDict(dict):
    """As dnnlib's."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
EasyDict.__module__ = "dnnlib.util"


class Persistent(nn.Module):
    """A module of the reference, pickled as a persistent class is."""

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": type(self).__name__}
        return (_reconstruct_persistent_obj, (meta | {"state": self.__dict__},), None)


def build(kind, **kwargs):
    """An object with its constructor's arguments kept, as the decorator of the public classes does."""
    module = kind(**kwargs).eval().requires_grad_(False)
    module._init_args, module._init_kwargs = (), EasyDict(kwargs)
    return module


@contextmanager
def public_modules():
    """The names that pickling looks the public classes up by, for as long as it takes."""
    names = {
        "torch_utils": {},
        "torch_utils.persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
        "dnnlib": {},
        "dnnlib.util": {"EasyDict": EasyDict},
    }
    for name, content in names.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def dump(content, path, protocol=pickle.DEFAULT_PROTOCOL):
    """What the public training script does with its networks."""
    with public_modules(), path.open("wb") as file:
        pickle.dump(content, file, protocol)
    return path
