"""The notifications service: tells people what became of their jobs, and remembers what they have read.

It owns the notifications and states `NotificationCreated` and `NotificationRead`. It reads the users' preferences from
content's events and the ends of jobs from generation's.
"""
