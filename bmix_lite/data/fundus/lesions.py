"""Drawn lesions of diabetic retinopathy: how many, where and how large, grade by grade.

Lengths are degrees. Numbers follow the international clinical scale (Wilkinson et al.,
Ophthalmology 110, 2003), sizes the textbooks; what would be lost at 64 pixels is drawn larger than
life.
"""

import numpy as np

from bmix_lite.data.fundus.anatomy import flatten, join, lay, take

# fewest and most in an eye of grade 0 to 4; where the fewest are below 0, many eyes have none
MICROANEURYSMS = ((0, 0), (2, 8), (4, 16), (6, 20), (4, 18))
HAEMORRHAGES = ((0, 0), (0, 0), (2, 44), (24, 72), (6, 90))
EXUDATES = ((0, 0), (0, 0), (-1, 3), (-1, 4), (-1, 4))  # clusters
COTTON_WOOL = ((0, 0), (0, 0), (-1, 2), (0, 4), (-1, 3))
NEW_VESSELS = ((0, 0), (0, 0), (0, 0), (0, 0), (1, 3))  # tufts
PRERETINAL = ((0, 0), (0, 0), (0, 0), (0, 0), (-1, 1))
# severe by the 4-2-1 rule: bleeding in all four quadrants and, which alone suffices, beaded veins
# in two or more
BEADING = np.array((0, 0, 0, 0.6, 0.4))

# what looks like a lesion and is none, in any grade: drusen are not exudates, pigment is no blood
DRUSEN = ((-30, 14),) * 5
PIGMENT = ((-6, 3),) * 5

LEAST = 0.6  # pixels: smaller radii are drawn as this
FULL = 1.3  # ink that is poured where one layer would just cover: no gaps
CRYSTALS = 10  # spots of a cluster
CURLS = 9  # fine vessels of a tuft
OFF_DISC = 4.3  # lesions within the retina keep this far from the middle of the disc

# shares of red, green and blue that are taken away
BLOOD = (0.52, 0.8, 0.7)
NEW_VESSEL = (0.25, 0.68, 0.6)
# colours that are laid over
EXUDATE = (1.0, 0.9, 0.45)
COTTON = (0.95, 0.88, 0.7)


def draw_lesions(rng, eyes, grades, arcades):
    """Layers (B, size, size) by name.

    Each eye's lesions depend on its grade and its row, never on its neighbours.
    """
    blood = [
        _bleed(rng, eyes, grades, MICROANEURYSMS, (0.2, 0.3), flames=0),
        _bleed(rng, eyes, grades, HAEMORRHAGES, (0.2, 0.75), flames=0.3),
        _settle(rng, eyes, grades),
    ]
    return {
        "exudates": eyes.pour(*_crystals(rng, eyes, grades)),
        "cotton wool": eyes.pour(*_wool(rng, eyes, grades)),
        "blood": eyes.pour(*join(blood)),
        "new vessels": eyes.pour(*_tufts(rng, eyes, grades, arcades)),
    }


def paint_lesions(picture, mimics, layers):
    """Lay mimics and lesions over the picture (B, 3, size, size), in place, the deepest first."""
    drusen, pigment = mimics
    lay(picture, 0.75 * drusen, EXUDATE)
    take(picture, 0.8 * pigment, BLOOD)
    lay(picture, 0.75 * layers["exudates"], EXUDATE)
    lay(picture, 0.65 * layers["cotton wool"], COTTON)
    take(picture, layers["blood"], BLOOD)
    take(picture, layers["new vessels"], NEW_VESSEL)


def draw_mimics(rng, eyes):
    """Layers (B, size, size) of drusen, pale and near the macula, and of pigment spots.

    Grades do not matter.
    """
    any_grade = np.zeros(len(eyes.side), int)
    eye, order, u = _choose(rng, any_grade, DRUSEN, 4)
    x, y = _scatter(eyes, eye, order, u, nearest=1.0, farthest=8.0)
    drusen = _blot(eyes, eye, x - 2.5, y, 0.15 + 0.4 * u[:, 2], 0.55, ink=0.3 + 0.5 * u[:, 3])
    eye, order, u = _choose(rng, any_grade, PIGMENT, 4)
    x, y = _scatter(eyes, eye, order, u)
    pigment = _blot(eyes, eye, x, y, 0.2 + 0.4 * u[:, 2], 0.6, ink=0.2 + 0.6 * u[:, 3])
    return eyes.pour(*drusen), eyes.pour(*pigment)


def _bleed(rng, eyes, grades, table, radii, flames):
    """Points of round dots and, a share of them, flames along the nerve fibres to the disc."""
    eye, order, u = _choose(rng, grades, table, 6)
    x, y = _scatter(eyes, eye, order, u)
    smallest, largest = radii
    radius = smallest + (largest - smallest) * u[:, 2] ** 2.5
    to_disc = np.arctan2(eyes.disc[eye, 1] - y, eyes.disc[eye, 0] - x)
    is_flame = u[:, 3] < flames
    turn = np.where(is_flame, to_disc, 2 * np.pi * u[:, 4])
    stretch = np.where(is_flame, 2.5, 1.2)
    return _blot(eyes, eye, x, y, radius, largest, turn, stretch, ink=0.45 + 0.55 * u[:, 5])


