"""What to recommend: what is known of a user's taste, the algorithms that judge by it, and how well they do."""
