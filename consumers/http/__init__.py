"""HTTP server: health checks, metrics, labelling on request, WebSocket streams and the live page."""
