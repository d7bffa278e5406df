"""Writes a tiny stand-in for MMI: grey videos with one lighter corner, no faces.

`python -m tfds_builders.mmi.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfds_builders.base.dummies import encoded_video, write_files

HEIGHT, WIDTH, FPS = 32, 48, 25
#: How much lighter the upper left quarter of the upright frame is.
CORNER = 80
#: Action unit -> frame, from 1 on, and phase of its markers; and the phases of 12 frames that follow.
MARKERS = {
    "12": ((1, 0), (3, 1), (5, 2), (9, 3), (11, 0)),
    "R6": ((1, 0), (4, 1), (6, 2), (8, 3), (10, 0)),
}
PHASES, APEX = (0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 0, 0), 5


class DummySession(NamedTuple):
    """A session and its one video.

    Attributes:
        number: Of the folder.
        subject: Such as `S002`.
        code: The emotion, None where the file has none.
        view: 0 frontal, 1 profile, 2 both.
        lies: Quarter turns counterclockwise by which the stored frames are turned.
        frames: Number of frames.
        marked: Whether there is a file with markers of action units.
        emotion: What the builder makes of it, None if it leaves it out.
    """

    number: int
    subject: str
    code: int | None
    view: int
    lies: int = 0
    frames: int = 2
    marked: bool = False
    emotion: str | None = None

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.number}"

    @property
    def id(self) -> str:
        return f"Sessions/{self.number}/{self.name}.avi"


SESSIONS = (
    DummySession(106, "S002", 4, 0, frames=12, marked=True, emotion="happy"),
    DummySession(107, "S002", 1, 0, lies=1, frames=7, emotion="angry"),
    DummySession(200, "S021", 6, 0, lies=-1, frames=4, emotion="surprise"),
    DummySession(201, "S053", 5, 0, frames=3, emotion="sad"),
    DummySession(300, "S010", 2, 1),
    DummySession(301, "S010", 2, 2),
    DummySession(400, "S011", 9, 0),
    DummySession(401, "S011", None, 0),
    DummySession(600, "S006", 3, 0, lies=1),
)


def level(session: DummySession, frame: int) -> int:
    """The grey level of a frame outside of the lighter corner."""
    return 20 + 12 * SESSIONS.index(session) + 3 * frame


def avi(session: DummySession) -> bytes:
    frames = []
    for number in range(session.frames):
        frame = np.full((HEIGHT, WIDTH, 3), level(session, number), np.uint8)
        frame[: HEIGHT // 2, : WIDTH // 2] += CORNER
        frames.append(np.ascontiguousarray(np.rot90(frame, session.lies)))
    return encoded_video(frames, fps=FPS)


def session_xml(*views: int | str) -> str:
    tracks = "".join(f'<track trackNumber="{n}" view="{view}"/>' for n, view in enumerate(views, start=1))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<session>{tracks}</session>\n'


def emotion_xml(*codes: object) -> str:
    tags = "".join(f'<Metatag Name="Emotion" Value="{code}"/>' for code in codes)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<File><Metatag Name="Posed" Value="1"/>{tags}</File>\n'


def markers_xml(markers: Mapping[str, Iterable[tuple[object, object]]] = MARKERS) -> str:
    units = "".join(
        f'<ActionUnit Number="{unit}">'
        + "".join(f'<Marker Frame="{frame}" Type="{phase}"/>' for frame, phase in own)
        + "</ActionUnit>"
        for unit, own in markers.items()
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Annotation>{units}</Annotation>\n'


def files() -> dict[str, bytes | str]:
    """Path -> content."""
    content: dict[str, bytes | str] = {}
    for session in SESSIONS:
        folder = f"Sessions/{session.number}"
        content[f"{folder}/session.xml"] = session_xml(session.view)
        content[session.id] = avi(session)
        codes = () if session.code is None else (session.code,)
        content[f"{folder}/{session.name}.xml"] = emotion_xml(*codes)
        if session.marked:
            content[f"{folder}/{session.name}-oao_aucs.xml"] = markers_xml()
    content |= {"Sessions/500/session.xml": session_xml(0), "Sessions/500/S012-500.jpg": b""}
    return content


def main() -> None:
    write_files(Path(__file__).parent / "dummy_data", files())


if __name__ == "__main__":
    main()
