# The service in a container: docs/deploy.md, "On a container platform". CI tests with this version of Python.
FROM python:3.11.14-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/todo
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY .flaskenv config.py config_database_url.py config_readers.py gunicorn.conf.py wsgi.py ./
COPY deploy/healthcheck.py deploy/
COPY migrations migrations/
COPY server server/
COPY todo todo/
# Compile now: the container's user cannot write here later.
RUN python -m compileall -q .
# Numeric: a platform that refuses root cannot look up a user name.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "deploy/healthcheck.py"]
CMD ["python", "-m", "server", "wsgi:app"]
