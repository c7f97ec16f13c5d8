"""The chassis every Genonaut service stands on. A service imports this and the contracts, never another service."""
