"""Record a step's operations on a CPU, and repeat them without Python and autograd.

The step of a small network consists of thousands of small operations. Python and autograd, which call them, take longer
than many of them. TorchScript's interpreter calls the same operations in the same order with the same arguments, so the
results have the same bits. Like a step of autograd, it frees each tensor after the last use.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from clipgan.base.text import first_line
from clipgan.engine.step_graphs import Captured, CaptureError, Replay, StepOutputs

# These take a number out of a tensor, make tensors whose sizes depend on values, or change a tensor's shape in place.
REFUSED_TAGS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view)
REFUSED_METHODS = (Tensor.tolist, Tensor.numpy)  # these take out numbers without any operation
ENUMERATIONS: Mapping[Any, int] = {  # how TorchScript writes them
    torch.contiguous_format: 0, torch.preserve_format: 1, torch.channels_last: 2, torch.channels_last_3d: 3,
    torch.strided: 0,
}  # fmt: skip
TENSOR = torch._C.TensorType.get()
ELEMENTS = {  # a list's type as schemas write it: the type of its elements
    "List[Optional[Tensor]]": torch._C.OptionalType(TENSOR),
    "List[Tensor]": TENSOR,
    "List[number]": torch._C.NumberType.get(),
    "List[int]": torch._C.IntType.get(),
}
FAULTS = (RuntimeError, AttributeError, TypeError, LookupError, StopIteration)  # of an operation unlike the others


class CpuCapture:
    """Records what a step does while it runs."""

    def __call__(self, function: Replay) -> Captured:
        """Run a step that has run before; return its outputs, and a function that repeats it.

        Raises:
            CaptureError: the step ran, but it cannot be repeated.
        """
        recorder, random = _Recorder(), torch.get_rng_state()
        with recorder, _Reads(recorder):
            outputs = function()
        if not torch.equal(random, torch.get_rng_state()):
            recorder.refuse("the step draws from PyTorch's own random numbers")
        return Captured(recorder.finish(outputs), outputs)


class _Recorder(TorchDispatchMode):
    """Writes each operation into a graph of TorchScript after it has run; keeps no tensor of the step alive."""

    def __init__(self) -> None:
        super().__init__()
        self._graph = torch._C.Graph()
        self._inputs: list[Tensor] = []  # what the step reads and has not computed: parameters, batch, random numbers
        self._values = WeakTensorKeyDictionary()  # tensor -> the graph's value
        self._constants: dict[str, Any] = {}  # the graph's values, by what they are
        self._numbers: dict[str, Tensor] = {}
        self._writing = set[str]()  # the operations that write into an argument
        self._refusal = ""

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
            CaptureError: see `CpuCapture`.
        """
        if self._refusal:
            raise CaptureError(self._refusal, outputs)
        graph, inputs = self._graph, self._inputs
        results = [self._tensor(tensor) for tensor in outputs.tensors()]
        [together] = self._add("prim::TupleConstruct", results, 1)
        graph.registerOutput(together.setType(torch._C.TupleType([TENSOR] * len(results))))
        for node in reversed(list(graph.nodes())):  # the gradients that nobody asked for
            if node.kind() not in self._writing and not any(value.uses() for value in node.outputs()):
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
        if any(tag in func.tags for tag in REFUSED_TAGS) and not _takes_places(func, args):
            raise RuntimeError("it depends on values")
        schema = func._schema
        kinds = [str(argument.type) for argument in schema.arguments]
        given = [
            kwargs.get(argument.name, argument.default_value)
            if argument.kwarg_only or place >= len(args)
            else args[place]
            for place, argument in enumerate(schema.arguments)
        ]
        if {each.dtype for each in (*given, result) if isinstance(each, Tensor)} == {torch.float32}:
            given = [self._number(each) if kind == "Tensor" else each for each, kind in zip(given, kinds, strict=True)]
        values = [self._value(each, kind) for each, kind in zip(given, kinds, strict=True)]
        made = self._add(schema.name, values, len(schema.returns))
        if schema.is_mutable:
            self._writing.add(schema.name)
        wanted, found = (text.partition("(")[0] for text in (str(schema), self._last.schema()))
        if found not in (wanted, f"{schema.name}.Scalar"):  # a number may stand for a tensor
            raise RuntimeError(f"TorchScript takes it for {found or 'no operation that it has'}")
        for value, of_value in zip(made, result if len(made) > 1 else [result], strict=False):
            self._name(value, of_value)

    def _add(self, kind: str, values: Sequence[Any], results: int) -> list[Any]:
        """Append an operation to the graph; return the values of its results."""
        self._last = self._graph.insertNode(self._graph.create(kind, values, results))
        return list(self._last.outputs())

    def _name(self, value: Any, result: Tensor | Sequence[Tensor] | None) -> None:
        """Remember the value of a tensor that an operation returned, or of each tensor of a list."""
        if isinstance(result, Tensor):
            self._values[result] = value.setType(TENSOR)
        elif result is not None:
            unpacked = self._add("prim::ListUnpack", [value.setType(torch._C.ListType(TENSOR))], len(result))
            for each, of_each in zip(unpacked, result, strict=True):
                self._name(each, of_each)

    def _tensor(self, tensor: Tensor) -> Any:
        """Return the graph's value for a tensor; one that the step has not computed is an input."""
        if tensor not in self._values:
            self._inputs.append(tensor)
            self._values[tensor] = self._graph.addInput().setType(TENSOR)
        return self._values[tensor]

    def _number(self, given: Any) -> Any:
        """Return a number as a tensor, which each repetition would make anew; return anything else as it is."""
        if not isinstance(given, (int, float)):
            return given
        if repr(given) not in self._numbers:
            self._numbers[repr(given)] = torch.tensor(given, dtype=torch.float32)
        return self._numbers[repr(given)]

    def _value(self, given: Any, kind: str) -> Any:
        """Return the graph's value for an argument.

        Args:
            given: a tensor, a constant, or a list of them.
            kind: the argument's type in the operation's schema.
        """
        if isinstance(given, Tensor):
            return self._tensor(given)
        if isinstance(given, (list, tuple)) and (not given or "Tensor" in kind or "number" in kind):
            element = next(element for name, element in ELEMENTS.items() if name in kind)
            [made] = self._add("prim::ListConstruct", [self._value(each, str(element)) for each in given], 1)
            return made.setType(torch._C.ListType(element))
        if isinstance(given, int) and kind in ("float", "Optional[float]"):
            given = float(given)
        if isinstance(given, bool) and kind == "number":
            given = int(given)
        if isinstance(given, torch.Generator):
            raise RuntimeError("it draws random numbers")
        if isinstance(given, (torch.memory_format, torch.layout)):
            given = ENUMERATIONS[given]
        key = repr((type(given), given))
        if key not in self._constants:
            self._constants[key] = self._graph.insertConstant(given)  # type: ignore[attr-defined]
        return self._constants[key]


def _takes_places(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operation takes elements at places; the number of elements that a mask takes depends on its values."""
    return func is torch.ops.aten.index.Tensor and not any(
        index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
    )


class _Reads(TorchFunctionMode):
    """Refuses to record a step that calls one of REFUSED_METHODS."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in REFUSED_METHODS:
            self._recorder.refuse(f"Tensor.{func.__name__} reads values")
        return func(*args, **(kwargs or {}))
