"""Generation jobs: asked for, queued, run, and in the end exactly one of completed, failed, cancelled."""
