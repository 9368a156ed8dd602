"""Who is calling: a token in, a user id out.

``hook`` runs before every operation and asks ``verifier``, which finds the key that a token must be signed with and has
``tokens`` judge it by that. ``key_cache`` keeps the public keys of the Better Auth server, ``jwks`` fetches and reads
them; ``users`` says what a user's id may be.
"""
