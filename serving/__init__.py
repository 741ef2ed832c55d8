"""Serve exported models over gRPC, wire-compatible with TensorFlow Serving, and ask such a server."""
