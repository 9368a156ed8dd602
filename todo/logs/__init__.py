"""What the log contains about requests, users and errors, without text that users wrote.

``requests`` describes a finished request, ``users`` names its user, and ``causes`` describes errors without quoting a
task, a token or a password. The server package formats and writes the lines.
"""
