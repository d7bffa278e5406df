"""Two networks per frame, one of the picture and one of its optical flow, and a bidirectional LSTM over both.

Sources: the two-stream scheme of Simonyan & Zisserman, "Two-stream convolutional networks for action recognition in
videos", NeurIPS 2014, with the bidirectional recurrent network of Schuster & Paliwal, IEEE Transactions on Signal
Processing 1997; the flow is that of Horn & Schunck, 1981, see `ferkeras.layers.OpticalFlow`.
"""

import keras
from keras import layers

from ferkeras.layers import FoldFrames, OpticalFlow, UnfoldFrames
from ferkeras.models.sequence import frame_map, split_shape
from ferkeras.models.small_cnn import WIDTHS
from ferkeras.models.temporal import recurrent_temporal


def two_stream_bilstm(
    *,
    backbone: str = "small_cnn",
    width: float = 1.0,
    weights: str | None = None,
    hidden: int = 128,
    dropout: float = 0.4,
    flow_iterations: int = 16,
    flow_smoothness: float = 8.0,
    input_shape: tuple[int | None, ...] = (None, 48, 48, 1),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """The vectors of both streams, joined frame by frame, a bidirectional LSTM, and logits from its two last states.

    Deviations: the streams are joined before the logits and not by averaging those; the flow is that of one pair of
    frames and not of a stack of ten, as the LSTM sees them all; it is computed in the model and not ahead of it.

    Masked frames have zero flow, as has one that follows them, and the LSTM passes them over: padding changes nothing,
    whatever it holds. There is no encoder of single frames, as flow takes two: nothing of this model can be
    cached or fed frame by frame.

    Args:
        backbone: Of the picture's stream, see `ferkeras.models.sequence.frame_map`, as for `weights`.
        width: Factor on the channels of the flow's stream, and of `small_cnn`.
        hidden: State size of the LSTM in each direction.
        dropout: Rate before the logits.
        flow_iterations: Of `OpticalFlow`.
        flow_smoothness: Of `OpticalFlow`, in grey levels per pixel.
        input_shape: T or None, H, W, C with C of 1 or 3.
        classes: K.

    Returns:
        A functional model. Inputs `frames` (B, T, H, W, C) with pixels in [0, 255] and `frame_mask` (B, T), bool;
        output `{"emotion": (B, K)}` logits. Layers `flow` (B, T, H, W, 2), and the models `appearance` and `motion`,
        a picture and a flow to a vector each, and `temporal`.

    Raises:
        ValueError: as `frame_map`, `OpticalFlow` and `recurrent_temporal`.
    """
    frames, shape = split_shape(input_shape)
    clip = keras.Input((frames, *shape), name="frames")
    frame_mask = keras.Input((frames,), dtype="bool", name="frame_mask")
    flow = OpticalFlow(iterations=flow_iterations, smoothness=flow_smoothness, name="flow")(clip, frame_mask)
    appearance = _appearance(shape, backbone=backbone, width=width, weights=weights)
    motion = _motion((*shape[:2], 2), width=width)
    vectors = [
        appearance(FoldFrames(name="fold_pictures")(clip, frame_mask)),
        motion(FoldFrames(name="fold_flow")(flow, frame_mask)),
    ]
    joined = layers.Concatenate(name="join")(vectors)
    temporal = recurrent_temporal(
        frames=frames,
        width=joined.shape[-1],
        heads={"emotion": classes},
        bidirectional=True,
        hidden=hidden,
        dropout=dropout,
    )
    features = UnfoldFrames(name="unfold")(joined, frame_mask)
    logits = temporal({"features": features, "frame_mask": frame_mask})["emotion"]
    # Keras names an output after the layer that gives it, which would be `temporal`.
    outputs = {"emotion": layers.Activation("linear", dtype="float32", name="emotion")(logits)}
    return keras.Model({"frames": clip, "frame_mask": frame_mask}, outputs, name=name or "two_stream_bilstm")


def _appearance(shape: tuple[int, int, int], *, backbone: str, width: float, weights: str | None) -> keras.Model:
    """A picture (B, H, W, C) to a vector (B, D)."""
    image = keras.Input(shape, name="image")
    x = frame_map(image, backbone=backbone, width=width, weights=weights)
    return keras.Model(image, layers.GlobalAveragePooling2D(name="features")(x), name="appearance")


def _motion(shape: tuple[int, int, int], *, width: float) -> keras.Model:
    """Flow (B, H, W, 2) in pixels per frame to a vector (B, 256*width), by the layers of `small_cnn`.

    That network itself takes pixels in [0, 255]; brought to them, small motions would be lost in bfloat16.
    """
    flow = keras.Input(shape, name="flow")
    x = flow
    for index, channels in enumerate(WIDTHS, start=1):
        channels = max(1, round(channels * width))
        x = layers.Conv2D(channels, 3, padding="same", kernel_initializer="he_normal", name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
        if index < len(WIDTHS):
            x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
    return keras.Model(flow, layers.GlobalAveragePooling2D(name="features")(x), name="motion")
