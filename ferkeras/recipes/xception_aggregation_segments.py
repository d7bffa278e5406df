"""Emotion of segments of one's own videos: statistics of the frames' vectors and a support vector machine.

Source: the report named in `xception_lstm_segments`, in which the aggregation of frames is what the recurrent networks
are held against; mean, variance, minimum and maximum are those of Bargal et al., ICMI 2016, see
`ferkeras.aggregation.feature`. The windows are those of `xception_lstm_segments`.

Command: python train.py xception_aggregation_segments, after python train.py xception_frame_segments --manual-dir DIR,
with DIR as `ferkeras datasets` tells.
Cost and result: not measured; the recordings of the report are not public.
"""

from ferkeras.recipe import Aggregation, Recipe
from ferkeras.recipes.xception_frame_segments import RECIPE as FRAMES
from ferkeras.recipes.xception_lstm_segments import RECIPE as WINDOWS

RECIPE = Recipe(
    name="xception_aggregation_segments",
    model=FRAMES.model,
    data=WINDOWS.data,
    aggregation=Aggregation(FRAMES.name, method="statistics", classifier="svm"),
)
