"""`genonaut db`: the databases of a person's environments: made, migrated, described, backed up and restored."""
