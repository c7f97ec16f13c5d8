"""The Alembic history of the content schema."""
