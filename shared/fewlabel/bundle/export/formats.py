"""The formats that a network can leave PyTorch in: how each is written, and how it is run again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import torch
from monai.data import save_net_with_metadata
from monai.networks.utils import convert_to_onnx, convert_to_torchscript
from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]
# the set that torch.onnx writes before it translates to any other
OPSET = 18


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffix: ending of its files.
        write: writes a network to a stream, given an example of its input and the JSON files that travel with it, and
            returns a sentence on what was written.
        read: returns the forward pass of a file.
    """

    suffix: str
    write: Callable[[nn.Module, Tensor, Mapping[str, Any], IO[bytes]], str]
    read: Callable[[Path], Forward]


def write_torchscript(network: nn.Module, example: Tensor, notes: Mapping[str, Any], stream: IO[bytes]) -> str:
    """Write TorchScript with the files that MONAI keeps in it, as ``monai.bundle ckpt_export`` does.

    The network is compiled, not traced: a trace would fix the batch size wherever a network reads its input's shape.

    Raises:
        ValueError: TorchScript can't compile the network.
    """
    with _quiet():
        try:
            module = convert_to_torchscript(network)
        except (RuntimeError, NotImplementedError) as error:  # TorchScript's own errors are of these kinds
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ValueError(
                f"TorchScript can't compile {type(network).__name__} ({reason.rstrip('.:')}): export to onnx"
            ) from error
        others = {f"{name}.json": json.dumps(note).encode() for name, note in notes.items() if name != "metadata"}
        save_net_with_metadata(module, stream, meta_values=notes["metadata"], more_extra_files=others)
    return f"TorchScript, input (batch, {example.shape[1]}, ...)"


def read_torchscript(path: Path) -> Forward:
    """Load TorchScript onto the CPU."""
    with _quiet():
        module: Forward = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    return module


def write_onnx(network: nn.Module, example: Tensor, notes: Mapping[str, Any], stream: IO[bytes]) -> str:
    """Write ONNX: input "image", output "pred", a free batch axis, the other axes as in the example.

    The JSON files travel in the model's metadata under their names.
    """
    onnx = _required("onnx")
    _required("onnxscript")
    with _quiet():
        model = convert_to_onnx(
            network,
            inputs=[example],
            input_names=["image"],
            output_names=["pred"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,  # one file
            verbose=False,
        )
    onnx.helper.set_model_props(model, {name: json.dumps(note) for name, note in notes.items()})
    stream.write(model.SerializeToString())
    return f"ONNX, opset {OPSET}: {', '.join(map(_tensor, (*model.graph.input, *model.graph.output)))}"


def read_onnx(path: Path) -> Forward:
    """Load ONNX into ONNX Runtime on the CPU."""
    session = _required("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


FORMATS = {
    "torchscript": Format(".ts", write_torchscript, read_torchscript),
    "onnx": Format(".onnx", write_onnx, read_onnx),
}


def _required(module: str) -> ModuleType:
    try:
        return __import__(module)
    except ImportError as error:
        raise ImportError(f"ONNX needs {module} ({error}): pip install '.[export]' in a checkout") from error


def _tensor(value: Any) -> str:
    axes = value.type.tensor_type.shape.dim
    return f"{value.name} ({', '.join(axis.dim_param or str(axis.dim_value) for axis in axes)})"


@contextmanager
def _quiet() -> Iterator[None]:
    # what PyTorch will give up is news for its callers; whoever asked for a format can't act on it
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
