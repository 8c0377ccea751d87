from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rfga.data.images import read_image, read_size
from rfga.data.unreadable import UnreadableError, require_there
from rfga.types import UserError


@pytest.mark.parametrize("name", ["empty.png", "text.png", "half.png", "gone.png", "."])
def test_which_photographs_are_unreadable(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    Image.linear_gradient("L").resize((40, 30)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-100])
    with pytest.raises(UnreadableError) as caught:
        read_image(tmp_path / name)
    assert isinstance(caught.value, UserError)
    assert read_size(tmp_path / "whole.png") == (30, 40)


def test_what_has_vanished_is_told_and_what_never_was_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "photograph.png"
    with pytest.raises(UnreadableError, match=r"found no file .*photograph\.png: check its name"):
        require_there(path)
    path.symlink_to(tmp_path / "never")
    require_there(path)
