"""Draws one face: curves from `face_shape`, painted on a large canvas, shrunk, lit and photographed.

The face is painted with OpenCV in flat colours at `CANVAS` pixels and reduced by area averaging, which
removes the jagged edges. Light and camera act on the small image, where they are cheap.
"""

import cv2
import numpy as np
import numpy.typing as npt

from ferkeras.errors import InputError
from tfds_builders.synthetic_faces.action_units import INDEX, FloatArray
from tfds_builders.synthetic_faces.face_shape import BROW_Y, EYE_Y, Camera, Curves, Pose, face_curves
from tfds_builders.synthetic_faces.face_shape import landmarks as landmark_points
from tfds_builders.synthetic_faces.identity import Colour, Identity
from tfds_builders.synthetic_faces.scene import Bar, Scene

#: Pixels of the canvas that every picture is painted on, whatever its final size.
CANVAS = 224
_SHIFT = 4  # OpenCV takes coordinates in sixteenths of a pixel

Image = npt.NDArray[np.uint8]


def render_face(
    identity: Identity,
    action_units: FloatArray,
    *,
    pose: Pose,
    scene: Scene,
    size: int,
    channels: int,
    noise_rng: np.random.Generator,
) -> tuple[Image, npt.NDArray[np.float32]]:
    """Renders one face.

    Args:
        identity: Who is shown.
        action_units: Intensities (N,), or (2, N) for the image-left and the image-right side, in [0, 1].
        pose: Head pose, gaze and blink.
        scene: Light, background, camera, occluder.
        size: Height and width of the result in pixels, 16 to `CANVAS`.
        channels: 1 for grey, 3 for RGB.
        noise_rng: Draws the sensor noise.

    Returns:
        The image, uint8 (size, size, channels), and the 68 landmarks as x, y in its pixels, float32 (68, 2).

    Raises:
        InputError: if `size` or `channels` is out of range.
    """
    if not (16 <= size <= CANVAS and channels in (1, 3)):
        raise InputError(
            f"A face is drawn at 16 to {CANVAS} pixels and in 1 or 3 channels",
            received=f"size={size}, channels={channels}",
            action="Choose other values.",
        )
    curves = face_curves(identity, action_units, pose)
    painter = _Painter(pose)
    _paint_background(painter, scene)
    _paint_head(painter, identity, curves)
    _paint_lines(painter, identity, curves, action_units)
    if identity.hair_style != "bald":
        _paint_hair(painter, identity)
    for side in (0, 1):
        _paint_eye(painter, identity, curves, side)
        _paint_brow(painter, identity, curves[f"brow{side}"])
    _paint_nose(painter, identity, curves)
    _paint_mouth(painter, identity, curves)
    if identity.glasses:
        _paint_glasses(painter, identity)
    if scene.occluder is not None:
        painter.bar(scene.occluder)
    points = painter.pixels(landmark_points(curves)) * (size / CANVAS)
    image = _photograph(painter.image, scene, noise_rng, size=size, channels=channels)
    return image, points.astype(np.float32)


class _Painter:
    """A canvas that takes curves in face units under one pose."""

    def __init__(self, pose: Pose) -> None:
        self.camera = Camera(pose, CANVAS)
        self.image = np.empty((CANVAS, CANVAS, 3), np.uint8)

    def pixels(self, points: FloatArray, raise_z: float = 0.0) -> FloatArray:
        return self.camera.project(points, raise_z=raise_z)

    def thickness(self, width: float) -> int:
        return max(1, round(width * self.camera.unit))

    def fill(self, points: FloatArray, colour: Colour) -> None:
        _fill(self.image, self.pixels(points), colour)

    def stroke(self, points: FloatArray, colour: Colour, width: float, *, raise_z: float = 0.0) -> None:
        _line(self.image, self.pixels(points, raise_z), colour, self.thickness(width))

    def bar(self, bar: Bar) -> None:
        ends = np.array([bar.start, bar.end]) * CANVAS
        _line(self.image, ends, bar.colour, max(1, round(bar.width * CANVAS)))


