"""Perceptual hashes: 64 bits that stay nearly the same when a picture is scaled, compressed or brightened.

Two pictures are near duplicates if their hashes differ in at most `DISTANCE` bits. The threshold was chosen by eye on
the 32,394 different pictures of a copy of FER2013, which is the hard case: small, grey, centred faces that look alike.
The pairs whose pixels correlate least were looked at, 72 or more of each distance: of 98 pairs at distance 0 and 250 at
distance 2 none was of two different photographs; of 499 at distance 4 there were 3, of 653 at distance 6 about 8, and
of 901 at distance 8 half of those looked at.
"""

from collections.abc import Sequence

import cv2
import numpy as np

#: Bits in which the hashes of near duplicates differ at most. Half of all bits are set, so distances are even.
DISTANCE = 4
#: A picture with a lower standard deviation, in grey levels, has noise where the hash expects a pattern.
LOW_CONTRAST = 4.0

_SIDE, _KEPT = 32, 8
_BITS = 64
#: Most pairs of hashes compared at once, which bounds the memory.
_CHUNK = 4_000_000
#: Rows 1 to 8 of the matrix of the 32-point DCT-II, without its scale: (8, 32).
_COSINES = np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(1, _KEPT + 1), 2 * np.arange(_SIDE) + 1))


def dct_hash(image: np.ndarray) -> int | None:
    """The hash of one picture as an integer of 64 bits, or None if it shows too little to be compared.

    The picture is reduced to 32x32 grey pixels; the bits tell which of the 8x8 lowest frequencies of its discrete
    cosine transform, without those that are constant along an axis, are above their median.

    Source: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010, section 3.2.1 (pHash).
    Deviation: the picture is reduced by the mean over the area of each pixel instead of a 7x7 mean and nearest
    neighbour, so that the hash does not depend on the resolution.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3) uint8.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2:] == (3,) else image.reshape(image.shape[:2])
    small = cv2.resize(grey.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    if small.std() < LOW_CONTRAST:
        return None
    frequencies = (_COSINES @ small @ _COSINES.T).ravel()
    bits = np.packbits(frequencies > np.median(frequencies))
    return int.from_bytes(bits.tobytes(), "big")


def near_pairs(hashes: np.ndarray, *, distance: int = DISTANCE) -> np.ndarray:
    """All pairs of hashes that differ in at most `distance` bits.

    The bits are dealt into `distance` + 1 bands. Of two hashes that differ in `distance` bits at least one band is
    equal, so that only hashes with an equal band are compared.

    Args:
        hashes: (N,) uint64.
        distance: In [0, 16].

    Returns:
        (P, 2) int64 indices, the smaller one first, each pair once, sorted.
    """
    found = [np.empty((0, 2), np.int64)]
    for band in range(distance + 1):
        # Every so-manieth bit: low and high frequencies in each band, so that no band is nearly the same everywhere.
        mask = np.uint64(sum(1 << bit for bit in range(band, _BITS, distance + 1)))
        found += _pairs_in_band(hashes, mask, distance)
    return np.unique(np.concatenate(found), axis=0)


def _pairs_in_band(hashes: np.ndarray, mask: np.uint64, distance: int) -> list[np.ndarray]:
    """Pairs within `distance` among the hashes that are equal in the bits of `mask`."""
    keys = hashes & mask
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], hashes[order]
    stops = np.searchsorted(keys, keys, side="right")
    partners = stops - np.arange(len(keys)) - 1  # entries behind each one with an equal band
    ends = np.cumsum(partners)
    found, start = [], 0
    while start < len(keys):
        behind = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, behind + _CHUNK, side="right")), start + 1)
        left = np.repeat(np.arange(start, stop), partners[start:stop])
        right = np.arange(len(left)) + behind - (ends - partners)[left] + left + 1
        near = np.bitwise_count(values[left] ^ values[right]) <= distance
        found.append(np.sort(np.stack([order[left[near]], order[right[near]]], axis=1), axis=1))
        start = stop
    return found


def near_groups(
    hashes: Sequence[int], *, owners: Sequence[int] | None = None, distance: int = DISTANCE
) -> list[list[int]]:
    """Groups of near duplicates: who is joined to whom through pairs within `distance`, directly or by others.

    Args:
        hashes: N hashes.
        owners: The example that each hash belongs to, where one has several (frames of a clip); else its position.
        distance: See `near_pairs`.

    Returns:
        Groups of at least two owners, sorted, in the order of their first.
    """
    values = np.array(hashes, np.uint64)
    ids = np.arange(len(values)) if owners is None else np.array(owners, np.int64)
    # Equal hashes are joined without comparing all of them with each other: there may be many.
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    pairs = near_pairs(unique, distance=distance)
    edges = [(ids, ids[first[inverse]]), (ids[first[pairs[:, 0]]], ids[first[pairs[:, 1]]])]
    roots = {int(owner): int(owner) for owner in ids}

    def root(owner: int) -> int:
        while roots[owner] != owner:
            roots[owner] = owner = roots[roots[owner]]
        return owner

    for left, right in edges:
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            low, high = sorted((root(a), root(b)))
            roots[high] = low
    groups: dict[int, list[int]] = {}
    for owner in sorted(roots):
        groups.setdefault(root(owner), []).append(owner)
    return [group for group in groups.values() if len(group) > 1]
