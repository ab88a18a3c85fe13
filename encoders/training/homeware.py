"""Things to have at home: a kind of product is a function of its proportions, and gives its parts, back to front."""

from __future__ import annotations

from encoders.training.geometry import Material, Part, Proportions, between, box, mirrored, oval, smooth


def mug(s: Proportions) -> list[Part]:
    """Give the parts of a mug, back to front."""
    wide, top, taper = between(0.22, 0.3, s[0]), between(0.18, 0.38, s[1]), between(-0.07, 0.03, s[2])
    x, bottom = 0.44, 0.84
    ear = oval(
        x + wide - 0.01, (top + bottom) / 2, between(0.12, 0.2, s[3]), (bottom - top) * between(0.24, 0.34, s[4])
    )
    rim = [(x - wide, top), (x + wide, top)]
    base = [(x + wide + taper, bottom - 0.05), (x + wide + taper - 0.04, bottom), (x, bottom + 0.025)]
    base += [(x - wide - taper + 0.04, bottom), (x - wide - taper, bottom - 0.05)]
    parts = [Part(ear, "trim", width=0.05), Part((*rim, *base), "main", patterned=True)]
    if s[5] > 0.5:
        parts += [Part((*base[1:4], base[4], base[0]), "trim")]
    return [
        *parts,
        Part(oval(x, top, wide, 0.05), "trim"),
        Part(oval(x, top + 0.004, wide * 0.88, 0.037), "dark", relief=0.4),
    ]


def bottle(s: Proportions) -> list[Part]:
    """Give the parts of a bottle, back to front."""
    wide, shoulder, neck = between(0.12, 0.2, s[0]), between(0.3, 0.44, s[1]), between(0.045, 0.09, s[2])
    body = [
        (0.5 + neck, 0.16),
        (0.5 + neck, shoulder - 0.12),
        (0.5 + wide * 0.9, shoulder),
        (0.5 + wide, shoulder + 0.07),
    ]
    body += [(0.5 + wide, 0.9), (0.5 + wide - 0.03, 0.94)]
    cap = box(0.5 - neck - 0.012, between(0.05, 0.1, s[3]), 0.5 + neck + 0.012, 0.18, 0.015)
    parts = [Part(mirrored(body), "main", patterned=True), Part(cap, "trim")]
    if s[4] > 0.35:
        label = between(shoulder + 0.1, 0.66, s[5])
        parts += [
            Part(box(0.5 - wide, label, 0.5 + wide, label + 0.2, 0.005), "light"),
            Part(oval(0.5, label + 0.1, 0.055, 0.055), "accent"),
        ]
    return [
        *parts,
        Part(((0.5 - wide * 0.62, shoulder + 0.08), (0.5 - wide * 0.62, 0.86)), "glow", width=0.022, relief=0),
    ]


def lamp(s: Proportions) -> list[Part]:
    """Give the parts of a lamp, back to front."""
    bottom, upper, lower = between(0.4, 0.54, s[0]), between(0.1, 0.22, s[1]), between(0.24, 0.36, s[2])
    shade = Part(mirrored([(0.5 + upper, 0.1), (0.5 + lower, bottom)]), "main", patterned=True)
    foot = Part(oval(0.5, 0.9, between(0.13, 0.22, s[3]), 0.035), "metal" if s[5] > 0.5 else "wood")
    rims = [Part(((0.5 - w, y), (0.5 + w, y)), "trim", width=0.018) for w, y in ((upper, 0.1), (lower, bottom))]
    if s[4] > 0.5:  # a pot-bellied stand, otherwise a rod
        belly = smooth(
            [
                (0.46, bottom),
                (0.54, bottom),
                (0.6, 0.66),
                (0.64, 0.78),
                (0.56, 0.89),
                (0.44, 0.89),
                (0.36, 0.78),
                (0.4, 0.66),
            ]
        )
        return [foot, Part(belly, "trim"), shade, *rims]
    return [foot, Part(((0.5, bottom - 0.05), (0.5, 0.9)), foot.material, width=0.035), shade, *rims]


