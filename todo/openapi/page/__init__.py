"""GET /api/docs: a page that shows the OpenAPI document and calls its operations (Swagger UI)."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory

from todo.slots import take_shared_slot
from todo.web.headers import INERT
from todo.web.urls import build_base, build_prefix

explorer = Blueprint("explorer", __name__, template_folder=".")
explorer.before_request(take_shared_slot)

HERE = Path(__file__).parent
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
ASSETS = {
    "explorer.css": HERE,
    "explorer.js": HERE,
    "favicon-32x32.png": SWAGGER_UI,
    "swagger-ui-bundle.js": SWAGGER_UI,
    "swagger-ui.css": SWAGGER_UI,
}
# The page holds a token. So it loads from and sends to this service only, and no page can frame it (CSP Level 3).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@explorer.get("/")
def lead_to_page() -> Response:
    """Redirect to the page."""
    return redirect(f"{build_base()}/api/docs")  # type: ignore[return-value]


@explorer.get("/api/docs")
def show_page() -> Response:
    """Return the page; needs no token."""
    return protect(Response(render_template("explorer.html", prefix=build_prefix())))


def show_asset(name: str) -> Response:
    """Return a file of the page."""
    return protect(send_from_directory(ASSETS[name], name, conditional=has_dates()))


# A rule for each file: /api/docs/<name> would capture /api/docs/tasks of a user with the ID docs.
for name in ASSETS:
    explorer.add_url_rule(f"/api/docs/{name}", "show_asset", show_asset, defaults={"name": name})


def has_dates() -> bool:
    """Return whether the dates of a conditional request are valid: Werkzeug raises OverflowError for some."""
    try:
        _ = request.if_modified_since, request.if_range
    except OverflowError:
        return False
    return True


def protect(response: Response) -> Response:
    """Add a policy by which the page sends requests to this service only."""
    del response.headers["Cache-Control"]  # The file's own: headers.py adds one to every response.
    response.headers.update({**dict(INERT), "Content-Security-Policy": POLICY})
    return response
