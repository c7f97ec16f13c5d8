"""Generation jobs and the drivers that run them on ComfyUI.

Owns the jobs and states everything in `genonaut.contracts.generation`. Reads who is registered and which items came
of a job from content. Two kinds of process: `serve` answers HTTP, `drive` runs jobs, one at a time on each server.
"""
