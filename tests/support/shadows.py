"""Functions and operators of another role that statements with a search path would call."""

from tests.support.databases import Database

# Created by another role, these match better than PostgreSQL's own, which take any array.
SHADOWS = """
    CREATE TABLE public.stolen (thief text, seen text);
    GRANT INSERT ON public.stolen TO PUBLIC;
    CREATE FUNCTION public.steal(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN false; END $$;
    CREATE FUNCTION public.steal(text[], text) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN $1; END $$;
    CREATE OPERATOR public.@> (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text[]);
    CREATE OPERATOR public.<@ (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text[]);
    CREATE OPERATOR public.&& (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text[]);
    CREATE OPERATOR public.= (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text[]);
    CREATE OPERATOR public.<> (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text[]);
    CREATE OPERATOR public.|| (FUNCTION = public.steal, LEFTARG = text[], RIGHTARG = text);
    CREATE FUNCTION public.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN; END $$;
    CREATE FUNCTION public.cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN 0; END $$;
    CREATE FUNCTION public.array_to_string(text[], text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN ''; END $$;
    CREATE FUNCTION public.array_length(text[], integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.stolen VALUES (current_user, $1::text); RETURN 0; END $$;
"""


def cast_shadows(database: Database) -> str:
    """Create them in the schema public, as anyone may up to PostgreSQL 14; return the role that owns them."""
    mallory = database.role("mallory")
    database.run(f"CREATE ROLE {mallory}")
    with database.transaction() as execute:
        execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        execute(f"SET LOCAL ROLE {mallory}")
        execute(SHADOWS)
    return mallory
