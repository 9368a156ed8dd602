"""A bar chart of the CPU time per request, as an SVG. Its colors follow the reader's light or dark mode."""

from collections.abc import Iterator

from bench.clients import OPERATIONS
from bench.report import Phase

LEGEND = {"ours": "this service", "peer": "FastAPI + SQLModel", "floor": "bare WSGI callable"}

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 92, 44
BAR, GAP = 40, 6
STEPS = (50, 100, 200, 250, 500, 1000, 2000)
MAX_LINES = 5

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .quiet { fill: #59636e }
  .value { font-size: 12px; text-anchor: middle; stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .line { stroke: #d1d9e0 }
  .ours { fill: #0969da } .peer { fill: #bc6a00 } .floor { fill: #818b98 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .value { stroke: #0d1117 }
    .card { fill: #0d1117; stroke: #3d444d }
    .line { stroke: #3d444d }
    .ours { fill: #4493f8 } .peer { fill: #e09b3d } .floor { fill: #757e8a }
  }
"""


def draw_chart(phase: Phase) -> str:
    """Return the SVG: a group of bars for each operation, a bar for each service."""
    values = {
        operation: {service: phase.find_median(operation, service, "cpu_us") for service in LEGEND}
        for operation in OPERATIONS
    }
    highest = max(value for group in values.values() for value in group.values())
    step = next((step for step in STEPS if highest / step <= MAX_LINES), highest / MAX_LINES)
    scale = (HEIGHT - TOP - BOTTOM) / highest
    parts = [*draw_frame(phase.setting.name, values), *draw_grid(step, highest, scale)]
    width = (WIDTH - LEFT - RIGHT) / len(values)
    for number, (operation, group) in enumerate(values.items()):
        parts += draw_group(operation, group, LEFT + width * (number + 0.5), scale)
    return "\n".join([*parts, "</svg>", ""])


def draw_frame(setting: str, values: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield the title, the legend, and a description for screen readers."""
    sentences = [
        f"{operation}: " + ", ".join(f"{LEGEND[service]} {value:.0f}" for service, value in group.items())
        for operation, group in values.items()
    ]
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">'
    yield '<title id="t">CPU time of the server per request, in microseconds</title>'
    yield f'<desc id="d">{"; ".join(sentences)}.</desc>'
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>'
    yield '<text class="title" x="24" y="32">CPU time of the server per request, µs</text>'
    yield f'<text class="quiet" x="{WIDTH - RIGHT}" y="32" text-anchor="end">less is better; {setting}</text>'
    x = 24
    for service, name in LEGEND.items():
        yield f'<rect class="{service}" x="{x}" y="48" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 18}" y="59">{name}</text>'
        x += 50 + 7 * len(name)


def draw_grid(step: float, highest: float, scale: float) -> Iterator[str]:
    """Yield the grid lines and their labels."""
    for number in range(int(highest / step) + 1):
        y = HEIGHT - BOTTOM - number * step * scale
        yield f'<line class="line" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="quiet" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number * step:.0f}</text>'


def draw_group(operation: str, group: dict[str, float], center: float, scale: float) -> Iterator[str]:
    """Yield the bars of an operation."""
    x = center - (len(group) * (BAR + GAP) - GAP) / 2
    for service, value in group.items():
        height = value * scale
        y = HEIGHT - BOTTOM - height
        yield f'<rect class="{service}" x="{x:.1f}" y="{y:.1f}" width="{BAR}" height="{height:.1f}" rx="2"/>'
        yield f'<text class="value" x="{x + BAR / 2:.1f}" y="{y - 6:.1f}">{value:.0f}</text>'
        x += BAR + GAP
    yield f'<text x="{center:.1f}" y="{HEIGHT - BOTTOM + 24}" text-anchor="middle">{operation}</text>'
