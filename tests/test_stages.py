"""Time is counted once, for the innermost stage."""

import time

from ferkeras.prediction.stages import Stages


def test_inner_stages_do_not_count_for_outer_ones() -> None:
    stages = Stages()

    def items() -> list[int]:
        with stages.timed("inner"):
            time.sleep(0.03)
        return [1, 2]

    with stages.timed("outer"):
        assert list(stages.each("each", items())) == [1, 2]
        time.sleep(0.01)
    assert stages.seconds["inner"] >= 0.03
    assert 0.01 <= stages.seconds["outer"] < 0.03
    assert stages.table().splitlines()[0].startswith("| inner |")
