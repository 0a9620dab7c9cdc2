// Where the time of a whole engine goes: not the forward pass alone, as speed.h times it, but scheduling, sampling and
// turning tokens into text as well.
#pragma once

#include "base/result.h"
#include "engine/llm.h"

namespace retort {

struct Breakdown {
  int batch = 0;
  uint64_t num_steps = 0;
  StepTimes times = {};     // of the engine thread, in these steps
  double text_seconds = 0;  // spent beside it by the thread that turns tokens into text
  double tokens_per_second = 0;
};

// `batch` requests of a sentence each generate `generate` tokens with the sampling parameters of a chat (temperature
// 0.6, top_p 0.95). Error kBadInput: sentence and answer are longer than a sequence may be; kTooLarge: the KV cache
// does not hold all of them at once.
Result<Breakdown> measure_breakdown(Llm& llm, int batch, int generate);

}  // namespace retort
