"""Things to wear: a kind of product is a function of its proportions, and gives its parts, back to front."""

from __future__ import annotations

import math

from encoders.training.geometry import Part, Proportions, between, box, mirrored, oval, smooth


def shirt(s: Proportions) -> list[Part]:
    """Give the parts of a shirt, back to front."""
    sleeve, waist, neck, hem = between(0.3, 0.62, s[0]), between(0.68, 0.76, s[1]), s[2], between(0.78, 0.92, s[3])
    cuff = 0.79 + 0.11 * (1 - s[0])
    body = [(0.58, 0.13), (0.71, 0.17), (cuff + 0.05, sleeve + 0.02), (cuff - 0.09, sleeve + 0.07)]
    body += [(0.7, 0.33), (waist, 0.6), (waist + 0.01, hem)]
    collar = ((0.4, 0.13), (0.5, between(0.2, 0.34, neck)), (0.6, 0.13))
    parts = [Part(mirrored(body), "main", patterned=True), Part(oval(0.5, 0.13, 0.085, 0.02), "dark", relief=0.2)]
    if neck > 0.5:  # a V-neck, otherwise round
        parts += [Part(collar, "dark", relief=0.2), Part(collar, "trim", width=0.025)]
    else:
        parts += [Part(oval(0.5, 0.125, 0.09, 0.07, (0, 180)), "dark", relief=0.2)]
        parts += [Part(oval(0.5, 0.125, 0.095, 0.075, (0, 180)), "trim", width=0.025)]
    if s[4] > 0.6:
        parts += [Part(((0.5, 0.25), (0.5, hem)), "trim", width=0.03, relief=0.5)]
        parts += [Part(oval(0.5, 0.36 + 0.11 * i, 0.011, 0.011), "light") for i in range(4)]
    if s[5] > 0.5:
        parts += [Part(box(0.57, 0.34, 0.66, 0.45, 0.01), "trim")]
    return parts


def dress(s: Proportions) -> list[Part]:
    """Give the parts of a dress, back to front."""
    waist, flare, hem = between(0.56, 0.6, s[0]), between(0.68, 0.88, s[1]), between(0.76, 0.95, s[2])
    top = [(0.57, 0.07), (0.62, 0.07), (0.66, 0.2), (waist, 0.42)]
    skirt = [(waist, 0.42), (between(waist, flare, 0.45), 0.58), (flare, hem), (0.6, hem + 0.02)]
    parts = [Part(mirrored(skirt), "main", patterned=True)]
    if s[3] > 0.5:
        sleeves = ((0.62, 0.07), (0.78, between(0.2, 0.42, s[5])), (0.7, between(0.25, 0.46, s[5])), (0.645, 0.2))
        parts += [Part(sleeves, "main", patterned=True), Part(tuple((1 - x, y) for x, y in sleeves), "main", True)]
    neck = [*mirrored(top), (0.43, 0.07), (0.5, between(0.12, 0.2, s[4])), (0.57, 0.07)]
    parts += [Part(tuple(neck), "main", patterned=True)]
    return [*parts, Part(box(1 - waist - 0.005, 0.405, waist + 0.005, 0.445, 0.01), "trim")]


def trousers(s: Proportions) -> list[Part]:
    """Give the parts of a pair of trousers, back to front."""
    hip, ankle, length = between(0.68, 0.74, s[0]), between(0.6, 0.74, s[1]), between(0.6, 0.94, s[2])
    leg = [(0.655, 0.08), (hip, 0.3), (ankle + 0.02, length), (ankle - 0.13, length), (0.5, 0.34)]
    parts = [Part(mirrored(leg), "main", patterned=True), Part(box(0.34, 0.07, 0.66, 0.125, 0.01), "trim")]
    if s[3] > 0.4:
        cuff = (ankle - 0.135, length - 0.05, ankle + 0.025, length + 0.01)
        parts += [Part(box(*cuff, 0.01), "trim"), Part(box(1 - cuff[2], cuff[1], 1 - cuff[0], cuff[3], 0.01), "trim")]
    pockets = ((0.625, 0.14), (0.6, 0.22), (0.68, 0.24))
    parts += [Part(pockets, "dark", width=0.008), Part(tuple((1 - x, y) for x, y in pockets), "dark", width=0.008)]
    return [
        *parts,
        Part(oval(0.5, 0.098, 0.014, 0.014), "metal"),
        Part(((0.5, 0.125), (0.5, 0.33)), "dark", width=0.006),
    ]


