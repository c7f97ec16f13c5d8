"""What people think of tags: ratings and favorites."""
