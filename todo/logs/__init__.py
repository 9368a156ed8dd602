"""What the log contains about users and errors, without text that users wrote.

``users`` names the user of a request. ``causes`` describes errors without quoting a task, a token or a password. The
server package formats and writes the lines.
"""
