"""GET /api/docs: a page that shows the OpenAPI document and calls what it describes (Swagger UI), served from here."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, render_template, request, send_from_directory

from todo.web.headers import INERT
from todo.web.urls import build_prefix

explorer = Blueprint("explorer", __name__, template_folder=".")

HERE = Path(__file__).parent
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
ASSETS = {
    "explorer.css": HERE,
    "explorer.js": HERE,
    "favicon-32x32.png": SWAGGER_UI,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "swagger-ui.css": SWAGGER_UI,
}
# The page holds a token: nothing may come from elsewhere, nor go there, nor put the page in a frame (CSP Level 3).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@explorer.get("/api/docs")
def show_page() -> Response:
    """Answer the page; needs no token."""
    return protect(Response(render_template("explorer.html", prefix=build_prefix())))


def show_asset(name: str) -> Response:
    """Answer a file of the page."""
    return protect(send_from_directory(ASSETS[name], name, conditional=has_dates()))


# One by one: /api/docs/<name> would take /api/docs/tasks from a user whose id is docs.
for name in ASSETS:
    explorer.add_url_rule(f"/api/docs/{name}", "show_asset", show_asset, defaults={"name": name})


def has_dates() -> bool:
    """Say whether the dates of a conditional request are ones: Werkzeug stumbles over those beyond the calendar."""
    try:
        _ = request.if_modified_since, request.if_range
    except OverflowError:
        return False
    return True


def protect(response: Response) -> Response:
    """Let the page ask nobody but this service."""
    del response.headers["Cache-Control"]  # A file's own; every answer gets one (headers.py).
    response.headers.update({**dict(INERT), "Content-Security-Policy": POLICY})
    return response
