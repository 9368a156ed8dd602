-- What keeps the database from separating users, with a sentence for each. current_user is the service's login, which
-- must be able to become todo_app. :may_log_in allows todo_app itself to log in, as Citus needs it.
SELECT 'there is no role todo_app' AS breach
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'todo_app')
UNION ALL
SELECT 'role todo_app is above row security' FROM pg_roles
  WHERE rolname = 'todo_app' AND (rolsuper OR rolbypassrls OR rolcanlogin AND NOT :may_log_in)
UNION ALL
SELECT format('%I may not become todo_app', current_user) FROM pg_roles
  WHERE rolname = 'todo_app' AND NOT pg_has_role(oid,
    CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
UNION ALL
SELECT format('%I.%I is not bound to its users by row security', n.nspname, c.relname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
  WHERE n.nspname = 'todo' AND c.relkind IN ('r', 'p')
    AND NOT (c.relrowsecurity
      -- A partition needs no policy: without one, no user reads it directly.
      AND (c.relispartition OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
      AND NOT EXISTS (
        SELECT FROM pg_policy p, pg_roles r,
          unnest(ARRAY[pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)]) AS rule
        WHERE p.polrelid = c.oid AND p.polpermissive AND r.rolname = 'todo_app'
          AND EXISTS (SELECT FROM unnest(p.polroles) AS whom WHERE whom = 0 OR pg_has_role(r.oid, whom, 'MEMBER'))
          AND rule NOT LIKE '(user_id = current_setting(''todo.user_id''%')
      AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = c.relowner AND r.rolname = 'todo_app'))
UNION ALL
SELECT format('todo_app may truncate %I.%I, which row security does not bind', n.nspname, c.relname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolname = 'todo_app'
  WHERE n.nspname = 'todo' AND c.relkind IN ('r', 'p') AND has_table_privilege(r.oid, c.oid, 'TRUNCATE')
UNION ALL
SELECT format('%I.%I is a view that opens its owner''s rows to todo_app', n.nspname, c.relname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles r ON r.rolname = 'todo_app'
  WHERE n.nspname = 'todo' AND c.relkind IN ('v', 'm')
    AND (has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
      OR has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))
    AND NOT EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
      WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
UNION ALL
SELECT format('todo_app may change %I.%I.%I', n.nspname, c.relname, a.attname)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname IN ('user_id', 'id') AND NOT a.attisdropped
  JOIN pg_roles r ON r.rolname = 'todo_app'
  WHERE n.nspname = 'todo' AND c.relkind IN ('r', 'p')
    AND has_column_privilege(r.oid, c.oid, a.attnum, 'UPDATE')
UNION ALL
SELECT format('anyone may create objects in the schema %I, which is in the search path of %I', n.nspname, current_user)
  FROM pg_namespace n, aclexplode(n.nspacl) AS granted
  WHERE n.nspname = ANY (current_setting('todo.search_path')::name[])
    AND granted.grantee = 0 AND granted.privilege_type = 'CREATE'
