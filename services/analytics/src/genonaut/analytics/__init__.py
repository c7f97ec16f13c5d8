"""The analytics service: how the platform was used and how well it answered, hour by hour.

It owns the raw measurements and their hourly rollups and states no events. It reads the gateway's served requests and
the lives of generation's jobs.
"""
