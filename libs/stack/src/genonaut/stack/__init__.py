"""Runs the whole platform on one machine: Postgres, NATS and Valkey, the services, one supervisor."""
