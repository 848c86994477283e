"""What changes the books and the copies: the only room that tells events."""
