"""CTranslate2 with SentencePiece, text to text, as in its documentation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ctranslate2
import sentencepiece
from worker import Answer, Request, Unsupported, check_lengths, peak_memory, serve


class System:
    """A model exported by `nmt export`."""

    def __init__(self, request: Request) -> None:
        device, compute_type = request["device"].partition(":")[0], request["compute_type"]
        known = ctranslate2.get_supported_compute_types(device)
        if compute_type not in known:
            raise Unsupported(
                f"compute type {compute_type} is not supported here, only {sorted(known)}"
            )
        folder = Path(request["model"])
        joint = folder / "spm.model"
        self.src, self.tgt = (
            sentencepiece.SentencePieceProcessor(model_file=str(joint if joint.exists() else alone))
            for alone in (folder / "src.model", folder / "tgt.model")
        )
        self.translator = ctranslate2.Translator(
            str(folder),
            device,
            compute_type=compute_type,
            inter_threads=request["inter_threads"],
            intra_threads=request["intra_threads"],
        )
        self.settings: dict[str, Any] = {
            "beam_size": request["beam_size"],
            # As in nmt's CTranslate2 engine: the score log_prob / length ** penalty grows as nmt's
            # does at length 15. With 0, search would stop at the first finished hypothesis.
            "length_penalty": 0.75 * request["length_penalty"] or 1e-6,
            "disable_unk": True,
            "max_input_length": 0,
        }
        self.max_extra_len = request["max_extra_len"]
        self.batch_type = request.get("batch_type", "examples")
        self.num_tokens = request["num_tokens"]

    def translate(self, lines: list[str], batch_size: int) -> list[str]:
        pieces = self.src.encode(lines, out_type=str)
        longest = self.num_tokens or max(map(len, pieces)) + 1 + self.max_extra_len
        results = self.translator.translate_batch(
            pieces,
            max_batch_size=batch_size,
            batch_type=self.batch_type,
            max_decoding_length=longest,
            min_decoding_length=self.num_tokens or 1,
            **self.settings,
        )
        best = [result.hypotheses[0] for result in results]
        check_lengths(best, self.num_tokens)
        return self.tgt.decode(best)

    def peak_memory(self) -> float | None:
        """Return the peak in MB; None on a GPU, where CTranslate2 does not report it."""
        return peak_memory("cpu") if self.translator.device == "cpu" else None


def translate(request: Request) -> Answer:
    system = System(request)
    batch_size = request["batch_size"]
    if request["warm_up"]:
        system.translate(request["warm_up"], batch_size)
    start = time.monotonic()
    texts = system.translate(request["lines"], batch_size)
    seconds = time.monotonic() - start
    return {"seconds": seconds, "texts": texts, "peak_MB": system.peak_memory()}


def latency(request: Request) -> Answer:
    system = System(request)
    for line in request["warm_up"]:
        system.translate([line], 1)
    seconds = []
    for line in request["lines"]:
        start = time.monotonic()
        system.translate([line], 1)
        seconds.append(time.monotonic() - start)
    return {"seconds": seconds, "peak_MB": system.peak_memory()}


if __name__ == "__main__":  # plain_server.py imports it
    serve({"translate": translate, "latency": latency})
