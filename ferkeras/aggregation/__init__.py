"""From single frames to a clip without a network over time: rules over probabilities, or statistics and a classifier.

Arrays and scikit-learn, no layers: a part of its own on the level of evaluation, whose runners it makes. All of it
treats the frames of a clip as a bag: their order is lost, which is what it is there to be compared with.

`decision` puts together the probabilities of the frames, `feature` their vectors, `classifier` stands on the latter;
`encoding` gets both out of a trained run, `aggregator` is one way from them to a distribution, and `run` makes run
folders of it.
"""

#: What a run folder of an aggregation has in the place of a model of clips.
AGGREGATION_FILE = "aggregation.json"
