"""The resident step: a whole step on the device."""
