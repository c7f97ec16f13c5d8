"""The notifications service's Alembic history."""
