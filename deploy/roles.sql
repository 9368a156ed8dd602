-- Run once by an administrator of the PostgreSQL: who is who, and the database.
\set ON_ERROR_STOP on
CREATE ROLE todo_app NOLOGIN;   -- what requests run as: row security binds it
CREATE ROLE todo_owner LOGIN;   -- migrates, and owns the tables
CREATE ROLE todo_web LOGIN;     -- what the service logs in as: owns nothing
GRANT todo_app TO todo_owner, todo_web;
-- Statements hold what people wrote, and an error would put them into PostgreSQL's log.
ALTER ROLE todo_owner SET log_min_error_statement = 'panic';
ALTER ROLE todo_web SET log_min_error_statement = 'panic';
CREATE DATABASE todo OWNER todo_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE todo FROM PUBLIC;
GRANT CONNECT ON DATABASE todo TO todo_web;
