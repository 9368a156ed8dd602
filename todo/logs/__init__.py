"""What is written about each request and each event: one line, found by its request's id, without what users wrote.

``logger`` is gunicorn's logger as it is here, and writes all lines; ``lines`` is their shape, as JSON or for a person
at a terminal; ``requests`` says what is written of a request, ``users`` how its user is called, and ``causes`` what of
an error can be written without quoting a task, a token or a password.
"""
