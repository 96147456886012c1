"""Redaction of live text measured: leak, over-redaction, delay and flips."""
