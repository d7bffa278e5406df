"""The annotated copy of a video: same times, same sound, upright, whole."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ferkeras.annotation import video as annotation_video
from ferkeras.annotation.video import AnnotatedVideo
from ferkeras.errors import InputError
from ferkeras.video import open_video
from tests import make_video


def annotated(source: Path, target: Path, *, stop: int | None = None, error: BaseException | None = None) -> list[str]:
    with open_video(source) as video, AnnotatedVideo(source, target) as copy:
        for frame in video.frames(stop=stop):
            copy.write(frame.index, frame.time_s, frame.image)
        if error is not None:
            raise error
    return copy.problems


def write_all(target: Path, images: list[np.ndarray]) -> None:
    with AnnotatedVideo(None, target) as copy:
        for index, image in enumerate(images):
            copy.write(index, index / 25, image)


def stamps(path: Path) -> list[Fraction]:
    """Time stamps of the pictures, in seconds, in the order in which they are shown."""
    with av.open(str(path)) as container:
        return sorted(p.pts * p.time_base for p in container.demux(video=0) if p.size and not p.is_discard)


def packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Times and content of the sound."""
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(audio=0) if p.size]


def samples(path: Path) -> np.ndarray:
    """(N,) the sound, decoded, from its own beginning."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def numbers(path: Path) -> list[int]:
    with open_video(path) as video:
        return [make_video.number_of(frame.image) for frame in video.frames()]


def duration_s(path: Path) -> float:
    with av.open(str(path)) as container:
        return container.duration / 1e6


@pytest.mark.parametrize("late_ms", [0, 480])
def test_sound_is_copied_and_stays_in_sync(tmp_path: Path, late_ms: int) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=30, first_ms=late_ms)
    assert annotated(source, target) == []
    assert packets(target) == packets(source)
    assert stamps(target) == stamps(source)
    assert float(stamps(target)[0]) == pytest.approx(late_ms / 1000)
    assert numbers(target) == list(range(30))
    assert duration_s(target) == pytest.approx(duration_s(source), abs=0.001)


def test_sound_longer_than_the_pictures_is_kept_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=10, sound_s=1.5)
    annotated(source, target)
    assert packets(target) == packets(source)
    assert duration_s(target) == pytest.approx(1.5, abs=0.05)
    assert stamps(target) == stamps(source)


def test_variable_rate(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "copy.mp4"
    times = make_video.write_video(source, frames=20, durations_ms=make_video.UNEVEN_MS)
    annotated(source, target)
    assert [float(stamp) for stamp in stamps(target)] == pytest.approx(times, abs=1e-9)
    assert stamps(target) == stamps(source)
    assert numbers(target) == list(range(20))


def test_rotation_becomes_pixels(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    make_video.write_video(source, frames=6, turned=90)
    annotated(source, target)
    with open_video(source) as old, open_video(target) as new:
        assert old.info.rotation == 90
        assert (new.info.width, new.info.height, new.info.rotation) == (old.info.width, old.info.height, 0)
        for before, after in zip(old.frames(), new.frames(), strict=True):
            assert np.abs(before.image.astype(int) - after.image).mean() < 6


@pytest.mark.parametrize(("height", "width"), [(63, 95), (64, 95), (63, 96)])
def test_odd_size_grows_by_one(tmp_path: Path, height: int, width: int) -> None:
    target = tmp_path / "copy.mp4"
    image = make_video.numbered(5)[:height, :width]
    write_all(target, [image] * 5)
    with open_video(target) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        frame = next(video.frames()).image[:height, :width]
    assert np.abs(frame.astype(int) - image).mean() < 6


def test_camera_has_real_times_and_no_sound(tmp_path: Path) -> None:
    target, times = tmp_path / "camera.mp4", [0.0, 0.033, 0.2, 0.21, 1.5]
    with AnnotatedVideo(None, target) as copy:
        for index, time_s in enumerate(times):
            copy.write(index, time_s, make_video.numbered(index))
    assert [float(stamp) for stamp in stamps(target)] == pytest.approx(times)
    with av.open(str(target)) as container:
        assert not container.streams.audio


def test_frames_that_are_missing_keep_their_time(tmp_path: Path) -> None:
    source, spoilt, target = tmp_path / "source.mp4", tmp_path / "spoilt.mp4", tmp_path / "copy.mp4"
    make_video.write_video(source, frames=30, key_every=10, b_frames=0)
    make_video.spoil_packet(source, spoilt, 15)
    annotated(spoilt, target)
    with open_video(spoilt) as video:
        expected = [(frame.index, frame.time_s) for frame in video.frames()]
    assert 20 <= len(expected) < 30
    assert [float(stamp) for stamp in stamps(target)] == pytest.approx([time for _, time in expected])
    assert numbers(target) == [index for index, _ in expected]
    assert duration_s(target) == pytest.approx(30 / 25, abs=0.001)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_interruption_leaves_a_whole_film_of_what_there_is(tmp_path: Path, error: BaseException) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=40)
    with pytest.raises(type(error)):
        annotated(source, target, stop=15, error=error)
    assert numbers(target) == list(range(15))
    kept, whole = packets(target), packets(source)
    assert kept == whole[: len(kept)]
    assert float(kept[-1][0]) == pytest.approx(15 / 25, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.mp4", "source.mp4"]


def test_nothing_is_left_without_a_frame(tmp_path: Path) -> None:
    target = tmp_path / "copy.mp4"
    with pytest.raises(InputError, match="needs a frame"), AnnotatedVideo(None, target):
        pass
    with pytest.raises(KeyboardInterrupt), AnnotatedVideo(None, target):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_encoder_reach_the_caller(tmp_path: Path) -> None:
    target = tmp_path / "copy.mp4"
    images = [make_video.numbered(0), np.zeros((64, 96, 4), np.uint8)]
    with pytest.raises(ValueError, match="array"):
        write_all(target, images)
    assert list(tmp_path.iterdir()) == []


def test_codec_that_the_container_cannot_hold_is_encoded_anew(tmp_path: Path) -> None:
    source, target = tmp_path / "source.avi", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=40, sound="pcm_alaw", sound_rate=8000)
    assert annotated(source, target) == []
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        audio = container.streams.audio[0]
        assert float(audio.duration * audio.time_base) == pytest.approx(1.6, abs=0.03)
    old, new = samples(source).astype(float) / 32768, samples(target).astype(float)
    shift = np.argmax(np.correlate(new[: len(old) + 400], old[: len(old) - 400], mode="valid"))
    assert shift <= 16  # 2 ms; a tone of 440 Hz, so whole periods of 18 samples are told apart by the swelling


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_other_containers(tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / f"copy{suffix}"
    make_video.write_film(source, frames=20)
    assert annotated(source, target) == []
    assert [data for _, data in packets(target)] == [data for _, data in packets(source)]
    # Matroska has no times below 0, where the lead-in of AAC lies: sound and pictures move by it together.
    moved = float(packets(target)[0][0] - packets(source)[0][0])
    assert moved == pytest.approx(1024 / 44100 if suffix == ".mkv" else 0, abs=0.001)
    assert [float(s) - moved for s in stamps(target)] == pytest.approx([float(s) for s in stamps(source)], abs=0.001)


def test_transport_stream_begins_at_zero(tmp_path: Path) -> None:
    source, target = tmp_path / "source.ts", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=20, offset_s=5)
    annotated(source, target)
    moved = min(stamps(source)[0], packets(source)[0][0])
    assert moved > 4.9
    assert [float(s) for s in stamps(target)] == pytest.approx([float(s - moved) for s in stamps(source)], abs=1e-4)
    times = [float(time - moved) for time, _ in packets(source)]
    assert [float(time) for time, _ in packets(target)] == pytest.approx(times, abs=1e-4)
    np.testing.assert_array_equal(samples(target), samples(source))


def test_colours_survive(tmp_path: Path) -> None:
    """Whether the source says by which matrix its colours are stored (2 is: it does not) or not."""
    for matrix in (1, 2, 5):
        source, target = tmp_path / f"{matrix}.mp4", tmp_path / f"copy{matrix}.mp4"
        patch = np.empty((64, 96, 3), np.uint8)
        patch[:, :48], patch[:, 48:] = (200, 60, 30), (20, 160, 90)
        make_video.write_video(source, frames=4, picture=lambda _, patch=patch: patch, matrix=matrix)
        annotated(source, target)
        with open_video(source) as old, open_video(target) as new:
            before, after = next(old.frames()).image.astype(int), next(new.frames()).image.astype(int)
        assert np.abs(before[:, 10:40].mean((0, 1)) - after[:, 10:40].mean((0, 1))).max() < 3
        with av.open(str(target)) as container:
            assert container.streams.video[0].codec_context.colorspace == matrix


def test_without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(annotation_video.ENCODERS, "libx264")
    source, target = tmp_path / "source.ts", tmp_path / "copy.mp4"
    make_video.write_film(source, frames=20)
    annotated(source, target)
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert numbers(target) == list(range(20))
    steps = np.diff([float(stamp) for stamp in stamps(target)])
    np.testing.assert_allclose(steps, 0.04, atol=1e-4)


def test_wrong_use(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    make_video.write_video(source, frames=3)
    with pytest.raises(InputError, match=r"ends in \.mp4"):
        AnnotatedVideo(source, tmp_path / "copy.webm")
    with pytest.raises(InputError, match="may not replace"):
        AnnotatedVideo(source, source)
    with pytest.raises(InputError, match="in order"), AnnotatedVideo(source, tmp_path / "copy.mp4") as copy:
        copy.write(-1, 0.0, make_video.numbered(0))
