"""CPU implementations of the encoder's layers."""
