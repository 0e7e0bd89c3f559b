"""Which sessions go, why, and how to take it back."""
