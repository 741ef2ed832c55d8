"""tf.data pipelines."""
