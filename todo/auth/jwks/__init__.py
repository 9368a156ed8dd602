"""The public keys of a Better Auth server (JWKS, RFC 7517): endpoint.py fetches them, cache.py keeps them."""
