"""Closed forms of one scene: the spectral map and the noise that decides how complex it may be."""