def _crystals(rng, eyes, grades):
    """Points of hard exudates: clusters of small sharp spots, mostly around the macula."""
    eye, _, u = _choose(rng, grades, EXUDATES, 2 + 3 * CRYSTALS)
    angle = 2 * np.pi * u[:, 0]
    away = 3 + 8 * u[:, 1]
    spot = u[:, 2:].reshape(-1, CRYSTALS, 3)
    # the spots of a cluster lie on an arc around a leak
    bend = angle[:, None] + (spot[..., 0] - 0.5) * 1.2
    reach = away[:, None] + (spot[..., 1] - 0.5) * 2.5
    x = (reach * np.cos(bend)).ravel()
    y = (reach * np.sin(bend)).ravel()
    radius = (0.18 + 0.3 * spot[..., 2] ** 2).ravel()
    return _blot(eyes, np.repeat(eye, CRYSTALS), x, y, radius, 0.48)


def _wool(rng, eyes, grades):
    """Points of cotton-wool spots: pale and feathery, a third of a disc wide, along the arcades."""
    eye, order, u = _choose(rng, grades, COTTON_WOOL, 4)
    x, y = _scatter(eyes, eye, order, u, nearest=5, farthest=13)
    return _blot(eyes, eye, x, y, 1.2 + u[:, 2], 2.2, 2 * np.pi * u[:, 3], 1.5, edge=0.9)


def _settle(rng, eyes, grades):
    """Points of boat-shaped haemorrhages before the retina: blood settled under a level line."""
    eye, _, u = _choose(rng, grades, PRERETINAL, 4)
    wide = 3.5 + 3.5 * u[:, :1]
    deep = 3 + 3 * u[:, 1:2]
    across, down = _cloud(int(3 * np.pi * (7 * eyes.scale.max()) ** 2), lumps=0.02)
    boat = down > 0
    x = 9 * u[:, 2:3] - 6 + wide * across[boat]
    y = 2 + 6 * u[:, 3:] + deep * down[boat]
    ink = FULL * np.pi * wide * deep / len(across)
    return flatten(eye[:, None], x, y, ink)


def _tufts(rng, eyes, grades, arcades):
    """Points of new vessels: fine curls that spread from the disc, or from an arcade."""
    steps = 8 + eyes.size // 2
    eye, order, u = _choose(rng, grades, NEW_VESSELS, 4 + 4 * CURLS)
    arcade = (4 * u[:, 0]).astype(int)
    step = ((0.2 + 0.3 * u[:, 1]) * arcades.shape[-1]).astype(int)
    on_disc = eyes.disc[eye] + 3 * u[:, 2:4] - 1.5
    root = np.where((order == 0)[:, None], on_disc, arcades[eye, arcade, :, step])
    start, curl, wave, reach = np.moveaxis(u[:, 4:].reshape(-1, CURLS, 4), -1, 0)[..., None]
    t = np.linspace(0, 1, steps)
    heading = 2 * np.pi * start + (8 * curl - 4) * t + 2 * wave * np.sin(9 * t + 6 * reach)
    step = (3 + 4 * reach) / steps
    x = root[:, :1, None] + np.cumsum(step * np.cos(heading), axis=2)
    y = root[:, 1:, None] + np.cumsum(step * np.sin(heading), axis=2)
    return flatten(eye[:, None, None], x, y, step * 0.3)


def _choose(rng, grades, table, traits):
    """The eye of each lesion (M,), its number in that eye (M,), uniform numbers (M, traits).

    The numbers shape the lesion. As many are drawn for an eye without lesions as for one full of
    them, so that grades never change other eyes.
    """
    fewest, most = np.array(table)[grades].T
    u = rng.uniform(size=(len(grades), np.max(table), traits))
    number = fewest + (rng.uniform(size=len(grades)) * (most - fewest + 1)).astype(int)
    eye, order = np.nonzero(np.arange(u.shape[1]) < number[:, None])
    return eye, order, u[eye, order]


def _scatter(eyes, eye, order, u, nearest=1.5, farthest=18.0):
    """Where lesions lie, x (M,) and y (M,): in the four quadrants in turn.

    They keep off the fovea and off the disc.
    """
    angle = np.pi / 2 * (order + u[:, 0])
    away = np.sqrt(nearest**2 + (farthest**2 - nearest**2) * u[:, 1])
    x = 2.5 + away * np.cos(angle)
    y = away * np.sin(angle)
    x_off = x - eyes.disc[eye, 0]
    y_off = y - eyes.disc[eye, 1]
    off = np.sqrt(x_off**2 + y_off**2)
    push = np.where(off < OFF_DISC, (2 * OFF_DISC - off) / off - 1, 0)
    return x + push * x_off, y + push * y_off


def _blot(eyes, eye, x, y, radius, largest, turn=0.0, stretch=1.0, edge=0.5, ink=1.0):
    """Points of ovals with a lumpy rim, `stretch` times longer than wide.

    edge > 0.5 makes them feathery
    """
    radius = np.maximum(radius, LEAST / eyes.scale[eye])
    u, v = _cloud(6 + int(6 * (largest * eyes.scale.max()) ** 2), edge)
    long = (radius * np.sqrt(stretch))[:, None] * u
    short = (radius / np.sqrt(stretch))[:, None] * v
    cos = np.broadcast_to(np.cos(turn), eye.shape)[:, None]
    sin = np.broadcast_to(np.sin(turn), eye.shape)[:, None]
    ink = FULL * np.pi * ink * radius**2 / len(u)
    x = x[:, None] + long * cos - short * sin
    y = y[:, None] + long * sin + short * cos
    return flatten(eye[:, None], x, y, ink[:, None])


def _cloud(number, edge=0.5, lumps=0.12):
    """Points that fill the unit disc evenly, x and y (number,): a sunflower's spiral, lumpy rim."""
    k = np.arange(number)
    angle = np.pi * (3 - np.sqrt(5)) * k
    away = ((k + 0.5) / number) ** edge * (1 + lumps * (np.sin(3 * angle) + np.sin(5 * angle + 1)))
    return away * np.cos(angle), away * np.sin(angle)
