from __future__ import annotations

import hashlib
import socket
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from rfga.data.prepare import download
from rfga.data.prepare.download import Remote, fetch
from rfga.data.prepare.watch import Watch
from rfga.types import UserError
from tests.data.prepare.server import Served, serving

CONTENT = np.random.default_rng(0).bytes(3_500_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SILENT = Watch()


def remote_of(served: Served, checksum: str = MD5) -> Remote:
    return Remote(served.url, checksum)


def test_a_file_arrives_whole(tmp_path: Path) -> None:
    with serving(Served(CONTENT)) as served:
        path = fetch(remote_of(served), tmp_path / "new", SILENT)
        assert fetch(remote_of(served), tmp_path / "new", SILENT) == path
    assert path == tmp_path / "new" / "birds.tgz"
    assert path.read_bytes() == CONTENT
    assert served.asked == [None], "what is there is not downloaded again"
    assert [entry.name for entry in path.parent.iterdir()] == ["birds.tgz"]


def test_sha256_is_compared_as_well(tmp_path: Path) -> None:
    with serving(Served(CONTENT)) as served:
        fetch(remote_of(served, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"), tmp_path, SILENT)
        with pytest.raises(UserError, match=r"expected .* to have the checksum sha256:00, found sha256:"):
            fetch(Remote(served.url, "sha256:00", "other.tgz"), tmp_path, SILENT)


def test_a_cut_connection_is_taken_up_where_it_ended(tmp_path: Path) -> None:
    with serving(Served(CONTENT, cut_after=[1_000_000, 7, 0])) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=1000000-", "bytes=1000007-", "bytes=1000007-"]


def test_a_server_without_ranges_is_asked_again_from_the_start(tmp_path: Path) -> None:
    with serving(Served(CONTENT, honours_range=False, cut_after=[2_000_000])) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=2000000-"]


def test_a_later_start_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    with (
        serving(Served(CONTENT, cut_after=[1_500_000, *[0] * download.ATTEMPTS])) as served,
        pytest.raises(UserError, match=r"after 1500000 of 3500000 bytes: 2 MB are kept, start again"),
    ):
        fetch(remote_of(served), tmp_path, SILENT)
    assert [path.name for path in tmp_path.iterdir()] == ["birds.tgz.part"]
    with serving(Served(CONTENT)) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == ["bytes=1500000-"]


def test_a_part_that_is_whole_is_only_compared(tmp_path: Path) -> None:
    (tmp_path / "birds.tgz.part").write_bytes(CONTENT)
    with serving(Served(CONTENT)) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == [f"bytes={len(CONTENT)}-"]


def test_a_part_of_another_file_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "birds.tgz.part").write_bytes(CONTENT + b"more than there is")
    with serving(Served(CONTENT)) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == [f"bytes={len(CONTENT) + 18}-", None]


def test_a_server_that_sends_another_part_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "birds.tgz.part").write_bytes(CONTENT[:1000])
    with serving(Served(CONTENT, shift=5)) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT
    assert served.asked == ["bytes=1000-", None]


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(Served(CONTENT[:-1] + b"!")) as served, pytest.raises(UserError) as error:
        fetch(remote_of(served), tmp_path, SILENT)
    assert f"to have the checksum {MD5}, found md5:" in str(error.value)
    assert "--archives" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_server_that_fails_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with serving(Served(CONTENT, statuses=[503, 500, 429])) as served:
        assert fetch(remote_of(served), tmp_path, SILENT).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, download.ATTEMPTS)])
def test_a_server_that_fails_for_good_is_named(tmp_path: Path, status: int, requests: int) -> None:
    with serving(Served(CONTENT, statuses=[status] * 9)) as served, pytest.raises(UserError) as error:
        fetch(remote_of(served), tmp_path, SILENT)
    assert str(error.value).startswith(
        f"expected to download {served.url}, found the server's answer {status}"
    )
    assert str(error.value).endswith("or download it elsewhere and give it with --archives birds.tgz")
    assert len(served.asked) == requests


def test_without_a_connection_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/birds.tgz"
        with pytest.raises(UserError) as error:
            fetch(Remote(url, MD5), tmp_path, SILENT)
    assert str(error.value).startswith(f"expected to download {url}, found no way there (")
    assert "start again where there is a connection, or download it elsewhere" in str(error.value)


def test_a_silent_server_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/birds.tgz"
        with pytest.raises(UserError, match="timed out"):
            fetch(Remote(url, MD5), tmp_path, SILENT)


def test_progress_ends_at_the_file_s_size(tmp_path: Path) -> None:
    counted = []

    class Meter:
        def advance(self, count: int) -> None:
            counted.append(count)

    totals = []

    def meter(what: str, total: int) -> nullcontext[Meter]:
        totals.append((what, total))
        return nullcontext(Meter())

    (tmp_path / "birds.tgz.part").write_bytes(CONTENT[:1_200_000])
    with serving(Served(CONTENT)) as served:
        fetch(remote_of(served), tmp_path, Watch(meter=meter))
    assert totals == [("downloading birds.tgz, MB", 3)]
    assert sum(counted) == 3
    assert counted[0] == 1, "what was there counts"
