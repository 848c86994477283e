"""Is she enrolled already? Compares every submitted member with those on the books, and says why."""
