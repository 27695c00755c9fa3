"""The vessels of a drawn retina: four arcades of an artery and a vein each, and their branches.

Lengths are degrees of visual angle, as in `anatomy`.
"""

import numpy as np

from bmix_lite.data.fundus.anatomy import flatten, join

# widths at the disc: 0.13 and 0.09 mm, drawn 1.4 times as wide so that they last at 64 pixels
VEIN = 0.62
ARTERY = 0.42
AVASCULAR = 1.5  # nothing but capillaries nearer to the fovea

# temporal and nasal arcades, cubic Bezier curves from the disc: steps to the nose, and away from
# the horizontal
TEMPORAL = ((0, 0.5), (-0.5, 8), (-12, 13), (-32, 4.5))
NASAL = ((0.7, 0.3), (3, 4), (6, 7), (12, 15))
JITTER = np.array((0.5, 0.8, 1.2, 2.0))  # of these four points, from eye to eye
# of each vessel: how many, and their length as a share of its length; then the same of those
BRANCHES = ((6, 0.3), (3, 0.45))

VESSEL = (0.35, 0.6, 0.5)  # shares of red, green and blue that are taken away


def draw_vessels(rng, eyes, beading):
    """Layer (B, size, size) of arteries and veins, and the courses (B, 8, 2, T) of the arcades.

    beading (B,): how much the width of the veins changes along them, a sign of severe retinopathy.
    """
    count = len(eyes.side)
    steps = int(1.7 * eyes.size)
    vein = np.tile((False, True), 4)
    opacity = np.broadcast_to(np.where(vein, 1.0, 0.65), (count, 8))
    controls = _place_arcades(rng, eyes)
    width = np.where(vein, VEIN, ARTERY) * rng.uniform(0.85, 1.15, (count, 8))
    arcades = _bend(rng, controls, steps)
    swell = (beading[:, None] * vein)[:, :, None] * (0.4 + np.sin(np.linspace(0, 80, steps - 1)))
    points = [_trace(eyes, arcades, width, opacity, 1 + swell)]
    course = arcades
    for number, share in BRANCHES:
        controls, start = _branch(rng, course, number, share)
        steps = int(steps * share)
        course = _bend(rng, controls, steps)
        width = (width[:, :, None] * (0.68 - 0.2 * start)).reshape(count, -1)
        opacity = np.repeat(opacity, number, axis=1)
        points.append(_trace(eyes, course, width, opacity))
    return eyes.pour(*join(points)), arcades


def _place_arcades(rng, eyes):
    """Controls (B, 8, 2, 4) of an artery and a vein in each of the four arcades."""
    up = np.array((0, -1.0))
    nose = np.array((1.0, 0))
    shapes = [(shape, way * up) for shape in (TEMPORAL, NASAL) for way in (1, -1)]
    controls = np.array(
        [[a * nose + b * way for a, b in shape] for shape, way in shapes for _ in range(2)]
    )
    return (
        np.swapaxes(controls, 1, 2)
        + rng.normal(0, 1, (len(eyes.side), 8, 2, 4)) * JITTER
        + eyes.disc[:, None, :, None]
    )


def _branch(rng, course, number, share):
    """Controls (B, K * number, 2, 4) of branches of the courses (B, K, 2, T); where they start.

    The starts (B, K, number) are shares of the way along the course.
    """
    count, vessels = course.shape[:2]
    start = np.arange(number) + rng.uniform(0.2, 1, (count, vessels, number))
    start = start / (number + 0.5)
    turn = rng.uniform(0.4, 0.9, start.shape) * np.where(np.arange(number) % 2, 1, -1)
    chord = np.linalg.norm(course[..., -1] - course[..., 0], axis=2)[..., None]
    length = share * chord * rng.uniform(0.5, 1.4, start.shape)
    return _fork(rng, course, start, length, turn), start


def _bend(rng, controls, steps):
    """Courses (B, K, 2, steps) of cubic Bezier curves with controls (B, K, 2, 4).

    They wind a little.
    """
    t = np.linspace(0, 1, steps)
    waves = [wave(pace * t) * t * (1 - t) for pace in (9, 21) for wave in (np.sin, np.cos)]
    basis = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3, *waves])
    chord = np.linalg.norm(controls[..., 3] - controls[..., 0], axis=-1)[..., None, None]
    sway = rng.normal(0, 1, controls.shape) * chord * np.array((0.1, 0.1, 0.04, 0.04))
    return np.concatenate([controls, sway], axis=-1) @ basis


def _fork(rng, course, start, length, turn):
    """Controls (B, K * J, 2, 4) of branches that leave and bend back a little.

    start (B, K, J): shares of the way along the course where they leave
    """
    here = (start * (course.shape[-1] - 2)).astype(int)[:, :, None]
    root = np.take_along_axis(course, here, axis=3)
    after = np.take_along_axis(course, here + 1, axis=3)
    ahead = after - root  # (B, K, 2, J)
    ahead = np.arctan2(ahead[:, :, 1], ahead[:, :, 0])
    angles = [
        ahead + turn,
        ahead + 0.55 * turn,
        ahead + 0.2 * turn + rng.normal(0, 0.3, turn.shape),
    ]
    moves = [
        length[:, :, None] / 3 * np.stack([np.cos(angle), np.sin(angle)], axis=2)
        for angle in angles
    ]
    controls = np.cumsum([root, *moves], axis=0)  # (4, B, K, 2, J)
    return controls.transpose(1, 2, 4, 3, 0).reshape(len(course), -1, 2, 4)


def _trace(eyes, course, width, opacity, beads=1.0):
    """Points for `pour` along courses (B, K, 2, T).

    As many lie side by side as the widest healthy vessel has pixels.
    """
    along = course[..., 1:] - course[..., :-1]
    length = np.sqrt((along**2).sum(axis=2))  # (B, K, T - 1)
    x, y = np.moveaxis((course[..., 1:] + course[..., :-1]) / 2, 2, 0)
    clear = np.clip(np.sqrt(x**2 + y**2) / AVASCULAR - 1, 0, 1)
    taper = width[:, :, None] * np.linspace(1, 0.45, length.shape[2])
    strands = int(np.ceil(taper.max() * eyes.scale.max()))
    taper = taper * beads
    # how far each strand lies off the middle of the vessel
    lie = ((np.arange(strands) + 0.5) / strands - 0.5) * (taper / length)[..., None]
    ink = (clear * opacity[:, :, None] * taper * length / strands)[..., None]
    eye = np.arange(len(course))[:, None, None, None]
    x = x[..., None] - lie * along[:, :, 1, :, None]
    y = y[..., None] + lie * along[:, :, 0, :, None]
    return flatten(eye, x, y, ink)
