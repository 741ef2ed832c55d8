"""Trained models for other programs: SavedModels for servers, TFLite files for devices, and their proofs."""
