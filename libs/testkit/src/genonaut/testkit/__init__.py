"""Pytest plugin: real Postgres, NATS and Valkey as processes, running services, fakes."""
