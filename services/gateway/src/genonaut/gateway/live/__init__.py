"""The life of a job as it happens: Server-Sent Events that resume exactly, and WebSockets."""
