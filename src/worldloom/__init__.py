"""worldloom turns recordings into worlds you can enter, train in, and trust."""
