"""The gallery: users, tags, images, the items made of them, what people do with those, and what they may like.

States what becomes of each of these: all events of `genonaut.contracts.content`.
Reads `JobCompleted`: every image of a completed generation job becomes an item, once. Reads all that becomes of jobs,
to count them for their users.

What passwords are hashed to is in a table of its own, which no event fills.
Private items exist for their creator only: every read takes the viewer and answers others as if there were none, nor
anything that was done with them.
"""
