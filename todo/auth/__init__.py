"""Authentication: a bearer token in, a user id out.

``hook`` runs before every operation and calls ``verifier``. That finds the key by the token's algorithm and key id, and
``tokens`` checks signature and claims with it. ``users`` defines valid user ids. ``jwks`` fetches and caches the public
keys of the Better Auth server.
"""
