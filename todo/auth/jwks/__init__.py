"""The public keys of a Better Auth server: how they are fetched (endpoint.py) and kept (cache.py)."""
