"""The Segment Anything refiner: its prompts through stand-ins, and a tiny model where transformers is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rfga.engine.localizing.refiners import load_refiner
from rfga.engine.localizing.sam import SamRefiner, peaks_xy, sam_refiner
from rfga.geometry.refine import mask_of
from rfga.types import FloatArray, Prediction, UserError

CPU = torch.device("cpu")
SIZE_HW = (30, 50)
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8)
BOXES = np.array([[10.0, 5.0, 40.0, 25.0], [0.0, 0.0, 9.0, 9.0]])


def made(boxes: FloatArray = BOXES) -> Prediction:
    score_map = np.zeros((6, 10))
    score_map[2, 6], score_map[1, 1], score_map[3:5, 3:6] = 1.0, 0.6, 0.5
    return Prediction("a.jpg", SIZE_HW, 0, 0.9, boxes, np.ones(len(boxes)), score_map, 0.3)


class Processor:
    """Hands prompts on in the form of the library's, in original pixels."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.image_processor = self

    def __call__(self, **asked: Any) -> dict[str, Tensor]:
        self.asked = asked
        return {
            "input_boxes": torch.tensor(asked["input_boxes"], dtype=torch.float64),
            "input_points": torch.tensor(asked["input_points"], dtype=torch.float64),
            "input_labels": torch.tensor(asked["input_labels"]),
            "original_sizes": torch.tensor([SIZE_HW]),
            "reshaped_input_sizes": torch.tensor([SIZE_HW]),
        }

    def post_process_masks(self, masks: Tensor, original: Tensor, reshaped: Tensor) -> list[Tensor]:
        assert original.tolist() == reshaped.tolist() == [list(SIZE_HW)]
        return [mask > 0 for mask in masks]


class Model:
    """Answers with all that lies in a box, or with nothing."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, input_boxes: Tensor, multimask_output: bool, **prompts: Tensor) -> SimpleNamespace:
        assert not multimask_output
        assert {value.dtype for value in (input_boxes, *prompts.values())} == {torch.float32, torch.int64}
        masks = torch.zeros(1, input_boxes.shape[1], 1, *SIZE_HW)
        for mask, (x0, y0, x1, y1) in zip(masks[0, :, 0], input_boxes[0].int().tolist(), strict=True):
            mask[y0:y1, x0:x1] = self.value
        return SimpleNamespace(pred_masks=masks)


def test_boxes_and_peaks_are_asked_for_and_the_answers_joined() -> None:
    processor = Processor()
    found = SamRefiner(Model(), processor, CPU)(PHOTOGRAPH, made())
    expected = np.zeros(SIZE_HW, np.uint8)
    expected[5:25, 10:40] = expected[0:9, 0:9] = 255
    np.testing.assert_array_equal(found, expected)
    assert (processor.asked["images"] == PHOTOGRAPH).all()
    assert processor.asked["input_boxes"] == [BOXES.tolist()]
    assert processor.asked["input_points"] == [[[[32.5, 12.5]], [[7.5, 7.5]]]]
    assert processor.asked["input_labels"] == [[[1], [1]]]


@pytest.mark.parametrize(("value", "boxes"), [(0.0, BOXES), (1.0, np.zeros((0, 4)))])
def test_without_an_answer_it_is_the_mask_of_the_map(value: float, boxes: FloatArray) -> None:
    prediction = made(boxes)
    found = SamRefiner(Model(value), Processor(), CPU)(PHOTOGRAPH, prediction)
    assert prediction.score_map is not None
    np.testing.assert_array_equal(found, mask_of(prediction.score_map, 0.3, SIZE_HW))


def test_peak_of_a_box_between_the_middles_of_map_pixels_is_its_own_middle() -> None:
    score_map = np.array([[0.0, 1.0], [0.5, 0.2]])
    boxes = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 10.0, 80.0, 20.0]])
    np.testing.assert_array_equal(peaks_xy(score_map, boxes, (20, 80)), [[2.0, 3.0], [20.0, 15.0]])
    assert peaks_xy(score_map, np.zeros((0, 4)), (20, 80)).shape == (0, 2)


def test_without_the_library_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r'^expected the library transformers .*: pip install "rfga\[sam\]"$'):
        sam_refiner(tmp_path, CPU)


def test_folders_without_a_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace())
    with pytest.raises(UserError, match="for --refine sam, found none: give --sam-weights"):
        sam_refiner(None, CPU)
    with pytest.raises(UserError, match=r"found no config\.json there: save the model and its processor"):
        sam_refiner(tmp_path, CPU)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UserError, match="found one that cannot be loaded"):
        sam_refiner(tmp_path, CPU)


@pytest.fixture
def tiny_sam(tmp_path: Path) -> Path:
    """A model with random weights that sees 64 pixels, as ``save_pretrained`` writes it."""
    library: Any = pytest.importorskip("transformers")
    seen = {"image_size": 64, "patch_size": 16}
    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"mlp_dim": 32, "window_size": 2, "num_pos_feats": 8, **seen}
    prompts = {"hidden_size": 16, "mask_input_channels": 4, **seen}
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = library.SamConfig(
        vision_config={**vision, "global_attn_indexes": [0]},
        prompt_encoder_config=prompts,
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 16, "iou_head_depth": 2},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        library.SamModel(config).save_pretrained(tmp_path)
    square, small = {"height": 64, "width": 64}, {"height": 16, "width": 16}
    images = library.SamImageProcessor(
        size={"longest_edge": 64}, pad_size=square, mask_size={"longest_edge": 16}, mask_pad_size=small
    )
    library.SamProcessor(images).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def tiny_sam2(tmp_path: Path) -> Path:
    """The same of the second version."""
    library: Any = pytest.importorskip("transformers")
    stages: dict[str, Any] = {"blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64]}
    stages |= {"num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 4, 2]}
    trunk = library.Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[64, 64],
        global_attention_blocks=[0],
        window_positional_embedding_background_size=[4, 4],
        **stages,
    )
    vision = library.Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    save_tiny(library, "Sam2", vision, tmp_path, image_size=64, patch_size=16)
    return tmp_path


@pytest.fixture
def tiny_sam3(tmp_path: Path) -> Path:
    """The same of the third version's tracker, which takes boxes and points."""
    library: Any = pytest.importorskip("transformers")
    trunk = library.Sam3ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        pretrain_image_size=56,
        window_size=2,
        global_attn_indexes=[1],
    )
    sizes = [[16, 16], [8, 8], [4, 4]]
    vision = library.Sam3VisionConfig(backbone_config=trunk, fpn_hidden_size=32, backbone_feature_sizes=sizes)
    save_tiny(library, "Sam3Tracker", vision, tmp_path, image_size=56, patch_size=14)
    return tmp_path