def chair(s: Proportions) -> list[Part]:
    """Give the parts of a chair, back to front."""
    top, seat, wide = between(0.06, 0.2, s[0]), between(0.5, 0.58, s[1]), between(0.22, 0.28, s[2])
    splay, round_ = between(0, 0.07, s[3]), between(0.03, 0.14, s[4])
    leg: Material = "wood" if s[5] > 0.4 else "metal"
    back_legs = [
        Part(((0.5 + side * wide * 0.75, seat), (0.5 + side * (wide * 0.7 + splay), 0.86)), leg, width=0.032)
        for side in (-1, 1)
    ]
    legs = [
        Part(((0.5 + side * wide * 0.95, seat + 0.08), (0.5 + side * (wide + splay), 0.95)), leg, width=0.045)
        for side in (-1, 1)
    ]
    posts = [
        Part(((0.5 + side * wide * 0.8, top + 0.1), (0.5 + side * wide * 0.8, seat + 0.02)), leg, width=0.04)
        for side in (-1, 1)
    ]
    back = Part(box(0.5 - wide, top, 0.5 + wide, seat - between(0.03, 0.16, s[3]), round_), "main", patterned=True)
    cushion = [
        (0.5 - wide * 0.85, seat),
        (0.5 + wide * 0.85, seat),
        (0.53 + wide, seat + 0.09),
        (0.47 - wide, seat + 0.09),
    ]
    front = Part(box(0.465 - wide, seat + 0.085, 0.535 + wide, seat + 0.135, 0.02), "trim")
    return [*back_legs, *posts, back, *legs, Part(tuple(cushion), "main", patterned=True), front]


def sofa(s: Proportions) -> list[Part]:
    """Give the parts of a sofa, back to front."""
    top, arm, seats = between(0.26, 0.38, s[0]), between(0.09, 0.15, s[1]), 2 + round(s[2])
    round_, arm_top = between(0.04, 0.1, s[3]), between(0.42, 0.52, s[4])
    left, right = 0.05 + arm * 0.7, 0.95 - arm * 0.7
    feet = [Part(box(x - 0.022, 0.76, x + 0.022, 0.86, 0.01), "wood" if s[5] > 0.5 else "metal") for x in (0.12, 0.88)]
    parts = [*feet, Part(box(left, top, right, 0.7, round_), "main", patterned=True)]
    step = (right - left - 2 * arm * 0.3) / seats
    for i in range(seats):
        x = left + arm * 0.3 + i * step
        parts += [Part(box(x + 0.004, top + 0.04, x + step - 0.004, 0.6, 0.04), "main", patterned=True)]
        parts += [Part(box(x + 0.004, 0.57, x + step - 0.004, 0.69, 0.035), "main", patterned=True)]
    parts += [Part(box(0.06, 0.67, 0.94, 0.79, 0.03), "trim")]
    parts += [Part(box(x, arm_top, x + arm, 0.79, min(0.05, arm / 2)), "trim") for x in (0.04, 0.96 - arm)]
    return [*parts, Part(box(0.25, 0.43, 0.42, 0.59, 0.03), "accent")]


def vase(s: Proportions) -> list[Part]:
    """Give the parts of a vase, back to front."""
    neck, belly, where = between(0.05, 0.13, s[0]), between(0.2, 0.32, s[1]), between(0.5, 0.74, s[2])
    lip, foot = neck + between(0.01, 0.07, s[3]), between(0.09, 0.16, s[4])
    right = [(0.5 + lip, 0.17), (0.5 + neck, 0.27), (0.5 + belly * 0.88, where - 0.11), (0.5 + belly, where)]
    right += [(0.5 + belly * 0.9, where + 0.1), (0.5 + foot, 0.92)]
    left = [(1 - x, y) for x, y in reversed(right)]
    parts = [Part(smooth([*right, (0.5, 0.935), *left, (0.5, 0.19)]), "main", patterned=True)]
    if s[5] > 0.5:
        parts += [Part(((0.5 - belly * 0.99, where), (0.5 + belly * 0.99, where)), "accent", width=0.035, relief=0.4)]
    return [
        *parts,
        Part(oval(0.5, 0.18, lip, 0.03), "trim"),
        Part(oval(0.5, 0.182, lip * 0.8, 0.02), "dark", relief=0.2),
    ]
