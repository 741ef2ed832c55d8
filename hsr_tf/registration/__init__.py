"""Where one image lies on another, and how the pixels of both are brought together.

`register` finds a `Transform`, from coarse to sharp pixels, and says whether the match is beyond chance;
`resampling` brings the sharp image under the coarse pixels and an estimate back.
"""
