"""Weights on disk: named tensors without code, written whole; and how two networks are told apart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from rfga.files import replacing

_SYSTEM_CODE = re.compile(r"(?P<reason>[^:]*) \(os error (?P<code>\d+)\)")


def write_weights(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors, contiguous and on the CPU, as a safetensors file.

    Raises:
        UserError: the file cannot be written; what was at ``path`` is as it was.

    Example:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
        >>> write_weights({"w": torch.zeros(2, 3)}, path)
        >>> path.stat().st_size > 24
        True
    """
    with replacing(path) as temporary, system_errors_told():
        save_file(tensors, temporary)


@contextmanager
def system_errors_told() -> Iterator[None]:
    """Inside the block, what the system says of a full disk comes as an OSError, not as the library's own."""
    try:
        yield
    except SafetensorError as error:
        told = _SYSTEM_CODE.search(str(error))
        if told is None:
            raise
        raise OSError(int(told["code"]), told["reason"].strip()) from error


def weights_fingerprint(network: nn.Module) -> str:
    """The same text for the same weights, another for any other.

    Example:
        >>> weights_fingerprint(nn.Identity()) == weights_fingerprint(nn.Linear(1, 1))
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
