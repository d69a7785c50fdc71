"""report.html: one file that shows what was drawn, what came of it, and where to look next."""

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

from siaf.output.palette import colour
from siaf.output.pictures import thumbnail
from siaf.output.results import Areas, Results
from siaf.output.timeline import timeline
from siaf.scribbles import Scribble

# Nothing is loaded from anywhere, and a browser holds the page to that.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6470; --line: #d4d9df; --paper: #fff;
  --card: #f5f7f9; --mark: #0969da; --next: #bc4c00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaef; --soft: #9aa5b1; --line: #3a424c; --paper: #14181d; --card: #1f252c;
    --mark: #58a6ff; --next: #f0883e; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p { margin: .25rem 0 1rem; }
.soft, figcaption, th { color: var(--soft); }
.soft, figcaption { font-size: .875rem; }
.sheet { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  overflow: hidden; }
figure img { display: block; width: 100%; }
figcaption { padding: .5rem .75rem; }
figcaption b { color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem 1.25rem .25rem 0; white-space: nowrap; }
th { font-weight: 500; font-size: .875rem; border-bottom: 1px solid var(--line); }
.swatch { display: inline-block; width: .85em; height: .85em; margin-right: .5em; border-radius: .2em;
  border: 1px solid var(--soft); vertical-align: -.08em; }
.object { margin: 0 0 1.25rem; }
.timeline { display: block; width: 100%; height: 5.5rem; background: var(--card); border-radius: .35rem; }
.timeline path { vector-effect: non-scaling-stroke; }
.lane { stroke: var(--line); fill: none; }
.area { fill-opacity: .5; stroke: var(--soft); stroke-width: .5; }
.confidence { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.interacted { fill: var(--mark); background: var(--mark); }
.suggested { fill: var(--next); background: var(--next); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: .15em; vertical-align: -.05em; }
.ends { display: flex; justify-content: space-between; }
"""


def write_report(path: Path, results: Results, areas: Areas) -> None:
    """Write the report; `areas` holds every frame's pixels by tag."""
    with path.open("w", encoding="utf-8") as file:
        for part in _page(results, areas):
            file.write(part + "\n")


def _page(results: Results, areas: Areas) -> Iterator[str]:
    name = escape(results.name)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{name}: segmentation report</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{name}</h1>\n<p class=soft>{_summary(results)}</p>"
    yield from _objects(results, areas)
    yield from _contact_sheet(results)
    yield from _timelines(results, areas)
    yield from _suggestions(results)
    yield "</body>\n</html>"


def _summary(results: Results) -> str:
    frames = results.frames
    parts = [
        _count(len(frames), "frame"),
        f"{frames.width}×{frames.height} pixels",
        f"{frames.fps:g} frames per second",
        _count(len(results.labels), "object"),
        _count(len(results.rounds), "round"),
    ]
    return escape(" · ".join([*parts, results.model] if results.model else parts))


def _objects(results: Results, areas: Areas) -> Iterator[str]:
    yield "<h2>Objects</h2>\n<div class=scroll><table>"
    yield "<tr><th>Tag<th>Label<th>Seen in<th>Mean area<th>Mean confidence<th>Least confident"
    picture = results.frames.height * results.frames.width
    for tag, label in results.labels.items():
        seen = [pixels[tag] for pixels in areas.values() if tag in pixels]
        area = f"{100 * sum(seen) / len(seen) / picture:.1f} %" if seen else "–"
        sure = _of_tag(results, tag)
        mean = f"{sum(sure.values()) / len(sure):.2f}" if sure else "–"
        worst = min(sure, key=lambda n: sure[n], default=None)
        where = f"{sure[worst]:.2f} in frame {worst}" if worst is not None else "–"
        cells = (f"{_swatch(tag)}{tag}", escape(label), _count(len(seen), "frame"), area, mean, where)
        yield "<tr>" + "".join(f"<td>{cell}" for cell in cells)
    yield "</table></div>"


def _contact_sheet(results: Results) -> Iterator[str]:
    yield "<h2>What was drawn, and its result</h2>"
    yield (
        "<p class=soft>Strokes have the light colour of their object. Black with a white rim: background. "
        "Black with a coloured rim: not this object. Masks are those after the last round.</p>"
        "\n<div class=sheet>"
    )
    for n, rounds in results.interacted.items():
        strokes = [s for r in results.rounds for s in r.scribbles.get(n, ())]
        given = [number for number, r in enumerate(results.rounds, 1) if n in r.references]
        parts = [_numbered("round", rounds)]
        if strokes:
            parts.append(_stroke_list(strokes))
        if given:
            parts.append(f"mask by hand in {_numbered('round', given)}")
        frame, mask = results.frames[n], results.mask(n)
        yield _figure(n, " · ".join(parts), thumbnail(frame, mask, strokes))
    yield "</div>"


def _stroke_list(strokes: list[Scribble]) -> str:
    tags = sorted({s.tag for s in strokes if s.tag})
    parts = [_count(len(strokes), "stroke")]
    if tags:
        parts.append(_numbered("object", tags))
    if any(s.tag == 0 for s in strokes):
        parts.append("background")
    return ", ".join(parts)


def _timelines(results: Results, areas: Areas) -> Iterator[str]:
    yield "<h2>Objects over time</h2>"
    yield (
        "<p class=soft>Filled: area, relative to the object's largest. Line: confidence from 0 to 1 in "
        "propagated frames. <span class='key interacted'></span> annotated by a human, "
        "<span class='key suggested'></span> worth annotating next.</p>"
    )
    for tag, label in results.labels.items():
        curves = timeline(
            tag,
            n_frames=len(results.frames),
            areas={n: pixels[tag] for n, pixels in areas.items() if tag in pixels},
            confidence=_of_tag(results, tag),
            interacted=results.interacted,
            suggested=results.suggested,
        )
        last = len(results.frames) - 1
        yield f"<div class=object>{_swatch(tag)}<b>{tag}</b> {escape(label)}{curves}"
        yield f'<div class="soft ends"><span>frame 0</span><span>frame {last}</span></div></div>'


def _suggestions(results: Results) -> Iterator[str]:
    yield "<h2>Next frames worth annotating</h2>"
    if not results.suggested:
        yield "<p>None: no frame has been propagated since the last annotation.</p>"
        return
    yield "<div class=sheet>"
    for n in results.suggested:
        scores = {tag: c for tag, c in results.confidence.get(n, {}).items() if tag in results.labels}
        worst = min(scores, key=lambda tag: scores[tag], default=None)
        why = f"object {worst} at confidence {scores[worst]:.2f}" if worst is not None else "not scored"
        yield _figure(n, why, thumbnail(results.frames[n], results.mask(n)))
    yield "</div>"


def _figure(frame: int, caption: str, picture: str) -> str:
    return (
        f'<figure><img src="{picture}" alt="frame {frame}" loading="lazy">'
        f"<figcaption><b>Frame {frame}</b> · {escape(caption)}</figcaption></figure>"
    )


def _of_tag(results: Results, tag: int) -> Mapping[int, float]:
    return {n: scores[tag] for n, scores in results.confidence.items() if tag in scores}


def _swatch(tag: int) -> str:
    red, green, blue = colour(tag)
    return f'<span class=swatch style="background:rgb({red},{green},{blue})"></span>'


def _numbered(noun: str, numbers: list[int]) -> str:
    return f"{noun if len(numbers) == 1 else noun + 's'} {', '.join(map(str, numbers))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
