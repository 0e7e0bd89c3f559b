"""What Prometheus sees: collectors that build fresh families from the last snapshot."""
