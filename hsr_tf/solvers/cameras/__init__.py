"""Estimation of PSF, response, shift and tone curve of a pair."""
