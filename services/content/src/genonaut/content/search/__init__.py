"""Finding items: sets of keys as roaring bitmaps in blocks, exact at any moment, with the unfolded rest beside them."""
