"""Clients that other people's tools generate from docs/openapi.json, run against the service: ``make clients``."""
