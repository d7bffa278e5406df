"""Where the curves of a face lie, given who it is and which action units move: numbers only, no drawing.

Face units: x to the image's right, y down, z towards the viewer, the origin between eyes and mouth; half
the width of an average face is about 0.92. A side is 0 for the image-left (the person's right) and 1 for
the image-right. Each displacement follows the appearance changes that the FACS manual lists for the unit;
the sizes are drawn rather than measured, somewhat larger than life so that they survive at 48 pixels.
"""

from dataclasses import dataclass

import numpy as np

from tfds_builders.synthetic_faces.action_units import INDEX, FloatArray
from tfds_builders.synthetic_faces.identity import Identity

EAR_Y = -0.15
EYE_Y = -0.16
BROW_Y = -0.47
NOSE_ROOT_Y = -0.2
MOUTH_Y = 0.65
#: Axes of the ellipsoid that gives the points of a face their depth.
DEPTH_AXES = (1.05, 1.6, 0.85)


#: Number of points that `landmarks` returns.
LANDMARKS = 68


@dataclass(frozen=True)
class Pose:
    """Head pose and eyes in one frame. Angles in radians, shifts as a share of the canvas."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    gaze_x: float = 0.0  # -1 to 1
    gaze_y: float = 0.0
    blink: float = 0.0  # 0 is open, 1 is shut


Curves = dict[str, FloatArray]


def face_curves(identity: Identity, action_units: FloatArray, pose: Pose) -> Curves:
    """All curves of one face, each (n, 2) in face units.

    Args:
        identity: The unmoving traits.
        action_units: Intensities (N,), or (2, N) for image-left and image-right, in [0, 1].
        pose: Only gaze and blink are used here; see `Camera` for the rest.

    Returns:
        `head` and `jaw` (17 points from ear to ear), `mouth_outer`, `upper_lip`, `lower_lip` and
        `mouth_inner` (closed), `mouth_line`, `upper_teeth`, `nose`, `nostrils`, `bridge`. With the side
        appended: `brow` (5 points along its middle, from the nose outwards), `eye` (closed: 9 points of the
        upper lid from the image-left, 9 of the lower from the image-right), `iris` (one point) and `fold`
        (from the nose to the lip corner).
    """
    units = np.clip(np.broadcast_to(np.asarray(action_units, np.float64), (2, len(INDEX))), 0.0, 1.0)
    curves: Curves = {}
    curves.update(_outline(identity, units.mean(axis=0)))
    curves.update(_nose(identity, units))
    curves.update(_mouth(identity, units))
    for side in (0, 1):
        curves[f"brow{side}"] = _brow(identity, units[side], side)
        curves[f"eye{side}"], curves[f"iris{side}"] = _eye(identity, units[side], side, pose)
        curves[f"fold{side}"] = _fold(curves, side)
    return curves


class Camera:
    """Orthographic projection of face units to canvas pixels under one pose.

    Args:
        pose: Head rotation, scale and shift.
        canvas: Height and width of the canvas in pixels.
    """

    def __init__(self, pose: Pose, canvas: int) -> None:
        self.unit = 0.40 * canvas * pose.scale  # pixels per face unit
        self.centre = canvas * np.array([0.5 + pose.shift_x, 0.42 + pose.shift_y])
        yaw, pitch, roll = ((np.cos(angle), np.sin(angle)) for angle in (pose.yaw, pose.pitch, pose.roll))
        turn = np.array([(yaw[0], 0.0, yaw[1]), (0.0, 1.0, 0.0), (-yaw[1], 0.0, yaw[0])])
        nod = np.array([(1.0, 0.0, 0.0), (0.0, pitch[0], pitch[1]), (0.0, -pitch[1], pitch[0])])
        tilt = np.array([(roll[0], -roll[1], 0.0), (roll[1], roll[0], 0.0)])
        self._matrix = self.unit * (tilt @ nod @ turn).T  # (3, 2)

    def project(self, points: FloatArray, *, raise_z: float = 0.0) -> FloatArray:
        """Points (n, 2) in face units, lifted onto the ellipsoid of `DEPTH_AXES`, to pixels (n, 2)."""
        across, along, depth = DEPTH_AXES
        x, y = points[:, 0], points[:, 1]
        z = depth * np.sqrt(np.maximum(0.0, 1.0 - (x / across) ** 2 - (y / along) ** 2)) + raise_z
        pixels: FloatArray = points @ self._matrix[:2] + z[:, None] * self._matrix[2] + self.centre
        return pixels


def _jaw_drop(units: FloatArray) -> FloatArray:
    """AU 26 and 27 move the same jaw, 27 further: 0 to 1."""
    return np.maximum(0.6 * units[..., INDEX[26]], units[..., INDEX[27]])


def _outline(identity: Identity, mean: FloatArray) -> Curves:
    chin = identity.chin + 0.22 * float(_jaw_drop(mean)) - 0.02 * mean[INDEX[17]]
    angle = np.linspace(np.pi, 0.0, 17)
    side = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** identity.jaw_squareness
    cheeks = 1.0 + 0.03 * mean[INDEX[12]] * np.sin(angle) * np.abs(np.cos(angle))
    jaw = np.stack([identity.face_width * side * cheeks, EAR_Y + (chin - EAR_Y) * np.sin(angle)], axis=1)
    angle = np.linspace(0.0, -np.pi, 17)[1:-1]
    skull = np.stack([identity.face_width * np.cos(angle), EAR_Y + 1.05 * np.sin(angle)], axis=1)
    return {"jaw": jaw, "head": np.concatenate([jaw, skull])}


def _brow(identity: Identity, a: FloatArray, side: int) -> FloatArray:
    inner = np.array([1.0, 0.75, 0.35, 0.1, 0.0])
    outer = np.array([0.0, 0.25, 0.65, 1.0, 0.9])
    lowered = np.array([1.0, 0.8, 0.5, 0.25, 0.1])
    x = np.linspace(0.15, 0.66, 5) - 0.07 * a[INDEX[4]] * inner
    y = BROW_Y + identity.brow_height - identity.brow_arch * np.array([0.0, 0.6, 1.0, 0.8, 0.1])
    y = y + identity.brow_tilt * np.linspace(-1.0, 1.0, 5)
    y = y - 0.17 * a[INDEX[1]] * inner - 0.17 * a[INDEX[2]] * outer - 0.02 * a[INDEX[5]]
    y = y + 0.15 * a[INDEX[4]] * lowered + 0.07 * a[INDEX[9]] * lowered
    return np.stack([x if side else -x, y], axis=1)


def _eye(identity: Identity, a: FloatArray, side: int, pose: Pose) -> tuple[FloatArray, FloatArray]:
    sign = 1.0 if side else -1.0
    u = np.linspace(-1.0, 1.0, 9)
    open_ = (1.0 - u**2) ** 0.7
    raise_upper = 1.0 + 0.8 * a[INDEX[5]] - 0.35 * a[INDEX[7]] - 0.15 * a[INDEX[9]] - 0.1 * a[INDEX[4]]
    upper = 0.11 * identity.eye_openness * raise_upper * (1.0 - pose.blink)
    # AU 6 and 7 push the lower lid up, AU 6 until it arches.
    lower = 0.075 - 0.09 * a[INDEX[6]] - 0.06 * a[INDEX[7]] - 0.03 * a[INDEX[9]] + 0.01 * a[INDEX[5]]
    lower = max(lower, 0.02 - upper)
    tilt = -identity.eye_tilt * sign * u
    x = sign * identity.eye_distance + identity.eye_width * u
    upper_lid = np.stack([x, EYE_Y - upper * open_ + tilt], axis=1)
    lower_lid = np.stack([x, EYE_Y + lower * open_ + tilt], axis=1)
    iris = [sign * identity.eye_distance + 0.07 * pose.gaze_x, EYE_Y + 0.04 * pose.gaze_y - 0.01]
    return np.concatenate([upper_lid, lower_lid[::-1]]), np.array([iris])


def _nose(identity: Identity, units: FloatArray) -> Curves:
    lift = 0.07 * units[:, INDEX[9]] + 0.02 * units[:, INDEX[10]]
    flare = identity.nose_width * (1.0 + 0.2 * units[:, INDEX[9]])
    tip = NOSE_ROOT_Y + identity.nose_length
    middle = tip - 0.5 * lift.mean()
    base = tip + 0.08 - lift
    mean_base = float(base.mean())
    return {
        "bridge": np.stack([np.zeros(4), np.linspace(NOSE_ROOT_Y, middle, 4)], axis=1),
        "nose": np.array(
            [
                (-flare[0] * 0.9, base[0] - 0.1),
                (-flare[0], base[0] - 0.02),
                (-flare[0] * 0.55, base[0] + 0.01),
                (0.0, mean_base + 0.03),
                (flare[1] * 0.55, base[1] + 0.01),
                (flare[1], base[1] - 0.02),
                (flare[1] * 0.9, base[1] - 0.1),
            ]
        ),
        "nostrils": np.array([(-flare[0] * 0.5, base[0]), (flare[1] * 0.5, base[1])]),
    }


def _mouth(identity: Identity, units: FloatArray) -> Curves:
    u = np.linspace(-1.0, 1.0, 9)
    right = ((u + 1.0) / 2.0)[:, None]
    a = (1.0 - right) * units[0] + right * units[1]  # (9, N): the sides blend across the mouth
    mean = units.mean(axis=0)
    part = 0.06 * mean[INDEX[25]] + 0.35 * float(_jaw_drop(mean))
    width = identity.mouth_width + 0.11 * a[:, INDEX[12]] + 0.14 * a[:, INDEX[20]] - 0.09 * a[:, INDEX[23]]
    width = width - 0.09 * a[:, INDEX[27]] - 0.02 * a[:, INDEX[17]]
    corner = identity.mouth_slope - 0.19 * a[:, INDEX[12]] + 0.17 * a[:, INDEX[15]] + 0.03 * a[:, INDEX[20]]
    corner = corner + 0.05 * a[:, INDEX[17]] + 0.42 * part
    bow = 1.0 - u**2
    x = width * u
    base = MOUTH_Y - 0.03 * mean[INDEX[17]] + corner * u**2
    raised = 0.09 * a[:, INDEX[10]] + 0.05 * a[:, INDEX[9]] + 0.02 * a[:, INDEX[25]]
    bared = np.minimum(raised, 0.3 * raised + 0.6 * part)  # closed lips follow the upper lip only in part
    upper_in = base - bared * bow
    lower_in = base - (raised - bared) * 0.6 * bow + part * bow**0.7 - 0.05 * a[:, INDEX[17]] * bow * (part < 0.1)
    lower_in = np.maximum(lower_in, upper_in)
    thin = 1.0 - 0.65 * a[:, INDEX[23]] - 0.15 * a[:, INDEX[12]] - 0.2 * a[:, INDEX[20]]
    thickness = identity.lip_thickness * thin
    cupid = 1.0 - 0.25 * np.exp(-((u / 0.18) ** 2))
    upper_out = upper_in - 0.06 * thickness * bow**0.8 * cupid - 0.5 * (raised - bared) * bow
    lower_out = lower_in + (0.11 + 0.05 * a[:, INDEX[17]]) * thickness * bow**0.8
    lines = [np.stack([x, y], axis=1) for y in (upper_out, upper_in, lower_in, lower_out)]
    outer_top, inner_top, inner_low, outer_low = lines
    teeth_low = np.minimum(lower_in, upper_in + 0.07)
    return {
        "mouth_outer": np.concatenate([outer_top, outer_low[-2:0:-1]]),
        "upper_lip": np.concatenate([outer_top, inner_top[::-1]]),
        "lower_lip": np.concatenate([inner_low, outer_low[::-1]]),
        "mouth_inner": np.concatenate([inner_top, inner_low[::-1]]),
        "mouth_line": inner_top,
        "upper_teeth": np.concatenate([inner_top, np.stack([x, teeth_low], axis=1)[::-1]]),
    }


def _fold(curves: Curves, side: int) -> FloatArray:
    """The nasolabial furrow: from beside the nose around the corner of the mouth."""
    sign = 1.0 if side else -1.0
    wing = curves["nose"][5 if side else 1] + np.array([sign * 0.05, -0.07])
    corner = curves["mouth_outer"][8 if side else 0] + np.array([sign * 0.09, 0.0])
    middle = (wing + corner) / 2 + np.array([sign * 0.04, -0.02])
    return np.stack([wing, middle, corner])


def landmarks(curves: Curves) -> FloatArray:
    """The 68 points of the iBUG 300-W scheme in its order, (68, 2) in face units.

    Source: Sagonas et al., "300 Faces in-the-Wild Challenge", 2013, figure 1: jaw 17 from the image-left
    ear, brows 5 + 5, nose bridge 4, nose base 5, eyes 6 + 6 clockwise, outer lips 12 and inner lips 8
    clockwise.
    """
    inner = curves["mouth_inner"]
    parts = [curves["jaw"], curves["brow0"][::-1], curves["brow1"], curves["bridge"], curves["nose"][1:6]]
    parts += [curves[f"eye{side}"][[0, 3, 5, 8, 12, 14]] for side in (0, 1)]
    outer = curves["mouth_outer"]
    parts.append(outer[[0, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14]])
    parts.append(inner[[0, 2, 4, 6, 8, 11, 13, 15]])
    return np.concatenate(parts)
