"""How kernels are compiled and kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np

from rfga.geometry.kernel import inlined, kernel

SCRIPT = "import numpy as np; from rfga.geometry.buffers import new_bytes; print(len(new_bytes(np.int64(3))))"


def test_the_users_cache_folder_is_used_and_left_as_it_was(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "3"
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("kernels-")
    assert any(folder.rglob("*.nbi"))


def test_decorating_leaves_numbas_settings_alone() -> None:
    before = dict(vars(numba.config))

    @kernel
    def total(values: np.ndarray) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    @inlined
    def twice(value: float) -> float:
        return 2 * value

    assert total(np.array([1.0, 2.5])) == 3.5
    assert twice(2.0) == 4.0
    assert vars(numba.config)["CACHE_DIR"] == before["CACHE_DIR"]
