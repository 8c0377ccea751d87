"""Where a trained model is taken from: a folder of this machine, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from rfga.types import UserError

MODEL_FILES = ("config.yaml", "classes.json", "metrics.json", "model.safetensors")
"""What is read of a run or of an exported folder, and downloaded of a repository: nothing else."""

_REPOSITORY = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")  # user/name, or a name alone


def model_folder(source: Path | str, revision: str | None = None) -> Path:
    """The local folder of a trained model: ``source`` itself, or the downloaded files of a repository.

    Args:
        source: run folder, folder of ``rfga export --format folder``, or the name of a repository
            ("user/name") on the Hugging Face hub.
        revision: branch, tag or commit of the repository; by default its main branch.

    Raises:
        UserError: there is neither such a folder nor such a repository, it cannot be downloaded, or the
            library that does so is not installed.

    Example:
        >>> model_folder(Path.cwd()) == Path.cwd()
        True
    """
    if Path(source).is_dir():
        return Path(source)
    name = str(source)
    if Path(source).exists() or not _REPOSITORY.fullmatch(name):
        raise UserError(
            f"expected a run folder, an exported folder or the name of a repository, found {name}: check it"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UserError(
            f"expected a folder, found none called {name}; for a repository of that name the library "
            'huggingface_hub is needed: pip install "rfga[hub]"'
        ) from error
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(MODEL_FILES)))
    except Exception as error:  # of the library and of those below it: no connection, no such name, no access
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"expected a folder or a repository on the hub called {name}, found no such folder and could not "
            f"download it ({reason[:200]}): check the name and the connection"
        ) from error
