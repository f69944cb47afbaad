"""Translation models of CTranslate2's format with random weights, and a SentencePiece model trained on a few lines: they mean nothing, but
the real libraries load them and run on them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tests.engines.tiny_models import _fill_attention, _fill_ffn, _fill_norm, _weights

LINES = (
    "good morning to all of you",
    "the train leaves from the other platform at seven",
    "what is the weather like in paris today",
    "my grandmother keeps bees and the river is slow",
    "o trem sai da outra plataforma, obrigado",
    "el tren sale del otro andén, gracias",
    "XQ1 XQ2 XQ3 0123456789 .,;:!?",
)
WIDTH, POSITIONS = 64, 512
NLLB = ("deu_Latn", "eng_Latn", "por_Latn", "zho_Hans", "zho_Hant")


def ctranslate_folder(folder: Path, language_tokens: tuple[str, ...] = (), seed: int = 5, shared: bool = False) -> Path:
    """A Transformer (d64, 1+1 layers) with the vocabulary of its SentencePiece model. Returns `folder`."""
    import ctranslate2.specs as specs
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 4), model_writer=trained, vocab_size=90, hard_vocab_limit=False, minloglevel=2
    )
    names = ("sentencepiece.bpe.model",) if shared or language_tokens else ("source.spm", "target.spm")
    for name in names:
        (folder / name).write_bytes(trained.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    vocabulary = [pieces.id_to_piece(number) for number in range(pieces.get_piece_size())] + list(language_tokens)
    spec = specs.TransformerSpec.from_config(1, 2)
    rng = np.random.default_rng(seed)
    for side in (spec.encoder, spec.decoder):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = _weights(rng, len(vocabulary), WIDTH)
        side.position_encodings.encodings = 4 * _weights(rng, POSITIONS, WIDTH)
        _fill_norm(side.layer_norm, WIDTH)
        for layer in side.layer:
            _fill_attention(layer.self_attention, rng, (3, 1), WIDTH)
            _fill_ffn(layer.ffn, rng, WIDTH)
    for layer in spec.decoder.layer:
        _fill_attention(layer.attention, rng, (1, 2, 1), WIDTH)
    spec.decoder.projection.weight = _weights(rng, len(vocabulary), WIDTH)
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.validate()
    spec.save(str(folder))
    return folder
