"""The tables that are written row by row."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ferkeras import rows
from ferkeras.rows import open_table, open_writer


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_rows_leave_the_memory(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROW_GROUP", 500)
    path = tmp_path / f"rows{suffix}"

    def on_disk() -> int:
        return sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())

    with open_writer(path, classes=["happy"]) as write:
        sizes = []
        for count in range(3200):
            write({"source": f"film{count}.mp4", "frame": count, "happy": count / 3200})
            if count % 800 == 799:
                sizes.append(on_disk())
        assert not path.exists()
    assert 0 < sizes[0] < sizes[1] < sizes[2] < sizes[3] <= path.stat().st_size
    if suffix == ".parquet":
        assert pq.ParquetFile(path).metadata.num_row_groups == 7
        assert pq.read_table(path).num_rows == 3200


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_numbers_that_are_none_and_names_that_are_no_text(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    with open_table(path, ("source", "valence", "arousal")) as write:
        write({"source": os.fsdecode(b"a\xff\xc3\xa4.png"), "valence": float("nan"), "arousal": float("inf")})
    if suffix == ".parquet":
        assert list(pq.read_table(path).to_pylist()[0].values()) == ["a\\udcffä.png", None, None]
    elif suffix == ".csv":
        assert path.read_text(encoding="utf-8").splitlines()[1] == "a\\udcffä.png,,"
    else:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert (found[0] if suffix == ".json" else found) == {
            "source": "a\\udcffä.png",
            "valence": None,
            "arousal": None,
        }


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl", ".parquet"])
def test_a_column_that_the_table_has_not(suffix: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no column sad"),
        open_writer(tmp_path / f"a{suffix}", classes=["happy"]) as write,
    ):
        write({"frame": 0, "sad": 1.0})
    assert not list(tmp_path.iterdir())


def test_a_pipe_sees_each_row_at_once() -> None:
    code = (
        "import sys\nfrom ferkeras.rows import open_writer\n"
        "with open_writer(None, classes=[]) as write:\n"
        "    for line in sys.stdin: write({'frame': int(line)})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        for number in range(3):
            print(number, file=process.stdin)
            if number == 0:
                assert process.stdout.readline().startswith("source,frame,")
            assert process.stdout.readline() == f",{number},,,,,,,,,,,\n"
        process.stdin.close()
    assert process.returncode == 0
