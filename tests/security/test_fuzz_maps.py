"""Score maps and the benchmark's lists with parts of them wrong: a sentence, or what can still be scored."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rfga.data.benchmarks.cub import CubDataset
from rfga.engine.evaluating.options import Policy, ScoreOptions
from rfga.engine.evaluating.score import score
from rfga.geometry.maps import NORMALISATIONS
from rfga.types import UserError
from tests.security.doors import LONG, answered, deep_folder, fuzz, nothing_outside, run
from tests.security.mutations import NASTY, damaged, scribbled
from tests.security.test_fuzz_truth import IDS, LISTS, write, write_photographs

DTYPES = (
    "<f4",
    "<f8",
    "<f2",
    ">f4",
    "<i8",
    "|u1",
    "<c8",
    "<U3",
    "|S2",
    "|O",
    "|b1",
    "<M8[s]",
    "|V4",
    "[('a', '<f4')]",
)
SHAPES: tuple[str, ...] = (
    "(6, 9)",
    "(9,)",
    "()",
    "(0, 9)",
    "(2, 6, 9)",
    "(225, 9)",
    "(-6, 9)",
    f"({10**9}, {10**9})",
)
SHAPES += ("(4294967296, 4294967296)", "(6.5, 9)", "(True, 9)", "(1000000, 100000)", f"({10**30}, 0)")
VALUES = (0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 65504.0)
PLAIN = np.linspace(0, 1, 54, dtype=np.float32).reshape(6, 9)


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(maps: NDArray[Any], ids: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, maps=maps, ids=ids)
    return stream.getvalue()


def header(dtype: str, shape: str, columns_first: str, version: int) -> bytes:
    """An ``.npy`` file that says of itself what is asked for, with few bytes of data."""
    kind = dtype if dtype.startswith("[") else repr(dtype)
    text = f"{{'descr': {kind}, 'fortran_order': {columns_first}, 'shape': {shape}}}\n".encode()
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + PLAIN.tobytes()


def single_maps() -> st.SearchStrategy[bytes]:
    """The bytes of a map's file."""
    shapes = st.sampled_from([(6, 9), (1, 1), (224, 224), (224, 3), (5, 300), (0, 9), (2, 6, 9), (9,)])
    kinds = st.sampled_from(["f2", "f4", "f8", "i4", "u1", "c8", "U2", "?"])
    stated = st.builds(
        header,
        st.sampled_from(DTYPES),
        st.sampled_from(SHAPES),
        st.sampled_from(["False", "True", "None"]),
        st.integers(1, 4),
    )
    values = st.lists(st.sampled_from(VALUES), min_size=54, max_size=54).map(
        lambda drawn: npy(np.array(drawn).reshape(6, 9))
    )
    with np.errstate(all="ignore"):
        shaped = st.builds(lambda shape, kind: npy(np.ones(shape).astype(kind)), shapes, kinds)
    whole = npz(np.stack([PLAIN, PLAIN]), np.array(IDS))
    return stated | values | shaped | damaged(npy(PLAIN)) | st.just(whole) | st.just(b"")


def stacks() -> st.SearchStrategy[bytes]:
    """The bytes of a stack of maps with their ids."""
    maps = st.sampled_from(
        [(2, 6, 9), (1, 6, 9), (2, 224, 224), (2, 9), (0, 6, 9), (2, 0, 9), (2, 225, 1), ()]
    )
    names = st.lists(st.sampled_from([*IDS, *NASTY[:9]]), max_size=4)
    odd = st.sampled_from(
        [np.array(3), np.zeros((2, 2)), np.array([None, {}], object), np.array([b"a", b"b"])]
    )
    ids = names.map(lambda drawn: np.array(drawn, dtype=str)) | odd
    built = st.builds(lambda shape, ids: npz(np.ones(shape, np.float32), ids), maps, ids)
    return built | damaged(npz(np.stack([PLAIN, PLAIN]), np.array(IDS)))


def lists(data: st.DataObject) -> dict[str, bytes]:
    """The benchmark's lists, most often as they should be."""
    texts = {name: text.encode() for name, text in LISTS.items()}
    if data.draw(st.integers(0, 1)):
        name = data.draw(st.sampled_from(sorted(LISTS)))
        texts[name] = data.draw(scribbled(LISTS[name]).map(str.encode) | damaged(texts[name]))
    return texts


@pytest.fixture(scope="module")
def kernels() -> None:
    """See that the kernels are compiled before anybody looks at the clock."""
    with deep_folder() as folder:
        write(folder / "SET" / "val", {name: text.encode() for name, text in LISTS.items()})
        write(folder / "maps", {f"{name}.npy": npy(PLAIN) for name in IDS})
        score(folder / "maps", folder / "SET" / "val", options=ScoreOptions(step=0.25))


def score_some(data: st.DataObject) -> None:
    with deep_folder() as folder:
        write(folder / "SET" / "val", lists(data))
        first = data.draw(single_maps())
        write(folder / "maps", {f"{IDS[0]}.npy": first, f"{IDS[1]}.npy": npy(PLAIN)})
        maps = folder / "maps"
        if data.draw(st.booleans()):
            maps = folder / "stack.npz"
            maps.write_bytes(data.draw(stacks()))
        options = ScoreOptions(
            step=0.25,
            policy=data.draw(st.sampled_from(get_args(Policy))),
            normalisation=data.draw(st.sampled_from(sorted(NORMALISATIONS))),
        )
        with nothing_outside(folder.parents[2]), np.errstate(all="ignore"):
            answered(partial(score, maps, folder / "SET" / "val", folder, options))


def open_benchmark(data: st.DataObject) -> None:
    with deep_folder() as folder:
        write_photographs(folder / "images")
        write(folder / "metadata" / "val", lists(data))
        with nothing_outside(folder.parents[2]):
            dataset = answered(partial(CubDataset, folder))
            if isinstance(dataset, UserError):
                return
            for sample in dataset.samples("val"):
                assert folder in sample.path.resolve().parents
                for look in (dataset.check, dataset.image, dataset.truth):
                    answered(partial(look, sample))


@fuzz(25)
@given(data=st.data())
def test_maps_with_something_wrong(kernels: None, data: st.DataObject) -> None:
    score_some(data)


@fuzz(25)
@given(data=st.data())
def test_a_benchmark_with_something_wrong(data: st.DataObject) -> None:
    open_benchmark(data)


@pytest.mark.slow
@fuzz(LONG)
@given(data=st.data())
def test_many_maps_with_something_wrong(kernels: None, data: st.DataObject) -> None:
    score_some(data)


@pytest.mark.slow
@fuzz(LONG)
@given(data=st.data())
def test_many_benchmarks_with_something_wrong(data: st.DataObject) -> None:
    open_benchmark(data)


@pytest.mark.parametrize("content", [header("<f8", "(1000000000, 1000000000)", "False", 1), b"no map"])
def test_the_command_tells_of_them(content: bytes, tmp_path: Path) -> None:
    write(tmp_path / "SET" / "val", {name: text.encode() for name, text in LISTS.items()})
    write(tmp_path / "maps", {f"{name}.npy": content for name in IDS})
    ended = run("score", tmp_path / "maps", "--metadata", tmp_path / "SET" / "val", "--quiet")
    assert ended.status == 1
    assert "expected one good map for every image, found 2 wrong" in ended.said
