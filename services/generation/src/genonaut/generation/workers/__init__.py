"""Drivers: taking jobs off the queue and seeing each to its end at a ComfyUI server."""
