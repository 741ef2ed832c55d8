"""The web page of `hsr demo`: drop a pair or a photograph, watch it work, look at the result, download it."""
