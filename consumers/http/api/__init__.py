"""Endpoints that label text: one-shot requests, WebSocket streams and Perspective's API."""
