"""A bar chart of the CPU time per request, as an SVG. Its colors follow the reader's light or dark mode.

The faint part of a bar is the CPU time of the database, and the solid part below it that of the service.
"""

from collections.abc import Iterator

from bench.clients import OPERATIONS
from bench.report import Phase

LEGEND = {"ours": "this service", "peer": "FastAPI + SQLModel", "floor": "bare WSGI callable"}
WIDTH, HEIGHT, MARGIN = 760, 380, 24
TOP, BOTTOM = 92, 336  # of the bars
BAR, GAP = 40, 6

HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">
<title id="t">CPU time of service and database per request, in microseconds</title>
<style>
  text {{ font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }}
  .title {{ font-size: 16px; font-weight: 600 }}
  .quiet {{ fill: #59636e }}
  .value {{ font-size: 12px }}
  .database {{ fill-opacity: 0.5 }}
  .card {{ fill: #ffffff; stroke: #d1d9e0 }}
  .ours {{ fill: #0969da }} .peer {{ fill: #bc6a00 }} .floor {{ fill: #818b98 }}
  @media (prefers-color-scheme: dark) {{
    text {{ fill: #f0f6fc }}
    .quiet {{ fill: #9198a1 }}
    .card {{ fill: #0d1117; stroke: #3d444d }}
    .ours {{ fill: #4493f8 }} .peer {{ fill: #e09b3d }} .floor {{ fill: #757e8a }}
  }}
</style>
<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>
<text class="title" x="{MARGIN}" y="32">CPU time per request, µs</text>"""


def draw_chart(phase: Phase) -> str:
    """Return the SVG: a group of bars for each operation, a bar for each service."""
    groups = {
        operation: {
            service: [phase.find_median(operation, service, figure) for figure in ("service_us", "database_us")]
            for service in LEGEND
        }
        for operation in OPERATIONS
    }
    scale = (BOTTOM - TOP) / max(sum(parts) for group in groups.values() for parts in group.values())
    width = (WIDTH - 2 * MARGIN) / len(groups)
    lines = [HEAD, *draw_legend(phase.setting.name)]
    sentences = []
    for number, (operation, group) in enumerate(groups.items()):
        lines += draw_group(operation, group, MARGIN + width * (number + 0.5), scale)
        sums = (f"{LEGEND[name]} {parts[0]:.0f} + {parts[1]:.0f}" for name, parts in group.items())
        sentences.append(f"{operation}: {', '.join(sums)}")
    return "\n".join([*lines, f'<desc id="d">{"; ".join(sentences)}.</desc>', "</svg>", ""])


def draw_legend(setting: str) -> Iterator[str]:
    """Yield the setting, the color of each service, and the meaning of the parts."""
    right = f'x="{WIDTH - MARGIN}" text-anchor="end"'
    yield f'<text class="quiet" y="32" {right}>less is better; {setting}</text>'
    yield f'<text class="quiet" y="59" {right}>solid: service; faint: database</text>'
    x = MARGIN
    for service, name in LEGEND.items():
        yield f'<rect class="{service}" x="{x}" y="48" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 18}" y="59">{name}</text>'
        x += 50 + 7 * len(name)


def draw_group(operation: str, group: dict[str, list[float]], center: float, scale: float) -> Iterator[str]:
    """Yield the bars of an operation, each below the sum of its parts."""
    x = center - (len(group) * (BAR + GAP) - GAP) / 2
    for service, parts in group.items():
        y: float = BOTTOM
        for part, value in zip((service, f"{service} database"), parts, strict=True):
            y -= value * scale
            yield f'<rect class="{part}" x="{x:.1f}" y="{y:.1f}" width="{BAR}" height="{value * scale:.1f}"/>'
        middle = f'x="{x + BAR / 2:.1f}" text-anchor="middle"'
        yield f'<text class="value" y="{y - 6:.1f}" {middle}>{sum(parts):.0f}</text>'
        x += BAR + GAP
    yield f'<text x="{center:.1f}" y="{BOTTOM + 24}" text-anchor="middle">{operation}</text>'
