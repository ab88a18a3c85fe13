"""What travels between processes: events, payloads, dead letters, topics and headers, the bundle manifest."""
