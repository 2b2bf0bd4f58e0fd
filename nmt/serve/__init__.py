"""The HTTP server: LibreTranslate's API, batches over many clients, engines in processes."""
