"""Runs the application in gunicorn: worker, hooks, reload, log and metrics. It imports todo, never the reverse."""
