"""Where sessions live: the protocol, and the store in a directory."""
