"""A network as a Python file that needs nothing of this project: plain PyTorch, step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from models import ChromaModel

# By its first line an export knows a file that an earlier one has written.
MARK = "# Written by `chromatune colorize --export`."

_TEMPLATE = '''{mark}
"""{label} as plain PyTorch: needs torch and safetensors, and nothing of Chromatune.

    from {module} import load, predict
    ab = predict(load("{weights}"), L)

L is float32 (N, 1, {size}, {size}): L planes of OpenCV's 8-bit Lab, divided by 255.
ab is float32 {shape}: {meaning}, in [0, 1]; 255 * ab - 128 are a* and b*.

As a program (with opencv-python-headless):

    python {module}.py {usage}
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

SIZE = {size}


def load(path=Path(__file__).with_name("{weights}"), device="cpu"):
    return load_file(path, device=str(device))


@torch.inference_mode()
def predict(weights, L):
{body}


{main}

if __name__ == "__main__":
    main(*sys.argv[1:])
'''

_COLORIZE = '''def main(picture, colorized):
    """Colorize a picture file: L stays as it is, a and b come from the network."""
    import cv2
    import numpy as np

    L = cv2.cvtColor(cv2.imread(picture), cv2.COLOR_BGR2LAB)[..., 0]
    small = cv2.resize(L, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    ab = predict(load(), torch.from_numpy(small)[None, None].float() / 255)[0].numpy()
    planes = [cv2.resize(plane, L.shape[::-1]) for plane in ab]
    planes = [np.rint(plane * 255).clip(0, 255).astype(np.uint8) for plane in planes]
    cv2.imwrite(colorized, cv2.cvtColor(cv2.merge([L, *planes]), cv2.COLOR_LAB2BGR))
'''

_MEASURE = '''def main(picture):
    """Print the mean a* and b* of a picture file."""
    import cv2

    L = cv2.cvtColor(cv2.imread(picture), cv2.COLOR_BGR2LAB)[..., 0]
    small = cv2.resize(L, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    a, b = predict(load(), torch.from_numpy(small)[None, None].float() / 255)[0] * 255 - 128
    print(f"a* {a:.2f}  b* {b:.2f}")
'''


def trace(model: ChromaModel) -> ExportedProgram:
    """Follow the network in evaluation mode, for any number of pictures at once."""
    size = int(model.spec["image_size"])
    pictures = torch.export.Dim("pictures", min=1)
    # Two, because a single one would be taken for the only number there is.
    example = (torch.zeros(2, 1, size, size),)
    return torch.export.export(model, example, dynamic_shapes={"L": {0: pictures}})


def python_source(model: ChromaModel, *, label: str, module: str, weights: str) -> str:
    """Write the network as Python with the functions `load`, `predict` and `main`.

    `weights` is the name of the safetensors file beside it, whose tensors keep their names.
    """
    is_colorizer = model.task == "colorizer"
    size = int(model.spec["image_size"])
    return _TEMPLATE.format(
        mark=MARK,
        label=label,
        module=module,
        weights=weights,
        size=size,
        shape=f"(N, 2, {size}, {size})" if is_colorizer else "(N, 2)",
        meaning="the a and the b plane" if is_colorizer else "mean a and mean b of each picture",
        usage="photo.jpg colorized.png" if is_colorizer else "photo.jpg",
        body="\n".join(f"    {line}" for line in _steps(trace(model))),
        main=_COLORIZE if is_colorizer else _MEASURE,
    )


def _steps(program: ExportedProgram) -> list[str]:
    """One line of Python for each operation of the traced graph."""
    names = _inputs(program)
    lines: list[str] = []
    for node in program.graph.nodes:
        if node.op == "call_function":
            arguments = [_written(value, names) for value in node.args]
            arguments += [f"{key}={_written(value, names)}" for key, value in node.kwargs.items()]
            names[node.name] = f"x{len(lines)}"
            lines.append(f"x{len(lines)} = {_called(node)}({', '.join(arguments)})")
        elif node.op == "output":
            lines.append(f"return {_written(node.args[0][0], names)}")
    return lines


def _inputs(program: ExportedProgram) -> dict[str, str]:
    """How each input of the graph is written: the pictures, the weights by name, constants."""
    names = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            names[spec.arg.name] = "L"
        elif spec.kind == InputKind.CONSTANT_TENSOR or spec.persistent is False:
            constant = program.constants[spec.target]
            names[spec.arg.name] = f"torch.tensor({constant.tolist()}, dtype={constant.dtype})"
        else:
            names[spec.arg.name] = f'weights["{spec.target}"]'
    return names


def _called(node: Node) -> str:
    if isinstance(node.target, torch._ops.OpOverload):
        return f"torch.ops.{node.target}"
    # Arithmetic on the number of pictures.
    return f"__import__('operator').{node.target.__name__}"  # type: ignore[union-attr]


def _written(value: Any, names: dict[str, str]) -> str:
    if isinstance(value, Node):
        return names[value.name]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_written(item, names) for item in value)}]"
    if isinstance(value, torch.device):
        return "L.device"
    if isinstance(value, float):
        return f"float('{value}')" if value != value or abs(value) == float("inf") else repr(value)
    return repr(value)
