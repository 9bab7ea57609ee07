"""A challenge with secret subjects, from its nonce to the board.

`config.py`: its YAML. `secret.py`: the nonce, its seeds and the commitment. `draw.py`: secret phantoms. `make.py`:
scans and truth. `pack.py`: what participants get. `entries.py`: submissions. `check.py`: what can be told of them
without the truth. `perform.py`: submitted methods. `score.py`: scores. `standing.py`: which of them are ranked.
`board.py`: the pages. `reveal.py`: the truth, and whether it is the one that was promised.
"""
