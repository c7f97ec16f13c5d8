"""Images: taken, verified, kept under the hash of their bytes, and served with thumbnails."""
