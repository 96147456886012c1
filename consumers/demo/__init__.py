"""`hearken demo`: broker, service and a replayed transcript in one process, drawn in the terminal."""
