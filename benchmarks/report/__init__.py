"""Tables, plots and the performance page."""
