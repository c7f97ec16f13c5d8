"""Images: taken, verified, kept under the hash of their bytes, served in many sizes, removed when nobody needs them."""
