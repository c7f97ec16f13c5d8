"""What tags mean beside themselves: other words for them, and the tags that they bring with them."""
