"""Record a step's operations on a CPU, and repeat them without Python and autograd.

The step of a small network consists of thousands of small operations. Python and autograd, which call them, take longer
than many of them. TorchScript's interpreter calls the same operations in the same order with the same arguments, so the
results have the same bits. Like a step of autograd, it frees each tensor after the last use.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from clipgan.base.text import first_line
from clipgan.engine.step_graphs import Captured, CaptureError, Replay, StepOutputs

READING = (Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__)  # values, without any operation
FILLING = ("aten::scatter", "aten::fill_", "aten::masked_fill", "aten::masked_fill_")  # a tensor of a known dtype
ENUMERATIONS: Mapping[Any, int] = {  # how TorchScript writes them
    torch.contiguous_format: 0, torch.preserve_format: 1, torch.channels_last: 2, torch.channels_last_3d: 3,
    torch.strided: 0,
}  # fmt: skip
FAULTS = (RuntimeError, AttributeError, TypeError, LookupError, StopIteration)  # of a PyTorch unlike the tried ones


class CpuCapture:
    """Records what a step does while it runs."""

    def __init__(self, release: Callable[[], None] = lambda: None) -> None:
        """Make a recorder.

        Args:
            release: drops what the recorded step has left behind: its gradients, which no repetition reads.
        """
        self._release = release

    def __call__(self, function: Replay) -> Captured:
        """Run a step that has run before; return its outputs, and a function that repeats it.

        Raises:
            CaptureError: the step ran, but it cannot be repeated.
        """
        with _Recorder() as recorder, _Reads(recorder):
            outputs = function()
        self._release()
        try:
            return Captured(recorder.finish(outputs), outputs)
        except FAULTS as error:
            raise CaptureError(first_line(error), outputs) from error


class _Recorder(TorchDispatchMode):
    """Writes each operation into a graph of TorchScript after it has run; keeps no tensor of the step alive."""

    def __init__(self) -> None:
        super().__init__()
        self._refusal = ""
        self._inputs: list[Tensor] = []  # what the step reads and has not computed: parameters, batch, random numbers
        self._read = set[int]()  # the addresses of their memory
        self._computed = set[int]()  # the addresses of all other memory
        self._values = WeakTensorKeyDictionary()  # tensor -> the graph's value
        self._constants: dict[str, Any] = {}  # the graph's values, by what they are
        try:
            self._graph, self._one = torch._C.Graph(), torch._C.TensorType.get()
            self._elements = {  # a list's type as schemas write it: the type of its elements
                "List[Optional[Tensor]]": torch._C.OptionalType(self._one),
                "List[Tensor]": self._one,
                "List[number]": torch._C.NumberType.get(),
                "List[int]": torch._C.IntType.get(),
            }
        except FAULTS as error:
            self.refuse(first_line(error))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._refusal:
            try:
                self._write(func, args, kwargs or {}, result)
            except FAULTS as error:
                self.refuse(f"{func}: {first_line(error)}")
        return result

    def refuse(self, reason: str) -> None:
        """Record nothing more; the step goes on."""
        self._refusal = self._refusal or reason

    def finish(self, outputs: StepOutputs) -> Replay:
        """Return the function that repeats the step.

        Raises:
            RuntimeError: it cannot be repeated.
        """
        if self._refusal:
            raise RuntimeError(self._refusal)
        graph, inputs = self._graph, self._inputs
        results = [self._tensor(tensor) for tensor in outputs.tensors()]
        together = self._add("prim::TupleConstruct", results, 1).output()
        graph.registerOutput(together.setType(torch._C.TupleType([self._one] * len(results))))
        function = torch._C._create_function_from_graph("step", graph)

        def replay() -> StepOutputs:
            with torch.inference_mode(), torch.jit.optimized_execution(False):
                try:
                    return outputs.replaced(function(*inputs))
                except RuntimeError as error:  # TorchScript puts lines of its own before the operation's message
                    raise RuntimeError(str(error).rpartition("RuntimeError: ")[2].strip()) from error

        return replay

    def _write(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        if func.namespace == "profiler":
            return
        schema = func._schema
        kinds = [str(argument.type) for argument in schema.arguments]
        given = [
            kwargs.get(argument.name, argument.default_value)
            if argument.kwarg_only or place >= len(args)
            else args[place]
            for place, argument in enumerate(schema.arguments)
        ]
        _check_repeatable(func, {argument.name: each for argument, each in zip(schema.arguments, given, strict=True)})
        if schema.name in FILLING:
            given = [int(each) if isinstance(each, bool) else each for each in given]
        values = [self._value(each, kind) for each, kind in zip(given, kinds, strict=True)]
        node = self._add(schema.name, values, len(schema.returns))
        wanted, found = (text.partition("(")[0] for text in (str(schema), node.schema()))
        if found != wanted and not found.startswith(f"{schema.name}.Scalar"):  # a number may stand for a tensor
            raise RuntimeError(f"TorchScript takes it for {found or 'no operation that it has'}")
        for value, of_value in zip(node.outputs(), result if len(schema.returns) > 1 else [result], strict=False):
            self._name(value, of_value)

    def _add(self, kind: str, values: Sequence[Any], results: int) -> Any:
        """Append an operation to the graph; return its node."""
        return self._graph.insertNode(self._graph.create(kind, values, results))

    def _name(self, value: Any, result: Tensor | Sequence[Tensor] | None) -> None:
        """Remember the value of a tensor that an operation returned, or of each tensor of a list."""
        if isinstance(result, Tensor):
            self._values[result] = value.setType(self._one)
            self._computed |= {result.untyped_storage().data_ptr()} - self._read
        elif result is not None:
            unpacked = self._add("prim::ListUnpack", [value.setType(torch._C.ListType(self._one))], len(result))
            for each, of_each in zip(unpacked.outputs(), result, strict=True):
                self._name(each, of_each)

    def _tensor(self, tensor: Tensor) -> Any:
        """Return the graph's value for a tensor; one that the step has not computed is an input."""
        if tensor not in self._values:
            address = tensor.untyped_storage().data_ptr()
            if address in self._computed and address != 0:
                raise RuntimeError("it reads a tensor that the step has made without an operation")
            self._read.add(address)
            self._inputs.append(tensor)
            self._values[tensor] = self._graph.addInput().setType(self._one)
        return self._values[tensor]

    def _value(self, given: Any, kind: str) -> Any:
        """Return the graph's value for an argument.

        Args:
            given: a tensor, a constant, or a list of them.
            kind: the argument's type in the operation's schema.
        """
        if isinstance(given, Tensor):
            return self._tensor(given)
        if isinstance(given, (list, tuple)) and (not given or "Tensor" in kind or "number" in kind):
            element = next(element for name, element in self._elements.items() if name in kind)
            made = self._add("prim::ListConstruct", [self._value(each, str(element)) for each in given], 1)
            return made.output().setType(torch._C.ListType(element))
        if isinstance(given, int) and kind in ("float", "Optional[float]"):
            given = float(given)
        if isinstance(given, bool) and kind == "number":
            raise RuntimeError(f"{given} stands for a number")  # TorchScript's numbers are no booleans
        if isinstance(given, (torch.memory_format, torch.layout)):
            given = ENUMERATIONS[given]
        key = repr((type(given), given))
        if key not in self._constants:
            self._constants[key] = self._graph.insertConstant(given)  # type: ignore[attr-defined]
        return self._constants[key]


def _check_repeatable(func: Any, given: Mapping[str, Any]) -> None:
    """Refuse an operation that a repetition would not do anew.

    Args:
        func: the operation.
        given: its arguments by name.

    Raises:
        RuntimeError: it takes a number out of a tensor, makes a tensor whose size depends on values, makes one from
            Python's numbers, or draws random numbers.
    """
    depends = bool({torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output} & {*func.tags})
    if func is torch.ops.aten.index.Tensor:  # it has the tag, but only masks take a number of elements that varies
        depends = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in given["indices"])
    if depends:
        raise RuntimeError("it depends on values")
    if func is torch.ops.aten.lift_fresh.default:
        raise RuntimeError("it makes a tensor from Python's numbers")
    if torch.Tag.nondeterministic_seeded in func.tags and given.get("dropout_p") != 0:
        raise RuntimeError("it draws random numbers")


class _Reads(TorchFunctionMode):
    """Refuses to record a step that takes the values of a tensor into Python or NumPy."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in READING:
            self._recorder.refuse(f"Tensor.{func.__name__} reads values")
        return func(*args, **(kwargs or {}))
