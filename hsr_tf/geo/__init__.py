"""Where pixels lie on the ground: georeferences, coordinate systems, nesting of grids, reprojection."""
