"""One ``.onnx`` file for onnxruntime and its like, with what a program needs to know in its metadata."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from rfga.engine.export.agreement import Agreement, Outputs, require_agreement
from rfga.engine.export.graph import (
    INPUT,
    OUTPUTS,
    TRACED_BATCH,
    cannot_export,
    metadata_of,
    module_of,
    random_pixels,
    record,
)
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.folder import RunFolder
from rfga.files import replacing
from rfga.types import UserError

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = 2**31  # of a file of this kind


def export_onnx(run: RunFolder, localizer: Localizer, path: Path) -> Agreement:
    """Write the network as ONNX and see with onnxruntime that it agrees with the run.

    Input ``images`` (B, 3, S, S) float32, RGB from 0 to 255; outputs ``logits`` (B, K) and ``maps``
    (B, K, h, w), the raw maps of all classes; B is free. The metadata are those of ``graph.metadata_of``.

    Args:
        run: the run's folder.
        localizer: its model.
        path: the file to write.

    Raises:
        UserError: a library is not installed, the network cannot be exported or is too large, the file
            cannot be written, or what was written disagrees.
    """
    del run
    _require_libraries()
    module, size = module_of(localizer), localizer.config.image_size
    weights = sum(value.numel() * value.element_size() for value in module.state_dict().values())
    if weights >= MOST_BYTES:
        raise UserError(
            f"expected weights below 2 GiB for ONNX, found {weights / 2**30:.1f} GiB: use --format torch"
        )
    model = _model(record(module, size), size)
    for key, value in metadata_of(localizer).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        return require_agreement(module, size, _running(temporary))


def _model(program: ExportedProgram, image_size: int) -> Any:
    """The ONNX model of recorded operations, without the exporter's notes on where each came from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own code, which its caller cannot change
        try:
            exported = torch.onnx.export(
                program,
                (random_pixels(TRACED_BATCH, image_size),),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                verbose=False,
            )
        except Exception as error:  # of any type, from anywhere in the exporter
            raise cannot_export(error) from error
    assert exported is not None
    shape = exported.model.graph.inputs[0].shape
    assert shape is not None
    free = re.compile(rf"\b{re.escape(str(shape[0]))}\b")  # what the exporter calls the number of images
    model = exported.model_proto
    for graph in (model.graph, *model.functions):
        for noted in (graph, *graph.node, *graph.value_info):
            del noted.metadata_props[:]
    inside = (value for function in model.functions for value in function.value_info)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *inside):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = free.sub("batch", dim.dim_param)
    return model


def _running(path: Path) -> Any:
    """The file as onnxruntime runs it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.float32]) -> Outputs:
        logits, maps = session.run(list(OUTPUTS), {INPUT: images})
        return logits, maps

    return run


def _require_libraries() -> None:
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(
            f"expected the libraries {', '.join(LIBRARIES)} to export ONNX, found no {', '.join(absent)}: "
            'pip install "rfga[onnx]"'
        )
