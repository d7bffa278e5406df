"""Writes a small example of videos with a list of segments: one grey level a frame, no faces.

`python -m tfds_builders.annotated_segments.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from pathlib import Path

import numpy as np

from tfds_builders.base.dummies import encoded_video, write_files

HEIGHT, WIDTH, FPS = 32, 40, 25
#: Path -> number of frames, and the grey level of the first one; each further one is 2 lighter.
VIDEOS = {
    "videos/spain/session_01.avi": (30, 20),
    "videos/spain/session_02.avi": (12, 100),
    "videos/norway/session_07.avi": (15, 150),
}
#: Rows with seconds; 0.5 s is shown from frame 13 on, since frame 12 is at 0.48 s. Segments may overlap.
SECONDS = """\
video,start,end,label,subject,group,split
videos/spain/session_01.avi,0,0.4,neutral,es01,spain,train
videos/spain/session_01.avi,0.32,0.72,happy,es01,spain,train
videos/spain/session_02.avi,0.08,0.4,pensive,es02,spain,train
videos/norway/session_07.avi,0.2,0.5,happy,no07,norway,validation
"""
#: The same segments in frames.
FRAMES = """\
video,start_frame,end_frame,label,subject,group,split
videos/spain/session_01.avi,0,10,neutral,es01,spain,train
videos/spain/session_01.avi,8,18,happy,es01,spain,train
videos/spain/session_02.avi,2,10,pensive,es02,spain,train
videos/norway/session_07.avi,5,13,happy,no07,norway,validation
"""


def level(video: str, frame: int) -> int:
    """The grey level of a frame."""
    return VIDEOS[video][1] + 2 * frame


def avi(video: str) -> bytes:
    frames = [np.full((HEIGHT, WIDTH, 3), level(video, number), np.uint8) for number in range(VIDEOS[video][0])]
    return encoded_video(frames, fps=FPS)


def files(segments: str = SECONDS) -> dict[str, bytes | str]:
    """Path -> content."""
    return {**{video: avi(video) for video in VIDEOS}, "segments.csv": segments, "frames.csv": FRAMES}


def main() -> None:
    write_files(Path(__file__).parent / "dummy_data", files())


if __name__ == "__main__":
    main()
