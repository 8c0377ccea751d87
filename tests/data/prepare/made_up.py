"""Small archives: hostile ones, and ones of the same structure as the benchmarks'."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Bird(NamedTuple):
    """A photograph of CUB as its archive describes it."""

    name: str
    label: int
    is_train: bool
    size_hw: tuple[int, int]
    box_xywh: tuple[float, float, float, float]


BIRDS = (
    Bird("001.Black_footed_Albatross/B_1.jpg", 0, True, (30, 50), (2.0, 3.0, 20.0, 10.0)),
    Bird("001.Black_footed_Albatross/A_2.jpg", 0, False, (40, 25), (1.0, 2.0, 24.0, 38.0)),
    Bird("002.Laysan_Albatross/C_3.jpg", 1, True, (33, 44), (0.0, 0.0, 44.0, 33.0)),
    Bird("002.Laysan_Albatross/D_4.jpg", 1, False, (20, 31), (5.0, 6.0, 7.0, 8.0)),
)


def photograph(size_hw: tuple[int, int] = (20, 31), seed: int = 0, kind: str = "JPEG") -> bytes:
    """A small picture, not square."""
    pixels = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def mask(size_hw: tuple[int, int] = (20, 31), value: int = 255) -> bytes:
    """A mask whose upper left quarter has ``value``."""
    pixels = np.zeros(size_hw, np.uint8)
    pixels[: size_hw[0] // 2, : size_hw[1] // 2] = value
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    """A plain tar of files; ``gzip.compress`` makes it a tgz."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def odd_tar(path: Path, members: Sequence[tarfile.TarInfo]) -> Path:
    """A tar of members without content, as they are."""
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """A member of a tar that nobody checked."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_file(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_lists(
    folder: Path, ids: Mapping[str, int], localization: Sequence[str] = (), sizes: Sequence[str] = ()
) -> None:
    """The four lists of a split."""
    folder.mkdir(parents=True)
    (folder / "image_ids.txt").write_text("".join(f"{name}\n" for name in ids))
    (folder / "class_labels.txt").write_text("".join(f"{name},{label}\n" for name, label in ids.items()))
    (folder / "localization.txt").write_text("".join(f"{line}\n" for line in localization))
    (folder / "image_sizes.txt").write_text("".join(f"{line}\n" for line in sizes))


def cub_archive(path: Path, birds: Sequence[Bird]) -> Path:
    """An archive of the structure of CUB_200_2011.tgz, photographs of one colour."""
    top, classes = "CUB_200_2011", sorted({bird.name.partition("/")[0] for bird in birds})
    numbered = list(enumerate(birds, 1))
    files = {
        "attributes.txt": b"1 has_bill_shape::curved\n",
        f"{top}/README": b"read me",
        f"{top}/images.txt": lines(f"{n} {bird.name}" for n, bird in numbered),
        f"{top}/train_test_split.txt": lines(f"{n} {int(bird.is_train)}" for n, bird in numbered),
        f"{top}/image_class_labels.txt": lines(f"{n} {bird.label + 1}" for n, bird in numbered),
        f"{top}/bounding_boxes.txt": lines(
            f"{n} {' '.join(f'{number:.1f}' for number in bird.box_xywh)}" for n, bird in numbered
        ),
        f"{top}/classes.txt": lines(f"{n} {name}" for n, name in enumerate(classes, 1)),
        f"{top}/attributes/attributes.txt": b"1 has_bill_shape::curved\n",
    }
    files |= {f"{top}/images/{bird.name}": plain_photograph(bird.size_hw, n) for n, bird in numbered}
    path.write_bytes(gzip.compress(tar_bytes(files), 1, mtime=0))
    return path


def plain_photograph(size_hw: tuple[int, int], shade: int = 0) -> bytes:
    """A picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", (size_hw[1], size_hw[0]), (shade % 256, 90, 40)).save(stream, "JPEG")
    return stream.getvalue()


def lines(texts: Iterable[str]) -> bytes:
    """Texts as the lines of a file."""
    return "".join(f"{text}\n" for text in texts).encode()


def change_tgz(path: Path, changes: Mapping[str, bytes | None]) -> None:
    """Replace files of a tgz; None drops one."""
    with tarfile.open(path) as tar:
        files = {info.name: content.read() for info in tar if (content := tar.extractfile(info))}
    kept = {name: content for name, content in {**files, **changes}.items() if content is not None}
    path.write_bytes(gzip.compress(tar_bytes(kept), 1))


def md5(content: bytes) -> str:
    """As ``Remote`` states it."""
    return f"md5:{hashlib.md5(content).hexdigest()}"


def read_zip(path: Path) -> dict[str, bytes]:
    """The files of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def trimap(size_hw: tuple[int, int] = (20, 31)) -> bytes:
    """Animal, background and outline as 1, 2 and 3."""
    pixels = np.full(size_hw, 2, np.uint8)
    pixels[4:12, 5:20] = 3
    pixels[5:11, 6:19] = 1
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
