from __future__ import annotations

from gesta.storage.program import for_dialect, postgres_text, sqlite_text

FILE = """
-- what it is for
CREATE TABLE t (a BIGINT, b BYTEA
-- sqlite:
) STRICT;
-- postgres:
);
-- end
SELECT $1
"""


def test_one_text_serves_both_databases() -> None:
    assert for_dialect("sqlite", FILE) == "CREATE TABLE t (a INTEGER, b BLOB\n) STRICT;\nSELECT ?1"
    assert for_dialect("postgres", FILE) == "CREATE TABLE t (a BIGINT, b BYTEA\n);\nSELECT $1"


def test_membership_in_a_json_array() -> None:
    assert sqlite_text("@ints(x.a, $12)") == "x.a IN (SELECT value FROM json_each(?12))"
    assert postgres_text("@ints(a, $1)") == "a = ANY(ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::bigint))"
    assert postgres_text("@texts(a, $1)") == "a = ANY(ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))"
