"""A folder of safetensors, settings and a model card, as ``huggingface_hub`` keeps them; no pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rfga.engine.export.model_card import CARD, model_card
from rfga.engine.localizing.localizer import Localizer
from rfga.engine.run.config import TrainConfig
from rfga.engine.run.folder import RunFolder
from rfga.engine.run.pretrained import MODEL_FILES
from rfga.files import is_leftover, replacing_folder, write_json, write_yaml
from rfga.types import UserError

KEPT = (".git", ".gitattributes", ".gitignore")  # of a clone of the repository that the folder belongs to


def export_folder(run: RunFolder, localizer: Localizer, path: Path) -> None:
    """Write the files that ``Localizer.from_pretrained`` reads, and a model card as ``README.md``.

    The files are a run's own, without its checkpoints and report, and without the paths of this machine.

    Args:
        run: the run's folder.
        localizer: its model.
        path: the folder to make, or an earlier one to replace.

    Raises:
        UserError: ``path`` holds other files, or cannot be written, or what was written loads as another
            model.
    """
    _require_replaceable(path)
    config, data = run.read_config()
    metrics = run.read_metrics()
    with replacing_folder(path, keep=KEPT) as temporary:
        written = RunFolder(temporary)
        settings = {"train": _without_paths(config), "data": _data_without_paths(data)}
        write_yaml(temporary / "config.yaml", settings)
        write_json(temporary / "classes.json", list(localizer.classes))
        write_json(temporary / "metrics.json", metrics)
        written.write_model(run.read_model())
        card = model_card(localizer, data, metrics)
        (temporary / CARD).write_text(card, encoding="utf-8")
        again = Localizer.load(temporary, device="cpu")
        if (again.fingerprint, again.threshold) != (localizer.fingerprint, localizer.threshold):
            raise UserError(
                f"expected the run's model in what was written for {path}, found another: export again"
            )


def _require_replaceable(path: Path) -> None:
    """Refuse a folder that is no earlier export: replacing it would lose somebody's files."""
    if not path.is_dir():
        return
    known = {*MODEL_FILES, CARD, *KEPT}
    others = sorted(p.name for p in path.iterdir() if p.name not in known and not is_leftover(p.name))
    if others:
        raise UserError(
            f"expected a new folder or an earlier export, found {path} with {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}: choose another --out"
        )


def _without_paths(config: TrainConfig) -> dict[str, Any]:
    settings = config.to_dict()
    return {**settings, "weights": Path(settings["weights"]).name}


def _data_without_paths(data: dict[str, Any]) -> dict[str, Any]:
    """The description of the data; names alone of files and folders, and how many were skipped."""
    named = {key: Path(data[key]).name for key in ("source", "truth") if data.get(key) is not None}
    return {**data, **named, "skipped": [], "skipped_photographs": len(data.get("skipped", []))}
