"""The gallery: users, tags, images, the items made of them, and what people do with those.

States `UserRegistered`, `UserPreferencesChanged`, `TagCreated`, `TagPublished`, `TagParentAdded`, `ImageUploaded`,
`ItemCreated`, `InteractionRecorded`, `InteractionChanged` and `InteractionDeleted`.
Reads `JobCompleted`: every image of a completed generation job becomes an item, once.

Private items exist for their creator only: every read takes the viewer and answers others as if there were none, nor
anything that was done with them.
"""
