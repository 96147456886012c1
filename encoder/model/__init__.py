"""Model configuration and the dense reference implementation."""
