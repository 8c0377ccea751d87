"""Prepares a set so that it never looks whole before it is, and goes on where it was interrupted.

Everything is built in ``OUT/.preparing``. When it is finished, ``built.json`` is written there, the parts are
moved to their places, and ``OUT/dataset.json`` comes last; the next call makes up for a kill between any two
of these steps.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rfga.data import MARKER
from rfga.data.prepare import PREPARERS
from rfga.data.prepare.archive import DamagedError
from rfga.data.prepare.job import Archives, Built, Job, Recipe
from rfga.data.prepare.lists import LISTS
from rfga.data.prepare.watch import Watch
from rfga.files import is_leftover, make_folder, remove_leftovers, require_writable, write_json
from rfga.types import UserError
from rfga.untrusted import parse_json

WORK = ".preparing"
PARTS = ("images", "masks", "metadata", "classes.txt", "oxford-iiit-pet")
"""Whatever a prepared set may consist of, besides its marker."""
SAMPLES, SAMPLE_BYTES = 64, 1 << 16


@dataclass(frozen=True)
class Request:
    """What to prepare.

    Args:
        name: of ``PREPARERS``.
        out: the folder of the prepared set.
        archives: local archives and folders of them.
        metadata: the benchmark's lists.
        overwrite: replace a set that was prepared there of something else.
    """

    name: str
    out: Path
    archives: Sequence[Path] = ()
    metadata: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Prepared:
    """What stands in the folder now.

    Args:
        counts: photographs of each split.
        notes: what is missing, and where to get it.
        was_there: it had been prepared before.
    """

    counts: Mapping[str, int]
    notes: tuple[str, ...]
    was_there: bool = False


def prepare(request: Request, watch: Watch | None = None) -> Prepared:
    """Build a set, go on with building it, or see that it is whole.

    Raises:
        UserError: the folder holds something else, or the set's recipe cannot be followed.
    """
    if request.metadata is not None and not request.metadata.is_dir():
        raise UserError(f"expected a folder of lists, found none at {request.metadata}: check --metadata")
    recipe = recipe_of(request.name)
    archives = Archives(request.archives, recipe.archives)
    made_from = _made_from(request, archives)
    require_writable(request.out / MARKER)
    out, work = request.out, request.out / WORK
    if _read(work / "built.json").get("made_from") == made_from:
        return _publish(out)
    held = _read(out / MARKER)
    if not request.overwrite and held.get("made_from") == made_from:
        _remove(work)
        return _prepared(held, was_there=True)
    _check_folder(request, held)
    if _read(work / "request.json") != made_from:
        for stale in ("built.json", "set", "scratch"):
            _remove(work / stale)
        write_json(work / "request.json", made_from)
    job = Job(work, archives, request.metadata, watch or Watch())
    make_folder(job.folder)
    built = _build(recipe, job)
    write_json(work / "built.json", _description(request.name, built, job, made_from))
    return _publish(out)


def recipe_of(name: str) -> Recipe:
    """How a set of ``PREPARERS`` is built."""
    module, _, attribute = PREPARERS[name].partition(":")
    recipe: Recipe = getattr(import_module(module), attribute)
    return recipe


def _build(recipe: Recipe, job: Job) -> Built:
    """Follow the recipe; after an error what serves the next call is kept, and nothing else."""
    _remove_leftovers_in(job.folder)
    try:
        return recipe.build(job)
    except DamagedError:
        _remove(job.folder)  # else files of the right size would be kept when a whole archive is given
        _remove(job.scratch)
        raise
    finally:
        if not any(path.is_file() and path.name != "request.json" for path in job.work.rglob("*")):
            _remove(job.work)


def _remove_leftovers_in(folder: Path) -> None:
    """Half-written files that a kill left somewhere below ``folder``."""
    for path in folder.rglob(".*.tmp"):
        if is_leftover(path.name):
            path.unlink(missing_ok=True)


def _made_from(request: Request, archives: Archives) -> dict[str, Any]:
    """By what a later call knows that it is asked for the same; no paths, for folders may be moved."""
    digest = None
    if request.metadata is not None:
        hashed = hashlib.sha256()
        for path in sorted(request.metadata.rglob("*.txt")):
            if path.name in (*LISTS, "mapping.txt"):
                hashed.update(f"{path.relative_to(request.metadata).as_posix()}\n".encode())
                hashed.update(path.read_bytes())
        digest = hashed.hexdigest()
    files = sorted([path.name, path.stat().st_size, _sample(path)] for path in archives.files)
    return {"dataset": request.name, "archives": files, "metadata": digest}


def _sample(path: Path) -> str:
    """A digest of an archive's ends and of spots between them; its end holds checksums of all the rest.

    Only a plain tar has none; the archives of 100 GB and more are such, and too long to be read for this.
    """
    hashed = hashlib.sha256()
    last = max(0, path.stat().st_size - SAMPLE_BYTES)
    with path.open("rb") as file:
        for spot in range(SAMPLES):
            file.seek(last * spot // (SAMPLES - 1))
            hashed.update(file.read(SAMPLE_BYTES))
    return hashed.hexdigest()


def _check_folder(request: Request, held: Mapping[str, Any]) -> None:
    """Only what this module made is gone on with or replaced."""
    if held and not request.overwrite:
        raise UserError(
            f"expected a new folder, found {request.out} with {held.get('dataset')} prepared from other "
            "archives or lists: add --overwrite to prepare it anew, or choose another --out"
        )
    remove_leftovers(request.out)
    others = [path.name for path in request.out.iterdir() if path.name != WORK and not is_leftover(path.name)]
    if others and not held and not (request.out / WORK / "request.json").is_file():
        raise UserError(
            f"expected a new folder, found {request.out} with {len(others)} entries that are no prepared set "
            f"(first {min(others)}): choose another --out"
        )


def _description(name: str, built: Built, job: Job, made_from: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": name,
        "photographs": dict(built.counts),
        "notes": list(built.notes),
        "parts": [part for part in PARTS if (job.folder / part).exists()],
        "made_from": made_from,
    }


def _publish(out: Path) -> Prepared:
    """Move what was built into place; each step may have been done before a kill."""
    work = out / WORK
    built = _read(work / "built.json")
    (out / MARKER).unlink(missing_ok=True)  # from here on until the end no set is there
    for part in PARTS:
        source = work / "set" / part
        if source.exists():
            _remove(out / part)
            source.replace(out / part)
        elif part not in built["parts"]:
            _remove(out / part)
    write_json(out / MARKER, built)
    _remove(work)
    return _prepared(built)


def _prepared(described: Mapping[str, Any], *, was_there: bool = False) -> Prepared:
    return Prepared(dict(described["photographs"]), tuple(described["notes"]), was_there)


def _read(path: Path) -> dict[str, Any]:
    """A file of ours; empty where there is none, or another one of that name."""
    try:
        held = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
