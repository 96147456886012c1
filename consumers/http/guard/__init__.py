"""Authentication, request limits, security headers and error bodies."""
