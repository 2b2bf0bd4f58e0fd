"""Write the demo corpus that nmt ships: `PYTHONPATH=scripts python -m phrasebook`."""

import lzma
from collections.abc import Iterator

from nmt.data.phrasebook import FILE
from phrasebook.splits import SPLITS, pairs


def lines() -> Iterator[str]:
    """Yield the lines of the file, with alignments where `nmt alignment-error` reads them."""
    for split in SPLITS:
        for pair in pairs(split):
            links = [" ".join(f"{i}-{j}" for i, j in pair.alignment)] if split == "test" else []
            yield "\t".join([pair.src, pair.tgt, *links]) + "\n"


if __name__ == "__main__":
    FILE.write_bytes(lzma.compress("".join(lines()).encode("utf-8"), preset=9))
