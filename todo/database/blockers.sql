-- Sessions that others wait for, with a description for each. Not their queries: these may quote user data. PostgreSQL
-- shows the state of a session only to roles that may see it. :pid is the session that waits, but behind PgBouncer,
-- statements outside a transaction can run in another one. :key is an advisory lock.
WITH blocking AS (
    SELECT pid AS waiting, unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
    WHERE pid = :pid OR usename = current_user AND datname = current_database() AND query LIKE '%CONCURRENTLY%'
      AND (SELECT state <> 'active' FROM pg_stat_activity WHERE pid = :pid)
    UNION
    SELECT NULL, pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid = 0 AND objid = CAST(:key AS bigint)
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT DISTINCT pid, waiting, CASE WHEN pid = 0 THEN 'a prepared transaction (pg_prepared_xacts)' ELSE
    format('session %s (%s)', pid, concat_ws(', ', 'user ' || usename, 'application ' || nullif(application_name, ''),
      CASE WHEN backend_type <> 'client backend' THEN backend_type END,
      CASE WHEN state IS NOT NULL THEN format('%s for %s s', state, round(extract(epoch FROM clock_timestamp()
        - CASE state WHEN 'active' THEN query_start ELSE state_change END))) END)) END
  FROM blocking LEFT JOIN pg_stat_activity USING (pid) ORDER BY pid
