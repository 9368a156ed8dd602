"""Leaves out the tests that need a Citus cluster (`make test-citus`)."""

from tests.support.databases import CITUS

collect_ignore = [] if CITUS == "on" else ["test_citus.py"]
