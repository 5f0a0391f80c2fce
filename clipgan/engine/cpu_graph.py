"""Record a step's operations on a CPU, and repeat them without Python and autograd.

The step of a small network consists of thousands of small operations. Python and autograd, which call them, take longer
than many of them. The interpreter of TorchScript calls the same operations in the same order with the same arguments,
so the results have the same bits. It frees each tensor after its last use.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from clipgan.base.text import first_line
from clipgan.engine.step_graphs import CaptureError, Captured, Replay, StepOutputs

# These take a number out of a tensor, make tensors whose sizes depend on values, or change a tensor's shape in place.
REFUSED = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view)
READING = (Tensor.tolist, Tensor.numpy)  # these call no operation


class CpuCapture:
    """Records what a step does while it runs."""

    def __call__(self, function: Replay) -> Captured:
        """Run a step, and return its outputs and a function that repeats it.

        Raises:
            CaptureError: the step ran, but it has an operation that cannot be repeated.
        """
        recorder, state = _Recorder(), torch.get_rng_state()
        with recorder, _Watch(recorder):
            outputs = function()
        if not torch.equal(state, torch.get_rng_state()):
            recorder.refused = recorder.refused or "the step draws from PyTorch's own generator"
        try:
            return Captured(recorder.finish(outputs), outputs)
        except (RuntimeError, AttributeError, TypeError) as error:  # TorchScript's errors; another version of PyTorch
            raise CaptureError(first_line(error), outputs) from error


class _Recorder(TorchDispatchMode):
    """Writes each operation into a graph of TorchScript after it has run."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = ""
        self._graph = torch._C.Graph()
        self._inputs: list[Tensor] = []  # what the step reads and has not computed: parameters, batch, random numbers
        self._values = WeakTensorKeyDictionary()  # the graph's value for each tensor that is alive
        self._constants: dict[tuple[str, str], Any] = {}
        self._writing = set[str]()  # kinds of operations that write into their arguments

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.refused:
            try:
                self._write(func, args, kwargs or {}, result)
            except (RuntimeError, AttributeError, TypeError) as error:
                self.refused = first_line(error)
        return result

    def finish(self, outputs: StepOutputs) -> Callable[[], StepOutputs]:
        """Return the function that repeats the step.

        Raises:
            RuntimeError: it cannot be repeated.
        """
        if self.refused:
            raise RuntimeError(self.refused)
        graph, inputs = self._graph, self._inputs
        results = [self._tensor(tensor) for tensor in outputs.tensors()]
        together = graph.insertNode(graph.create("prim::TupleConstruct", results, 1)).output()
        together.setType(torch._C.TupleType([torch._C.TensorType.get()] * len(results)))
        graph.registerOutput(together)
        for node in reversed(list(graph.nodes())):
            if node.kind() not in self._writing and not any(output.uses() for output in node.outputs()):
                node.destroy()
        function = torch._C._create_function_from_graph("step", graph)

        def replay() -> StepOutputs:
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                return outputs.replaced(function(*inputs))

        return replay

    def _write(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        if func.namespace == "profiler":
            return
        if func is torch.ops.aten.detach.default:
            self._values[result] = self._tensor(args[0])
            return
        if any(tag in func.tags for tag in REFUSED) and not _takes_integers(func, args):
            raise RuntimeError(f"{func} is not repeatable")
        schema = func._schema
        given = [
            kwargs.get(argument.name, argument.default_value) if argument.kwarg_only or place >= len(args) else args[place]
            for place, argument in enumerate(schema.arguments)
        ]
        values = [
            self._value(each, str(argument.type)) for each, argument in zip(given, schema.arguments, strict=True)
        ]
        if schema.is_mutable:
            self._writing.add(schema.name)
        node = self._graph.insertNode(self._graph.create(schema.name, values, len(schema.returns)))
        results = result if len(schema.returns) > 1 else (result,)
        for value, of_value in zip(node.outputs(), results, strict=False):
            self._name(value, of_value)
        wanted, found = (text.partition("(")[0] for text in (str(schema), node.schema()))
        if found not in (wanted, wanted.replace(".Tensor", ".Scalar")):  # a number may stand for a tensor
            raise RuntimeError(f"{wanted} would be repeated as {found}")

    def _name(self, value: Any, result: Tensor | Sequence[Tensor] | None) -> None:
        """Remember which tensors an operation's result is."""
        tensor = torch._C.TensorType.get()
        if isinstance(result, Tensor):
            self._values[result] = value.setType(tensor)
        elif result is not None:
            value.setType(torch._C.ListType(tensor))
            unpacked = self._graph.insertNode(self._graph.create("prim::ListUnpack", [value], len(result)))
            for each, of_each in zip(unpacked.outputs(), result, strict=True):
                self._values[of_each] = each.setType(tensor)

    def _tensor(self, tensor: Tensor) -> Any:
        """Return the graph's value for a tensor; one that the step has not computed is an input."""
        if tensor not in self._values:
            self._inputs.append(tensor)
            self._values[tensor] = self._graph.addInput().setType(torch._C.TensorType.get())
        return self._values[tensor]

    def _value(self, given: Any, kind: str) -> Any:
        """Return the graph's value for an argument of an operation.

        Args:
            given: a tensor, a number, another constant, or a list of them.
            kind: the argument's type as the operation's schema names it.
        """
        if isinstance(given, Tensor):
            return self._tensor(given)
        if isinstance(given, (list, tuple)) and (not given or "Tensor" in kind or "number" in kind):
            values = [self._value(each, kind) for each in given]
            element = ELEMENTS[next(name for name in ELEMENTS if name in kind)]
            made = self._graph.insertNode(self._graph.create("prim::ListConstruct", values, 1)).output()
            return made.setType(torch._C.ListType(element))
        if kind.startswith(("float", "Optional[float")) and given is not None:
            given = float(given)
        if isinstance(given, (torch.memory_format, torch.layout)):
            given = CODES[given]
        key = type(given).__name__, repr(given)
        if key not in self._constants:
            self._constants[key] = self._graph.insertConstant(given)
        return self._constants[key]


CODES = {
    torch.contiguous_format: 0, torch.preserve_format: 1, torch.channels_last: 2, torch.channels_last_3d: 3,
    torch.strided: 0,
}  # fmt: skip


ELEMENTS = {  # types of lists that are no constants; an empty list's type has to be named
    "Optional[Tensor]]": torch._C.OptionalType(torch._C.TensorType.get()),
    "Tensor": torch._C.TensorType.get(),
    "number": torch._C.NumberType.get(),
    "int": torch._C.IntType.get(),
}


def _takes_integers(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operation takes elements by integers; by booleans, their number would depend on values."""
    return func is torch.ops.aten.index.Tensor and not any(
        index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
    )


class _Watch(TorchFunctionMode):
    """Refuses to record a step that takes the values of a tensor into Python."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in READING and not self._recorder.refused:
            self._recorder.refused = f"{func.__name__} reads a tensor"
        return func(*args, **(kwargs or {}))
