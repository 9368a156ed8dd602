"""Measurements of the service as it is served: ``make bench``."""
