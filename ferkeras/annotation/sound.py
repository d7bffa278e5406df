"""The sound of a video, carried over to its annotated copy."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from ferkeras.annotation.clock import open_source

#: Sampling rate of sound that is encoded anew, where the encoder does not know that of the source.
USUAL_RATE = 48000


class Sound:
    """All sound tracks of a file, a little at a time, beside the pictures; for a `with` statement.

    Packets are copied as they are. Where the container of the copy cannot hold the codec (telephone and Windows codecs
    in MP4), the sound is encoded anew, in the container's usual codec, at equal length. What cannot be decoded for that
    is left out, and told in `problems`.

    Args:
        av: PyAV.
        source: The file; None for no sound.
        target: PyAV's container to write to, without streams so far.
        problems: List to append to.

    Attributes:
        starts: Time stamps at which the tracks begin, in seconds.
    """

    def __init__(self, av: ModuleType, source: Path | None, target: Any, problems: list[str]) -> None:
        self._av, self._target, self._problems = av, target, problems
        self._resources = ExitStack()
        self._tracks: dict[int, Any] = {}  # index in the source to stream of the copy
        self._anew: set[int] = set()
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._shift_s = 0.0
        self.starts: list[float] = []
        if source is None:
            return
        container = self._resources.enter_context(open_source(av, source))
        streams = [stream for stream in container.streams.audio if self._add(stream)]
        self.starts = [float(s.start_time * s.time_base) for s in streams if s.start_time is not None]
        if streams:
            self._packets = self._demux(container, streams)
            self._next = next(self._packets, None)

    def __enter__(self) -> "Sound":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def shift(self, seconds: float) -> None:
        """Has all time stamps moved back by so much."""
        self._shift_s = seconds

    def copy(self, *, until_s: float) -> None:
        """Carries over the packets before a time of the copy, in seconds; `math.inf` for all that are left."""
        while (packet := self._next) is not None:
            steps = round(Fraction(self._shift_s) / packet.time_base)
            if packet.dts is not None and float((packet.dts - steps) * packet.time_base) >= until_s:
                return
            self._carry(packet, steps)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Empties the encoders."""
        for index in self._anew:
            self._target.mux(self._tracks[index].encode(None))

    def _demux(self, container: Any, streams: list[Any]) -> Iterator[Any]:
        try:
            yield from (packet for packet in container.demux(streams) if packet.size)
        except self._av.error.FFmpegError as error:
            self._problems.append(f"the sound ends early: {error.strerror}")

    def _add(self, stream: Any) -> bool:
        """Adds a stream to the copy; False if that cannot be."""
        name = stream.codec_context.name if stream.codec_context is not None else "an unknown codec"
        # The library's decoders have other names than the codecs, such as mp3float.
        codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else ""
        try:
            if codec in self._target.supported_codecs:
                copy = self._target.add_stream_from_template(stream)
            else:
                copy = self._add_encoder(stream)
                self._anew.add(stream.index)
        except (ValueError, self._av.error.FFmpegError) as error:
            self._problems.append(f"the sound in {name} is left out: {error}")
            return False
        if "language" in stream.metadata:
            copy.metadata["language"] = stream.metadata["language"]
        self._tracks[stream.index] = copy
        return True

    def _add_encoder(self, stream: Any) -> Any:
        codec = self._target.default_audio_codec
        rates = self._av.Codec(codec, "w").audio_rates
        rate = stream.rate if not rates or stream.rate in rates else USUAL_RATE
        layout = stream.layout.name if stream.layout.nb_channels > 2 else ("mono", "stereo")[stream.channels - 1]
        return self._target.add_stream(codec, rate=rate, layout=layout)

    def _carry(self, packet: Any, steps: int) -> None:
        index = packet.stream_index
        copy = self._tracks[index]
        if index not in self._anew:
            packet.pts = None if packet.pts is None else packet.pts - steps
            packet.dts = None if packet.dts is None else packet.dts - steps
            packet.stream = copy
            self._target.mux(packet)
            return
        try:
            frames = packet.decode()
        except self._av.error.FFmpegError:
            frames = []
            if (text := "some of the sound cannot be decoded") not in self._problems:
                self._problems.append(text)
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(steps * packet.time_base / frame.time_base)
            self._target.mux(copy.encode(frame))