def shoe(s: Proportions) -> list[Part]:
    """Give the parts of a shoe, back to front."""
    ankle, toe, sole = between(0.24, 0.42, s[0]), between(0.5, 0.56, s[1]), between(0.05, 0.1, s[2])
    upper = [(0.11, 0.64), (0.12, ankle + 0.08), (0.14, ankle), (0.25, ankle + 0.03), (0.36, ankle), (0.44, 0.46)]
    upper += [(0.6, toe), (0.78, toe + 0.06), (0.9, 0.65), (0.94, 0.73), (0.88, 0.77), (0.5, 0.77), (0.13, 0.77)]
    bottom = box(0.08, 0.74, 0.95, 0.74 + sole, min(0.045, sole / 2))
    parts = [Part(oval(0.25, ankle + 0.02, 0.105, 0.03), "dark"), Part(smooth(upper), "main", patterned=True)]
    parts += [
        Part(
            smooth([(0.78, toe + 0.07), (0.88, 0.64), (0.935, 0.72), (0.88, 0.765), (0.76, 0.765), (0.73, 0.66)]),
            "trim",
        )
    ]
    parts += [Part(smooth([(0.1, ankle + 0.1), (0.2, ankle + 0.16), (0.22, 0.74), (0.11, 0.745)]), "trim")]
    if s[3] > 0.4:
        sweep = ((0.25, 0.68), (0.4, 0.69), (0.55, 0.58), (0.38, 0.63 - 0.05 * s[4]))
        parts += [Part(smooth(sweep), "accent")]
    laces = [(0.4 + 0.075 * i, 0.415 + (toe - 0.43) * (i + 1) / 4) for i in range(4)]
    parts += [Part(((x - 0.05, y + 0.07), (x + 0.03, y + 0.005)), "light", width=0.022) for x, y in laces]
    return [*parts, Part(bottom, "light"), Part(box(0.09, 0.74 + sole * 0.68, 0.94, 0.745 + sole, 0.01), "accent")]


def bag(s: Proportions) -> list[Part]:
    """Give the parts of a bag, back to front."""
    top, wide, flare = between(0.36, 0.48, s[0]), between(0.3, 0.4, s[1]), between(-0.07, 0.06, s[2])
    body = [
        (0.5 + wide - 0.03, top),
        (0.5 + wide, top + 0.04),
        (0.5 + wide + flare, 0.86),
        (0.5 + wide + flare - 0.04, 0.9),
    ]
    rise = between(top - 0.32, top - 0.16, s[3])
    handle = oval(0.5, top + 0.03, wide * 0.55, top - rise, (180, 360))
    parts = [Part(handle, "trim", width=between(0.028, 0.05, s[4])), Part(mirrored(body), "main", patterned=True)]
    if s[5] > 0.5:
        flap = [(0.5 + wide, top + 0.01), (0.5 + wide * 0.94, top + 0.2), (0.5 + wide * 0.3, top + 0.27)]
        parts += [Part(mirrored(flap), "trim"), Part(box(0.46, top + 0.22, 0.54, top + 0.3, 0.015), "metal")]
    else:
        parts += [Part(box(0.5 - wide, top - 0.005, 0.5 + wide, top + 0.045, 0.015), "trim")]
        parts += [Part(oval(x, top + 0.06, 0.016, 0.016), "metal") for x in (0.5 - wide * 0.55, 0.5 + wide * 0.55)]
    return parts


def backpack(s: Proportions) -> list[Part]:
    """Give the parts of a backpack, back to front."""
    wide, top, pocket = between(0.26, 0.34, s[0]), between(0.12, 0.2, s[1]), between(0.56, 0.64, s[2])
    body = box(0.5 - wide, top, 0.5 + wide, 0.92, between(0.1, 0.22, s[3]))
    loop = oval(0.5, top + 0.01, 0.08, 0.07, (180, 360))
    parts = [Part(loop, "dark", width=0.03)]
    parts += [Part(box(x - 0.05, 0.38, x + 0.05, 0.84, 0.05), "trim") for x in (0.5 - wide, 0.5 + wide)]
    parts += [Part(body, "main", patterned=True)]
    arch = oval(0.5, top + 0.28, wide * 0.8, 0.2, (190, 350))
    parts += [
        Part(arch, "dark", width=0.014),
        Part(box(0.5 - wide * 0.78, pocket, 0.5 + wide * 0.78, 0.88, 0.06), "trim"),
    ]
    zip_y = pocket + 0.07
    parts += [Part(((0.5 - wide * 0.6, zip_y), (0.5 + wide * 0.6, zip_y)), "dark", width=0.012)]
    parts += [Part(box(0.5 + wide * 0.45, zip_y, 0.5 + wide * 0.52, zip_y + 0.07, 0.008), "metal")]
    return [*parts, Part(box(0.45, 0.42, 0.55, 0.5, 0.015), "accent")] if s[4] > 0.4 else parts


