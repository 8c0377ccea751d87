"""What is handed out: one version everywhere, and a small wheel that holds all that the program needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import rfga
from tests.conftest import REPOSITORY

SHIPPED = (".py", ".jinja", ".yaml", ".csv", ".typed", ".safetensors", ".html", ".css", ".js")
MOST_BYTES = 1_500_000  # 0.4 MB of them are the weights that the demo looks with
PACKAGE = REPOSITORY / "src" / "rfga"


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(
        r"^## (.+)$", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[0] == "Unreleased"
    released = [heading for heading in headings if heading.startswith(f"{rfga.__version__} - ")]
    assert len(released) == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+ - 20\d\d-\d\d-\d\d", released[0])


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    tree = tmp_path_factory.mktemp("tree")  # the repository's own folder keeps no traces of building
    names = run("git", "-C", REPOSITORY, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((REPOSITORY / name).read_bytes())
    run(sys.executable, "-m", "build", tree, "--outdir", out)
    assert len(list(out.glob("*.tar.gz"))) == 1
    (made,) = out.glob("*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    assert wheel.stat().st_size < MOST_BYTES
    held = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        f"rfga/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix in SHIPPED
    }
    assert needed <= held
    strangers = {name for name in held - needed if ".dist-info/" not in name}
    assert not strangers


@pytest.mark.slow
def test_an_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which sees the packages that rfga needs but not the repository."""
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    packages = sysconfig.get_paths()["purelib"]
    where = "import rfga; print(rfga.__file__)"
    assert str(tmp_path) in run(scripts / "python", "-c", where, PYTHONPATH=packages)
    run(scripts / "rfga", "demo", "--out", tmp_path / "demo", PYTHONPATH=packages, OMP_NUM_THREADS="2")
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
