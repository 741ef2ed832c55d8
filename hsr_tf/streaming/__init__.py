"""Scenes larger than memory: fused from file to file, resumed after a kill, on one machine or many.

Where the parts come from and go to; what is done with them is `hsr_tf.fusion.pipeline`. The modules, from the
bottom: `memory` (amounts in words), `draft` (finished tiles on disk), `files` (parts of an image with holes
filled), `pair` (both on common ground), `job` (what every process knows), `survey` (dead bands and holes of
the whole scene), `steps` (the passes of a job), `request` (what is asked for, and the answer), `plan` (what
is settled before the first tile), `streamed` (a job from start to end), `cluster` (its tiles over Dask).
"""
