"""Making the examples of a split on a cluster, by Apache Beam, as far as it is not TFDS's own work.

Nothing but numbers of sources goes through the pipeline, whose size services limit: every worker reads the lists of
the official files for itself, finds the same sources in the same order, and makes those whose numbers it is given.
What was left out comes back in a file, since a worker cannot add to a list of this process.
"""

import functools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from tfds_builders.base.skips import SkipList
from tfds_builders.base.source import Skip

if TYPE_CHECKING:
    import apache_beam as beam

    from tfds_builders.base.shared import SharingBuilder

_TOLD = "told"


def examples_of(
    builder: "SharingBuilder", split: str, order: int, count: int, manual_dir: Path
) -> "beam.PTransform[Any, Any]":
    """What makes the examples of a split.

    Args:
        builder: Says how.
        split: Name of the split.
        order: Its place among the splits.
        count: Number of its sources.
        manual_dir: The official files, at the same path on every worker, as is `builder.data_dir`.
    """
    import apache_beam as beam

    maker = _Maker(builder, split, count, manual_dir)
    step = builder.at_a_time
    spans = [(start, min(start + step, count)) for start in range(0, count, step)]
    file = Path(builder.data_dir) / f".{_TOLD}.{order}.{split}.json"

    def expand(pipeline: Any) -> Any:
        # Without a reshuffle a runner may do all spans where it made them.
        made = (
            pipeline
            | "Spans" >> beam.Create(spans)
            | "Share" >> beam.Reshuffle()
            | "Make" >> beam.FlatMap(maker.examples).with_outputs(_TOLD, main="examples")
        )
        told = made[_TOLD] | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
        _ = told | "Tell" >> beam.Map(functools.partial(_write, file=file))
        return made["examples"]

    return beam.ptransform_fn(expand)()


def told(folder: Path) -> dict[str, tuple[int, list[Skip]]]:
    """Split -> examples that were made and what was left out, of what workers wrote into `folder`, which goes."""
    found = {}
    for path in sorted(folder.glob(f".{_TOLD}.*.json")):
        spans = sorted(json.loads(path.read_text()))
        skips = [Skip(*skip) for _, _, skips in spans for skip in skips]
        found[path.name.split(".", 3)[3].removesuffix(".json")] = (sum(kept for _, kept, _ in spans), skips)
        path.unlink()
    return found


class _Maker:
    """Makes the sources of one split whose numbers it is given."""

    def __init__(self, builder: "SharingBuilder", split: str, count: int, manual_dir: Path) -> None:
        self.builder, self.split, self.count, self.manual_dir = builder, split, count, manual_dir

    @functools.cached_property
    def _sources(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the command has told them
            sources = self.builder.sources(self.manual_dir, SkipList())[self.split]
        if len(sources) != self.count:
            raise InputError(
                f"All workers should see the same files in {self.manual_dir}",
                received=f"{len(sources)} examples of {self.split} on one, {self.count} where the command runs",
            )
        return sources

    def examples(self, span: tuple[int, int]) -> Iterator[Any]:
        """Keys and examples; at last, for another output, where the span begins, how many they are, and the skips."""
        from apache_beam.pvalue import TaggedOutput

        make, kept, skips = self.builder.make(), 0, []
        for source in self._sources[slice(*span)]:
            for result in make(source):
                if isinstance(result, Skip):
                    skips.append(tuple(result))
                else:
                    kept += 1
                    yield self.builder.stored(source, result)
        yield TaggedOutput(_TOLD, (span[0], kept, skips))


def _write(spans: list[Any], *, file: Path) -> None:
    write_atomically(file, json.dumps(spans))
