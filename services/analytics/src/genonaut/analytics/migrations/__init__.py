"""The analytics service's Alembic history."""
