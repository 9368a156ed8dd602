"""Authentication: a bearer token in, a user ID out.

``hook`` runs before every operation and calls ``verifier``. That finds the key by the token's algorithm and key ID, and
``tokens`` checks signature and claims with it. ``users`` defines valid user IDs. ``jwks`` fetches and caches the public
keys of the Better Auth server.
"""
