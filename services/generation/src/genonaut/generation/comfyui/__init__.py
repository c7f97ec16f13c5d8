"""Driving a ComfyUI server. Knows prompts, queues and files; knows nothing of a job's event log.

`run_prompt` is one attempt from the submission to its files; `failures` says how it can end otherwise.
"""
