"""The gallery: users, tags, images and the items made of them.

States `UserRegistered`, `UserPreferencesChanged`, `TagCreated`, `TagPublished`, `TagParentAdded`, `ImageUploaded`,
`ItemCreated`, `ItemEdited`, `ItemRetagged`, `ItemTagsImplied`, `ItemMadePrivate`, `ItemMadePublic`,
`ItemQualityChanged` and `ItemDeleted`.
Reads `JobCompleted`: every image of a completed generation job becomes an item, once.

Private items exist for their creator only: every read takes the viewer and answers others as if there were none.
"""
