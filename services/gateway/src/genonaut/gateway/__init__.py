"""The platform's one front door. It owns no data and decides nothing.

It forwards requests to the services by one table (`routing`), relays the life of jobs to whoever watches
(`live`), states every request it served, as RequestServed (`traffic`), and speaks for the platform as a whole:
health, API information and one merged documentation (`system`). It reads the job events and the live progress.
"""
