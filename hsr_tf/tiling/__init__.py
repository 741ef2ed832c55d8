"""Large images part by part: tiles along an axis, their progress, memory, what runners of scenes share."""
