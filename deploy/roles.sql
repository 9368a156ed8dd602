-- Creates the roles and the database. An administrator of PostgreSQL runs this once.
\set ON_ERROR_STOP on
SET search_path = '';           -- calls no functions of other roles
CREATE ROLE todo_app NOLOGIN;   -- requests run as this role; row-level security applies to it
CREATE ROLE todo_owner LOGIN;   -- migrates and owns the tables
CREATE ROLE todo_web LOGIN;     -- the service logs in as this role; it owns nothing
GRANT todo_app TO todo_owner, todo_web;
-- PostgreSQL logs the statement of each error by default, and statements contain user data.
ALTER ROLE todo_owner SET log_min_error_statement = 'panic';
ALTER ROLE todo_web SET log_min_error_statement = 'panic';
-- All names are qualified, so no other role can put functions in the way.
ALTER ROLE todo_owner SET search_path = '';
ALTER ROLE todo_web SET search_path = '';
CREATE DATABASE todo OWNER todo_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE todo FROM PUBLIC;
GRANT CONNECT ON DATABASE todo TO todo_web;
