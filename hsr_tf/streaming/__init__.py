"""Scenes larger than memory: fused tile by tile from file to file, resumed after a kill, on one machine or
many.

The modules, from the bottom: `memory` (amounts in words, bytes a pixel), `grid` (tiles and their margins),
`draft` (finished tiles on disk), `files` (parts of the two images with holes filled), `pair` (both on common
ground), `job` (what every process knows), `survey` (dead bands and holes of the whole scene),
`least_squares`, `networks`, `windows` (the methods), `runner` (the stages of a job), `request` (what is asked
and told), `preparation` (what is settled before the first tile), `streamed` (a job from start to end),
`cluster` (its tiles over Dask).
"""
