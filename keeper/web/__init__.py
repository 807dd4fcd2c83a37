"""What the keeper shows over HTTP, on loopback."""
