"""The generation service's Alembic history."""
