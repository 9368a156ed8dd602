-- What the code does not find in the database, with a sentence for each. :tables and :columns are the columns of the
-- models, :changed_tables and :changed_columns the columns that statements change.
WITH known AS (SELECT * FROM unnest(CAST(:tables AS text[]), CAST(:columns AS text[])) AS known (relname, attname)),
  -- Bounded work: the number of rows is an estimate. Each row took an ID of its own.
  behind AS (
    SELECT numbers FROM (
      SELECT c.oid, c.reltuples, pg_get_serial_sequence(format('todo.%I', relname), attname) AS numbers
      FROM known JOIN pg_class c USING (relname) WHERE c.relnamespace = to_regnamespace('todo') AND attname = 'id'
    ) AS sequences
    WHERE has_sequence_privilege(numbers, 'USAGE') AND greatest(reltuples, pg_stat_get_live_tuples(oid))
      > 100 + 2 * coalesce(pg_sequence_last_value(to_regclass(numbers)), 0)),
  stored AS (
    SELECT c.relname, a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS wanted
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = to_regnamespace('todo') AND c.relkind IN ('r', 'p'))
SELECT format('todo.%I.%I is not there: is this release too old for the database?', relname, attname)
  FROM (SELECT * FROM known EXCEPT SELECT relname, attname FROM stored) AS gone
UNION ALL
SELECT format('todo.%I.%I must be given: is this release too old for the database?', relname, attname)
  FROM (SELECT relname, attname FROM stored WHERE wanted EXCEPT SELECT * FROM known) AS new
  WHERE relname IN (SELECT relname FROM known)
UNION ALL
SELECT format('todo_app may not %s: was a backup restored without its rights?', deed)
  FROM pg_roles r,
  LATERAL (
    SELECT 'use the schema todo' AS deed,
           has_schema_privilege(r.oid, to_regnamespace('todo'), 'USAGE') AS may
    UNION ALL
    SELECT 'use the language plpgsql', has_language_privilege(r.oid, 'plpgsql', 'USAGE')
    UNION ALL
    SELECT format('%s in todo.%I', need, c.relname), has_table_privilege(r.oid, c.oid, need)
      FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS need
      WHERE c.relnamespace = to_regnamespace('todo') AND c.relname IN (SELECT relname FROM known)
    UNION ALL
    SELECT format('UPDATE todo.%I.%I', relname, attname),
           has_column_privilege(r.oid, to_regclass(format('todo.%I', relname)), attname, 'UPDATE')
      FROM stored JOIN unnest(CAST(:changed_tables AS text[]), CAST(:changed_columns AS text[]))
        AS changed (relname, attname) USING (relname, attname)
    UNION ALL
    SELECT format('use %s', numbers), has_sequence_privilege(r.oid, numbers, 'USAGE')
      FROM (SELECT pg_get_serial_sequence(format('todo.%I', relname), attname) AS numbers
            FROM stored JOIN known USING (relname, attname)) AS sequences
  ) AS needed
  WHERE r.rolname = 'todo_app' AND NOT may
UNION ALL
SELECT format('%s is behind the IDs of its table: run flask after-restore', numbers) FROM behind