def hat(s: Proportions) -> list[Part]:
    """Give the parts of a hat, back to front."""
    crown, wide = between(0.2, 0.36, s[0]), between(0.24, 0.29, s[1])
    if s[2] > 0.5:  # with a brim all round
        brim = Part(oval(0.5, 0.68, between(0.38, 0.46, s[3]), between(0.07, 0.12, s[4])), "main", patterned=True)
        dome = [(0.5, crown + 0.02), (0.5 + wide * 0.6, crown), (0.5 + wide, 0.5), (0.5 + wide, 0.66), (0.5, 0.72)]
        band = [(0.5 + wide * 1.005, 0.57), (0.5 + wide * 1.01, 0.655), (0.62, 0.7), (0.5, 0.71)]
        low = [
            (0.38, 0.7),
            (0.5 - wide * 1.01, 0.655),
            (0.5 - wide * 1.005, 0.57),
            (0.38, 0.61),
            (0.5, 0.62),
            (0.62, 0.61),
        ]
        left = [(1 - x, y) for x, y in dome[3:0:-1]]
        return [brim, Part(smooth([*dome, *left]), "main", patterned=True), Part((*band, *low), "trim")]
    peak = [(0.64, 0.58), (0.82, 0.6), (0.95, 0.67), (0.97, 0.73), (0.82, 0.71), (0.64, 0.71)]
    dome = [
        (0.18, 0.68),
        (0.17, 0.5),
        (0.26, crown + 0.06),
        (0.44, crown),
        (0.62, crown + 0.07),
        (0.71, 0.5),
        (0.72, 0.68),
    ]
    parts = [Part(smooth(peak), "trim"), Part(smooth([*dome, (0.45, 0.71)]), "main", patterned=True)]
    parts += [Part(((0.44, crown + 0.01), (x, 0.68)), "dark", width=0.006) for x in (0.32, 0.57)]
    emblem = oval(0.6, 0.53, 0.06, 0.06) if s[4] > 0.5 else box(0.53, 0.48, 0.66, 0.57)
    return [*parts, Part(emblem, "accent"), Part(oval(0.44, crown + 0.01, 0.028, 0.018), "trim")]


def watch(s: Proportions) -> list[Part]:
    """Give the parts of a watch, back to front."""
    radius, strap = between(0.17, 0.24, s[0]), between(0.085, 0.14, s[1])
    taper = strap * between(0.7, 1, s[2])
    band = [(0.5 + taper, 0.03), (0.5 + strap, 0.5), (0.5 + taper, 0.97)]
    case = (
        oval(0.5, 0.5, radius, radius)
        if s[3] > 0.4
        else box(0.5 - radius, 0.5 - radius, 0.5 + radius, 0.5 + radius, 0.05)
    )
    parts = [
        Part(mirrored(band), "main", patterned=True),
        Part(box(0.5 + radius - 0.01, 0.47, 0.54 + radius, 0.53, 0.01), "metal"),
    ]
    inner = tuple((0.5 + (x - 0.5) * 0.82, 0.5 + (y - 0.5) * 0.82) for x, y in case)
    parts += [Part(case, "metal"), Part(inner, "light" if s[4] > 0.4 else "trim", relief=0.3)]
    for hour in range(12):
        x, y = math.sin(hour * math.pi / 6) * radius * 0.68, -math.cos(hour * math.pi / 6) * radius * 0.68
        parts += [Part(oval(0.5 + x, 0.5 + y, 0.011, 0.011), "accent", relief=0)]
    for length, turn, width in ((0.4, s[5] * 6.28, 0.022), (0.6, s[5] * 75.4, 0.014)):
        tip = (0.5 + radius * length * math.sin(turn), 0.5 - radius * length * math.cos(turn))
        parts += [Part(((0.5, 0.5), tip), "dark", width=width, relief=0)]
    return [*parts, Part(oval(0.5, 0.5, 0.014, 0.014), "accent")]
