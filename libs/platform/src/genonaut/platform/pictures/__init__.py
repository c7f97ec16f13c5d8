"""Pictures, decoded and encoded in processes of their own: a hostile file can end only one of those.

`pool` is the service's side, `process` the other; `drawing` and `metadata` are the work, and only run there.
"""
