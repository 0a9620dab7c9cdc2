// Which files of a repository make up the model that was asked for.
#pragma once

#include <string_view>
#include <vector>

#include "cli/hub/hub.h"

namespace retort {

struct ChosenFiles {
  std::vector<HubFile> files;  // in the order to fetch them: what makes the model look whole comes last
  std::string model;           // the path to serve: first or only .gguf file; empty: the folder itself
};

// quant: "Q4_K_M"; empty: the usual choice. Takes GGUF files, split ones whole; else config, tokenizer and safetensors.
// Errors (kNotFound) say what there is.
Result<ChosenFiles> choose_files(const std::vector<HubFile>& files, std::string_view quant);

}  // namespace retort
