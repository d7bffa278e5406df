"""The XML files of MMI: what is read, what is refused, and that nothing outside of them is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from tfds_builders.mmi.make_dummy_data import APEX, MARKERS, PHASES, emotion_xml, markers_xml, session_xml
from tfds_builders.mmi.metadata import MAX_BYTES, apex_of, read_emotion, read_phases, read_views


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "106" / "x.xml"


def write(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_views_and_emotions(file: Path) -> None:
    assert read_views(write(file, session_xml(0))) == {0}
    assert read_views(write(file, session_xml(0, 1))) == {0, 1}
    assert read_views(write(file, session_xml(2).replace("</session>", "<track/></session>"))) == {2}, "a sound track"
    assert read_emotion(write(file, emotion_xml(4))) == 4
    assert read_emotion(write(file, emotion_xml(4, 4))) == 4
    assert read_emotion(write(file, emotion_xml(11))) == 11
    assert read_emotion(write(file, emotion_xml())) is None
    assert read_emotion(write(file, '<a><METATAG Name="EMOTION" Value=" 3 "/></a>')) == 3


def test_phases_are_those_of_the_most_active_unit(file: Path) -> None:
    phases = read_phases(write(file, markers_xml()))
    assert phases is not None
    assert phases.tolist() == list(PHASES[: len(phases)])
    assert len(phases) == max(frame for own in MARKERS.values() for frame, _ in own)
    assert apex_of(phases) == APEX
    late = read_phases(write(file, markers_xml({"L12": [(3, 1), (4, 2)], "4": []})))
    assert late is not None
    assert late.tolist() == [-1, -1, 1, 2]
    assert read_phases(write(file, markers_xml({"4": []}))) is None


@pytest.mark.parametrize(
    ("phases", "apex"),
    [([0, 1, 3], None), ([2], 0), ([0, 2, 2, 0, 2, 2, 2], 5), ([2, 2, 0, 2, 2], 0), ([-1, 2, 2, 2, 2], 2)],
)
def test_the_apex_is_the_middle_of_the_longest_stay(phases: list[int], apex: int | None) -> None:
    assert apex_of(np.array(phases)) == apex


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_views, session_xml(), r"106/x\.xml should have tracks with the view 0, 1 or 2"),
        (read_views, session_xml(3), "should have tracks with the view"),
        (read_views, session_xml(0, ""), "should have tracks with the view"),
        (read_views, "<session><track/></session>", "should have tracks with the view"),
        (read_emotion, emotion_xml("happy"), r"106/x\.xml should have one code of an emotion\. Received: happy"),
        (read_emotion, emotion_xml(0), "should have one code"),
        (read_emotion, emotion_xml(-1), "should have one code"),
        (read_emotion, emotion_xml(""), "should have one code"),
        (read_emotion, emotion_xml(1, 4), "should have one code of an emotion. Received: 1, 4"),
        (
            read_phases,
            markers_xml({"1": [(0, 1)]}),
            r"106/x\.xml should have markers with .* Received: Frame=0, Type=1",
        ),
        (read_phases, markers_xml({"1": [(1, 4)]}), "should have markers with"),
        (read_phases, markers_xml({"1": [("", 1)]}), "should have markers with"),
        (read_phases, markers_xml({"1": [(1.5, 1)]}), "should have markers with"),
        (read_phases, markers_xml({"1": [(99999999, 1)]}), "should have markers with"),
        (read_phases, markers_xml({"1": [(4, 1), (4, 2)]}), "one marker of an action unit at frame 4"),
        (read_emotion, emotion_xml(4)[:70], r"106/x\.xml cannot be read"),
        (read_emotion, "", "cannot be read"),
        (read_emotion, b"\x89PNG\r\n", "cannot be read"),
        (read_emotion, '<?xml version="1.0" encoding="klingon"?><a/>', "cannot be read"),
        (read_emotion, " " * (MAX_BYTES + 1), "may have 1024 KiB"),
    ],
)
def test_a_bad_file_is_an_error_with_its_name(read: object, content: str | bytes, message: str, file: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(write(file, content))  # type: ignore[operator]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "definition",
    ['<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/hostname">'],
)
def test_document_types_are_refused(definition: str, encoding: str, file: Path) -> None:
    text = f'<!DOCTYPE x [{definition}]><x><Metatag Name="Emotion" Value="4"/>&b;</x>'
    with pytest.raises(InputError, match=r"106/x\.xml cannot be read\. Received: a document type, x"):
        read_emotion(write(file, text.encode(encoding)))


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 1, 2, 3])), min_size=1, unique_by=lambda m: m[0]))
def test_one_unit_is_in_the_phase_of_its_last_marker(markers: list[tuple[int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        phases = read_phases(write(Path(folder) / "x.xml", markers_xml({"12": markers})))
    assert phases is not None
    assert len(phases) == max(frame for frame, _ in markers)
    for number, phase in enumerate(phases, start=1):
        before = [marker for marker in markers if marker[0] <= number]
        assert phase == (max(before)[1] if before else -1)
