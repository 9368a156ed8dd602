"""Health checks, without a token: the process responds, and the database can be used."""

import logging

from flask import Blueprint, Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from todo.database.audit import find_faults, find_unreachable_shards
from todo.database.isolation import watched_administration
from todo.logs.causes import describe_failed
from todo.slots import take_shared_slot
from todo.web.problems import RETRY_AFTER_SECONDS
from todo.web.responses import reply

log = logging.getLogger(__name__)

health = Blueprint("health", __name__)


@health.get("/healthz")
def report_alive() -> Response:
    """The process responds. Does not use the database, so that a suspended one stays suspended."""
    return reply({"status": "ok"})


@health.get("/readyz")
def report_ready() -> Response:
    """The database is reachable and migrated, and separates users. Otherwise 503, and the log has the faults."""
    take_shared_slot()
    if problem := find_problem():
        log.warning("Not ready: %s", problem)
        raise ServiceUnavailable("The service is not ready; its log says why.", retry_after=RETRY_AFTER_SECONDS)
    return reply({"status": "ready"})


def find_problem() -> str | None:
    """Return why the service cannot use the database, for its operator; None if it can."""
    try:
        with watched_administration() as connection:
            faults = find_faults(connection)
        faults = faults or find_unreachable_shards()
    except SQLAlchemyError as error:
        return describe_failed(error)
    return "; ".join(faults) or None