def _fixed(points: FloatArray) -> npt.NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def _fill(image: Image, points: FloatArray, colour: Colour) -> None:
    cv2.fillPoly(image, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def _line(image: Image, points: FloatArray, colour: Colour, thickness: int) -> None:
    cv2.polylines(image, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _darker(colour: Colour, share: float) -> Colour:
    return _mix(colour, (0.25 * colour[0], 0.12 * colour[1], 0.1 * colour[2]), share)


def _paint_background(painter: _Painter, scene: Scene) -> None:
    top, bottom = (np.array(colour) for colour in scene.background)
    ramp = np.linspace(0.0, 1.0, CANVAS)[:, None]
    painter.image[:] = (top + ramp * (bottom - top)).astype(np.uint8)[:, None, :]
    for bar in scene.clutter:
        painter.bar(bar)


def _paint_head(painter: _Painter, identity: Identity, curves: Curves) -> None:
    head, skin = curves["head"], identity.skin
    width = identity.face_width
    if identity.hair_style == "long":
        angle = np.linspace(0.0, -np.pi, 15)
        crown = np.stack([(width + 0.16) * np.cos(angle), -0.2 + 1.2 * np.sin(angle)], axis=1)
        back = np.concatenate([[(width + 0.22, 1.2)], crown, [(-width - 0.22, 1.2)]])
        painter.fill(back, _darker(identity.hair, 0.2))
    neck = np.array([(-0.5, 0.5), (0.5, 0.5), (0.55, 2.2), (-0.55, 2.2)])
    painter.fill(neck, _darker(skin, 0.25))
    for sign in (-1.0, 1.0):
        angle = np.linspace(0.0, 2.0 * np.pi, 12)
        ear = np.stack([sign * width + 0.1 * np.cos(angle), -0.05 + 0.2 * np.sin(angle)], axis=1)
        painter.fill(ear, _darker(skin, 0.12))
    centre = np.array([0.0, 0.05])
    for size, shade in (
        (1.0, 0.14),
        (0.95, 0.07),
        (0.88, 0.0),
    ):  # darker towards the edge, as a round thing is
        painter.fill(centre + size * (head - centre), _darker(skin, shade))
    if identity.beard == "full":
        jaw = curves["jaw"]
        cheek = np.stack([0.8 * jaw[2:15, 0], jaw[2:15, 1] * 0.55 + 0.14], axis=1)[::-1]
        painter.fill(np.concatenate([jaw[2:15], cheek]), _mix(skin, identity.hair, 0.55))
    painter.stroke(curves["jaw"], _darker(skin, 0.3), 0.025)


def _paint_hair(painter: _Painter, identity: Identity) -> None:
    width = identity.face_width + 0.05
    angle = np.linspace(0.0, -np.pi, 21)
    crown = np.stack([width * np.cos(angle), -0.25 + 1.12 * np.sin(angle)], axis=1)
    line = {"short": -0.98, "fringe": -0.74, "long": -0.9}[identity.hair_style]
    x = np.linspace(-1.0, 1.0, 15)
    edge = line + 0.6 * np.abs(x) ** (6.0 if identity.hair_style == "fringe" else 3.0)
    hairline = np.stack([x * width * 0.99, edge], axis=1)
    painter.fill(np.concatenate([crown, hairline]), identity.hair)


def _paint_lines(painter: _Painter, identity: Identity, curves: Curves, action_units: FloatArray) -> None:
    """Furrows and bulges: the deeper a unit contracts, the darker its line; age leaves faint ones at rest."""
    a = np.atleast_2d(action_units).mean(axis=0)
    skin, age = identity.skin, 0.25 * identity.age

    def furrow(points: FloatArray, depth: float, width: float = 0.024) -> None:
        if depth > 0.04:
            painter.stroke(points, _darker(skin, min(0.65, 0.65 * depth)), width)

    arc = np.linspace(-1.0, 1.0, 7)
    lift = 0.08 * a[INDEX[1]]
    for row in range(2):
        y = BROW_Y - 0.2 - 0.11 * row - 0.04 * (1.0 - arc**2) - lift
        furrow(np.stack([0.42 * arc, y], axis=1), age + min(a[INDEX[1]], 0.3 + a[INDEX[2]]))
    for sign in (-1.0, 1.0):
        furrow(
            np.array([(sign * 0.05, BROW_Y - 0.08), (sign * 0.045, BROW_Y + 0.14)]),
            age * 0.5 + a[INDEX[4]],
            0.028,
        )
        furrow(np.array([(sign * 0.02, -0.14), (sign * 0.13, -0.06)]), 1.2 * a[INDEX[9]], 0.028)
        furrow(np.array([(sign * 0.02, -0.05), (sign * 0.15, 0.05)]), 1.2 * a[INDEX[9]], 0.028)
        outer = sign * (identity.eye_distance + identity.eye_width + 0.05)
        for step in (-0.07, 0.02, 0.1):
            feet = np.array([(outer, EYE_Y + 0.5 * step), (outer + sign * 0.1, EYE_Y + step)])
            furrow(feet, 0.6 * age + a[INDEX[6]], 0.02)
        pouch = np.stack([sign * identity.eye_distance + 0.17 * arc, EYE_Y + 0.15 + 0.04 * (1.0 - arc**2)], axis=1)
        furrow(pouch, 0.7 * age + 0.6 * a[INDEX[6]] + 0.4 * a[INDEX[7]], 0.022)
    depth = a[INDEX[9]] + a[INDEX[10]] + a[INDEX[12]] + 0.5 * a[INDEX[20]]
    for side in (0, 1):
        furrow(curves[f"fold{side}"], 0.8 * age + 0.9 * depth, 0.03)
        corner = curves["mouth_outer"][8 if side else 0]
        outwards = 0.06 if side else -0.06
        furrow(np.array([corner, corner + np.array([outwards, 0.12])]), 0.4 * age + 0.8 * a[INDEX[15]], 0.03)
    chin = curves["jaw"][8, 1] - 0.16
    if curves["mouth_outer"][12, 1] < chin:
        furrow(
            np.stack([0.16 * arc, chin + 0.05 * arc**2], axis=1),
            0.15 + a[INDEX[17]] + 0.3 * a[INDEX[15]],
            0.03,
        )


def _paint_eye(painter: _Painter, identity: Identity, curves: Curves, side: int) -> None:
    lids = painter.pixels(curves[f"eye{side}"])
    skin = identity.skin
    socket = curves[f"eye{side}"][:9] - np.array([0.0, 0.055])
    painter.stroke(socket, _darker(skin, 0.25), 0.03)
    # The iris is drawn on a copy of the eye's box and shows only between the lids.
    left, top = np.maximum(np.floor(lids.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.ceil(lids.max(axis=0)).astype(int) + 3
    box = (slice(top, bottom), slice(left, right))
    ball = np.empty_like(painter.image[box])
    ball[:] = (238, 234, 230)
    opening = np.zeros(ball.shape[:2], np.uint8)
    cv2.fillPoly(opening, [_fixed(lids - (left, top))], 255, cv2.LINE_8, _SHIFT)
    centre = painter.pixels(curves[f"iris{side}"])[0] - (left, top)
    x, y = (int(value) for value in _fixed(centre))
    radius = 0.105 * painter.camera.unit
    for share, colour in ((1.0, identity.iris), (0.5, (12.0, 10.0, 10.0))):
        cv2.circle(ball, (x, y), round(share * radius * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)
    inside = opening > 0
    painter.image[box][inside] = ball[inside]
    _line(painter.image, lids[:9], _darker(_mix(skin, (40.0, 30.0, 30.0), 0.7), 0.5), painter.thickness(0.04))
    _line(painter.image, lids[9:], _darker(skin, 0.5), painter.thickness(0.02))


def _paint_brow(painter: _Painter, identity: Identity, middle: FloatArray) -> None:
    half = identity.brow_thickness * np.array([0.5, 0.6, 0.5, 0.35, 0.1])
    above, below = middle.copy(), middle.copy()
    above[:, 1] -= half
    below[:, 1] += half
    painter.fill(np.concatenate([above, below[::-1]]), _mix(_darker(identity.skin, 0.75), identity.hair, 0.5))


def _paint_nose(painter: _Painter, identity: Identity, curves: Curves) -> None:
    shade = _darker(identity.skin, 0.35)
    bridge = curves["bridge"] + np.array([0.05, 0.0])
    painter.stroke(bridge, _darker(identity.skin, 0.15), 0.05, raise_z=0.08)
    painter.stroke(curves["nose"], shade, 0.035, raise_z=0.1)
    radius = round(0.035 * painter.camera.unit * (1 << _SHIFT))
    for nostril in painter.pixels(curves["nostrils"], raise_z=0.1):
        x, y = (int(value) for value in _fixed(nostril))
        cv2.circle(painter.image, (x, y), radius, _darker(identity.skin, 0.8), -1, cv2.LINE_AA, _SHIFT)


def _paint_mouth(painter: _Painter, identity: Identity, curves: Curves) -> None:
    if identity.beard != "none":
        top = curves["mouth_outer"][:9]
        painter.stroke(top - np.array([0.0, 0.05]), _mix(identity.skin, identity.hair, 0.7), 0.08)
    painter.fill(curves["mouth_inner"], (58.0, 18.0, 22.0))
    if np.ptp(curves["mouth_inner"][[4, 13], 1]) > 0.02:
        painter.fill(curves["upper_teeth"], (236.0, 232.0, 222.0))
    painter.fill(curves["upper_lip"], _darker(identity.lips, 0.06))
    painter.fill(curves["lower_lip"], identity.lips)
    painter.stroke(curves["mouth_line"], _darker(identity.lips, 0.7), 0.025)


def _paint_glasses(painter: _Painter, identity: Identity) -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, 17)
    frame: Colour = (30.0, 28.0, 32.0)
    for sign in (-1.0, 1.0):
        x = sign * identity.eye_distance + 0.27 * np.cos(angle)
        painter.stroke(np.stack([x, EYE_Y + 0.03 + 0.22 * np.sin(angle)], axis=1), frame, 0.03)
        temple = np.array([(sign * (identity.eye_distance + 0.27), EYE_Y), (sign * identity.face_width, EYE_Y - 0.03)])
        painter.stroke(temple, frame, 0.03)
    inner = identity.eye_distance - 0.27
    painter.stroke(np.array([(-inner, EYE_Y), (0.0, EYE_Y - 0.03), (inner, EYE_Y)]), frame, 0.03)


def _photograph(canvas: Image, scene: Scene, rng: np.random.Generator, *, size: int, channels: int) -> Image:
    """Size and colour, then directional light, exposure, contrast, blur and noise."""
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if channels == 1:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    across = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    towards = np.cos(scene.light_angle) * across[None, :] + np.sin(scene.light_angle) * across[:, None]
    light = scene.brightness * (1.0 + scene.light_strength * towards)
    lit = small.reshape(size, size, channels) * light[..., None].astype(np.float32)
    lit = (lit - 127.5) * scene.contrast + 127.5
    sigma = scene.blur * size / 48.0
    if sigma > 0.1:
        lit = cv2.GaussianBlur(lit, (0, 0), sigma).reshape(size, size, channels)
    if scene.noise > 0.0:
        lit = lit + scene.noise * rng.standard_normal(lit.shape, dtype=np.float32)
    photograph: Image = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return photograph
