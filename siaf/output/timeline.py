"""One object over time as inline SVG: its area, its confidence, and where a human worked."""

from collections.abc import Collection, Mapping

from siaf.output.palette import colour

WIDTH, HEIGHT = 1000, 90
_LANE = 70  # the curves' height; below it are the marks of interacted frames
_BINS = 500


def timeline(
    tag: int,
    *,
    n_frames: int,
    areas: Mapping[int, int],
    confidence: Mapping[int, float],
    interacted: Collection[int],
    suggested: Collection[int],
) -> str:
    """SVG of `WIDTH` × `HEIGHT` units. `areas`: frame → pixels; `confidence`: frame → 0 to 1, where known.

    The area is relative to the object's own largest. If a video has more frames than can be told apart, it is drawn
    in bins, with the largest area and the lowest confidence of each.
    """
    bins = min(n_frames, _BINS)
    of = [n * bins // n_frames for n in range(n_frames)]
    area, sure = [0.0] * bins, [2.0] * bins
    for n, pixels in areas.items():
        area[of[n]] = max(area[of[n]], float(pixels))
    for n, value in confidence.items():
        sure[of[n]] = min(sure[of[n]], value)
    largest = max(area) or 1.0
    step = WIDTH / bins
    red, green, blue = colour(tag)
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="area and confidence of object {tag} by frame">',
        f'<path class="lane" d="M0 {_LANE}H{WIDTH}"/>',
        f'<path class="area" fill="rgb({red},{green},{blue})" d="{_steps(area, largest, step)}"/>',
        f'<path class="confidence" d="{_line(sure, step)}"/>',
    ]
    for kind, frames in (("interacted", interacted), ("suggested", suggested)):
        for n in sorted(frames):
            x = of[n] * step
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{_LANE + 4}" width="{max(step, 4):.1f}" height="14">'
                f"<title>frame {n}: {kind}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _steps(values: list[float], largest: float, step: float) -> str:
    """A closed outline with one step per bin."""
    tops = (f"V{_LANE - _LANE * v / largest:.1f}H{(i + 1) * step:.1f}" for i, v in enumerate(values))
    return f"M0 {_LANE}" + "".join(tops) + f"V{_LANE}Z"


def _line(values: list[float], step: float) -> str:
    """A line through the middles of the bins, broken where there is no value (above 1)."""
    path, pen = "", "M"
    for i, value in enumerate(values):
        if value > 1:
            pen = "M"
            continue
        y = _LANE - _LANE * value
        path += f"{pen}{i * step:.1f} {y:.1f}H{(i + 1) * step:.1f}"
        pen = "L"
    return path
