"""Who is calling: a token in, a user id out.

``hook`` runs before every operation and asks ``tokens`` whether the token is genuine; ``jwks`` has the keys of
the Better Auth server, and ``users`` what a user's id may be.
"""
