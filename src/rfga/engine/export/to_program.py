"""One ``.pt2`` file of ``torch.export``: operations and weights, for torch without this package."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rfga.engine.export.agreement import Agreement, Outputs, require_agreement
from rfga.engine.export.graph import metadata_of, module_of, record
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.folder import RunFolder
from rfga.files import replacing

METADATA = "rfga.json"  # what the file holds besides, for torch.export.load's ``extra_files``


def export_program(run: RunFolder, localizer: Localizer, path: Path) -> Agreement:
    """Write the network as a program of ``torch.export``, and see that what is loaded again agrees.

    Input and outputs are those of ``graph.AllMaps``, the batch size is free. The metadata are the file's
    extra file ``rfga.json``.

    Args:
        run: the run's folder.
        localizer: its model.
        path: the file to write.

    Raises:
        UserError: the network cannot be exported, the file cannot be written, or it disagrees.
    """
    del run
    module, size = module_of(localizer), localizer.config.image_size
    written = io.BytesIO()  # since torch wants the file's name to end in .pt2
    notes = json.dumps(metadata_of(localizer), ensure_ascii=False)
    torch.export.save(record(module, size), written, extra_files={METADATA: notes})
    with replacing(path) as temporary:
        temporary.write_bytes(written.getvalue())
        loaded = torch.export.load(io.BytesIO(temporary.read_bytes())).module()

        def run_again(images: NDArray[np.float32]) -> Outputs:
            logits, maps = loaded(torch.from_numpy(images))
            return logits.detach().numpy(), maps.detach().numpy()

        return require_agreement(module, size, run_again)
