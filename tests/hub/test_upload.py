"""What a push reveals."""

from __future__ import annotations

from nmt.config.load import dump_config, make_config
from nmt.hub.upload import public_config


def test_no_folder_of_this_machine_is_published() -> None:
    files = {"src": "/secret/train.en", "tgt": "/secret/train.de", "alignments": "/secret/links"}
    config = make_config(
        {
            "data": {
                "src_lang": "en",
                "tgt_lang": "de",
                "train": {"general": files, "domain": [{"tsv": "/secret/x.tsv"}]},
                "valid": {"one": {"dataset": "/secret/data"}, "two": {"dataset": "owner/data"}},
                "cache_dir": "/secret/cache",
            },
            "tokenizer": {"model": "/secret/spm.model"},
            "train": {
                "init_from": "/secret/run",
                "guided_alignment": {"run": "/secret/a", "reverse_run": "/secret/b"},
                "stages": [{"steps": 9, "corpora": {"domain": 1}}, {}],
            },
        }
    )
    public = public_config(config)
    assert "secret" not in dump_config(public)
    [general, domain] = public.data.train
    assert (general.set, general.alignments, domain.set) == ("general", "links", "domain")
    assert "owner/data" in dump_config(public)
