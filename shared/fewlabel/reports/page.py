"""The HTML page around a report: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

# The policy forbids every request, so a report of patients' data cannot leak even if a name were to hold markup.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
:root {{ color-scheme: light; --ink: #1b2733; --muted: #5b6875; --rule: #d9dee3; --wash: #f4f6f8; --accent: #0072b2; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
main {{ max-width: 70rem; margin: 0 auto; padding: 2.5rem clamp(1rem, 4vw, 2.5rem) 4rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; letter-spacing: -.01em; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: 1.1rem; border-top: 1px solid var(--rule); }}
h3 {{ font-size: 1rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }}
p {{ max-width: 46rem; margin: .4rem 0 .8rem; }}
.note, figcaption, dt {{ color: var(--muted); font-size: .9rem; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .9rem 1.5rem; margin: 0; }}
dl div {{ min-width: 0; }}
dl.wide {{ grid-template-columns: 1fr; gap: .5rem; }}
dl.wide div {{ display: grid; grid-template-columns: minmax(7rem, 12rem) 1fr; gap: 0 1rem; }}
dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.6rem 0 0; }}
.card {{ background: var(--wash); border-radius: .6rem; padding: .9rem 1.1rem; }}
.card b {{ display: block; font-size: 1.75rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }}
.card span {{ color: var(--muted); font-size: .9rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .38rem .75rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }}
th:first-child, td:first-child {{ text-align: left; padding-left: .2rem; }}
thead th {{ color: var(--muted); font-weight: 600; border-bottom: 1.5px solid var(--ink); }}
tbody th {{ font-weight: 400; }}
tr.mean th, tr.mean td {{ font-weight: 650; border-top: 1.5px solid var(--ink); border-bottom: 0; }}
.missing {{ color: var(--muted); }}
figure {{ margin: .8rem 0 0; overflow-x: auto; }}
img {{ display: block; max-width: 100%; min-width: min(42rem, var(--natural)); height: auto; }}
.legend {{ display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; padding: 0; margin: .6rem 0 0; list-style: none;
  font-size: .93rem; }}
.legend i {{ display: inline-block; width: 1.05em; height: .8em; margin-right: .45em; border-radius: 2px; }}
summary {{ cursor: pointer; color: var(--accent); margin-top: 1.6rem; }}
@media print {{ main {{ max-width: none; padding: 0; }} figure, table {{ break-inside: avoid; }} }}
</style>
</head>
<body>
<main>
"""
_FOOT = "</main>\n</body>\n</html>\n"


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page: ``title`` is escaped, ``parts`` are HTML already."""
    return _HEAD.format(title=escape(title)) + "\n".join(parts) + "\n" + _FOOT


def table(header: Sequence[str], rows: Sequence[Sequence[str]], mean_last: bool = False) -> str:
    """A table whose first column names the row; all cells are escaped, and an en dash is dimmed as missing."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = []
    for index, row in enumerate(rows):
        cells = "".join(f'<td class="missing">{c}</td>' if c == "–" else f"<td>{escape(c)}</td>" for c in row[1:])
        style = ' class="mean"' if mean_last and index == len(rows) - 1 else ""
        body.append(f'<tr{style}><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def definitions(entries: Mapping[str, object], style: str = "") -> str:
    """Names with their values, both escaped."""
    items = "".join(f"<div><dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd></div>" for k, v in entries.items())
    return f'<dl class="{style}">{items}</dl>'


def picture(content: bytes, alt: str, width: float, caption: str = "") -> str:
    """A PNG inside the page, ``width`` in CSS pixels; ``alt`` and ``caption`` are escaped."""
    data = base64.b64encode(content).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    size = f'width="{round(width)}" style="--natural:{round(width)}px"'
    image = f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" {size}>'
    return f"<figure>{image}{below}</figure>"
