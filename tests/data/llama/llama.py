"""llama.cpp, by its C interface in PyPI's llama-cpp-python, as far as goldens need it: one sequence, logits of every position."""

import ctypes

import llama_cpp as c
import numpy as np

QUIET = c.llama_log_callback(lambda level, text, data: None)
c.llama_log_set(QUIET, ctypes.c_void_p(0))
BATCH = 256


class Llama:
    """F16 (llama.cpp's default) or F32 keys and values; no flash attention."""

    def __init__(self, path, positions, kv_type=c.GGML_TYPE_F16):
        self.model = c.llama_model_load_from_file(str(path).encode(), c.llama_model_default_params())
        assert self.model, path
        params = c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = positions, BATCH, BATCH
        params.type_k = params.type_v = kv_type
        params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        # Several would wait for each other actively, which takes hours on a busy machine.
        params.n_threads = params.n_threads_batch = 1
        self.context = c.llama_init_from_model(self.model, params)
        assert self.context
        self.vocab = c.llama_model_get_vocab(self.model)
        self.vocab_size = c.llama_vocab_n_tokens(self.vocab)
        self.position = 0

    def close(self):
        c.llama_free(self.context)
        c.llama_model_free(self.model)

    def forget(self):
        c.llama_memory_clear(c.llama_get_memory(self.context), True)
        self.position = 0

    def tokenize(self, text):
        data = text.encode()
        ids = (c.llama_token * (len(data) + 8))()
        count = c.llama_tokenize(self.vocab, data, len(data), ids, len(ids), False, True)
        return list(ids[:count])

    def ends(self, token):
        return c.llama_vocab_is_eog(self.vocab, token)

    def feed(self, tokens):
        """Log-probabilities after each of these tokens, which follow those fed before: yields [up to BATCH, vocabulary]."""
        for begin in range(0, len(tokens), BATCH):
            part = tokens[begin : begin + BATCH]
            batch = c.llama_batch_init(len(part), 0, 1)
            batch.n_tokens = len(part)
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i] = token, self.position + i
                batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, True
            assert c.llama_decode(self.context, batch) == 0
            c.llama_batch_free(batch)
            self.position += len(part)
            logits = np.ctypeslib.as_array(c.llama_get_logits(self.context), (len(part), self.vocab_size))
            logits = logits.astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            yield logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def one_line_about_the_cpu():
    features = [part.strip() for part in c.llama_print_system_info().decode().split("|")]
    return " ".join(part.removeprefix("CPU : ").split(" = ")[0] for part in features if part.endswith("= 1"))