def save_tiny(
    library: Any, kind: str, vision: Any, folder: Path, *, image_size: int, patch_size: int
) -> None:
    """A model of random weights and its processor."""
    seen = {"image_size": image_size, "patch_size": patch_size, "mask_input_channels": 4, "hidden_size": 32}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = getattr(library, f"{kind}Config")(
        vision_config=vision,
        prompt_encoder_config=getattr(library, f"{kind}PromptEncoderConfig")(**seen),
        mask_decoder_config=getattr(library, f"{kind}MaskDecoderConfig")(
            **decoder, iou_head_hidden_dim=16, iou_head_depth=2
        ),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        getattr(library, f"{kind}Model")(config).save_pretrained(folder)
    square, small = {"height": image_size, "width": image_size}, {"height": 16, "width": 16}
    images = getattr(library, f"{kind[:4]}ImageProcessor")(size=square, mask_size=small)
    getattr(library, f"{kind}Processor")(images).save_pretrained(folder)


@pytest.mark.parametrize("folder", ["tiny_sam", "tiny_sam2", "tiny_sam3"])
def test_a_real_model_answers_each_prompt_by_itself(folder: str, request: pytest.FixtureRequest) -> None:
    refine = load_refiner("sam", request.getfixturevalue(folder), CPU)
    assert refine is not None
    both, first, second = (refine(PHOTOGRAPH, made(BOXES[rows])) for rows in ([0, 1], [0], [1]))
    assert both.shape == SIZE_HW
    assert both.dtype == np.uint8
    np.testing.assert_array_equal(both, np.maximum(first, second))
    assert (first != second).any()
    assert set(np.unique(both).tolist()) == {0, 255}


def test_a_model_of_another_kind_is_refused(tiny_sam: Path) -> None:
    kept = (tiny_sam / "config.json").read_text()
    (tiny_sam / "config.json").write_text(kept.replace('"model_type": "sam"', '"model_type": "bert"'))
    with pytest.raises(UserError, match=r"cannot be loaded .*bert.*: give a folder with a model out of SamM"):
        sam_refiner(tiny_sam, CPU)
    (tiny_sam / "config.json").write_text(kept)
    config = json.loads((tiny_sam / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 2
    (tiny_sam / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"found 14 missing, such as vision_encoder\.layers\.1"):
        sam_refiner(tiny_sam, CPU)
