"""Generation jobs and the drivers that run them on ComfyUI.

Owns the jobs and states everything in `genonaut.contracts.generation`. Reads from content who is registered and active,
and which items came of a job. Two kinds of process: `serve` answers HTTP, `drive` runs jobs, one at a time on each
server.
"""
