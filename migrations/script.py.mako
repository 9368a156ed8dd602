"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


# The previous release still serves after this migration (docs/deploy.md, "Migrations"), so only add here. Remove what
# is unused one release later. Never rewrite a table: reads that wait for a rewrite find no rows. Create an index
# CONCURRENTLY, as 0003 does. That is the only statement with a search path, so write pg_catalog before the functions of
# its expressions.
def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
