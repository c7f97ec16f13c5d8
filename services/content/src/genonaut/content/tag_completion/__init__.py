"""Tags for what somebody has typed so far."""
