"""The local stack: real Kafka and Qdrant, and Prometheus on request, as plain processes on this machine."""
