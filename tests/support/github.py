"""Pages of Markdown as GitHub shows them: its measures, in light and dark, without its styles and fonts."""

from pathlib import Path

from markdown_it import MarkdownIt

COLUMN = 832  # the width of a README beside the sidebar of a repository, in a window of 1280 pixels
STYLE = """
:root { color-scheme: light dark; --text: light-dark(#1f2328, #f0f6fc); --page: light-dark(#fff, #0d1117);
  --faint: light-dark(#f6f8fa, #151b23); --line: light-dark(#d1d9e0, #3d444d); --link: light-dark(#0969da, #4493f8); }
* { box-sizing: border-box }
body { margin: 0; padding: 32px; max-width: 896px; color: var(--text); background: var(--page);
  font: 16px/1.5 -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", Helvetica, Arial, sans-serif;
  overflow-wrap: break-word }
@media (max-width: 600px) { body { padding: 16px } }
body > :first-child { margin-top: 0 !important }
h1, h2, h3 { margin: 24px 0 16px; font-weight: 600; line-height: 1.25 }
h1, h2 { padding-bottom: .3em; border-bottom: 1px solid var(--line) }
h1 { font-size: 2em } h2 { font-size: 1.5em } h3 { font-size: 1.25em }
p, ul, ol, pre, table { margin: 0 0 16px }
ul, ol { padding-left: 2em } li + li { margin-top: .25em }
a { color: var(--link) }
img { max-width: 100% }
code, pre { font: 85%/1.45 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace }
code { padding: .2em .4em; background: light-dark(#818b981f, #656c7633); border-radius: 6px; white-space: break-spaces }
pre { padding: 16px; overflow: auto; font-size: 13.6px; background: var(--faint); border-radius: 6px }
pre code { padding: 0; font-size: 100%; background: none; white-space: inherit }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse }
th, td { padding: 6px 13px; border: 1px solid var(--line) }
tr:nth-child(2n) { background: var(--faint) }
"""


def render(page: Path) -> str:
    """Return a page of the repository as HTML. Its images are read from the repository."""
    content = MarkdownIt("commonmark").enable("table").render(page.read_text())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{page.name}</title>'
        f'<meta name="viewport" content="width=device-width"><base href="{page.parent.as_uri()}/">'
        f"<style>{STYLE}</style><body>{content}"
    )
