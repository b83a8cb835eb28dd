"""The door: HTTP routes, server-sent events, downloads and the first pages. Never imports torch."""
