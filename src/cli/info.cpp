// retort info: what a model file holds, what it needs, and what stands in the way of serving it.
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/visible.h"
#include "cli/command.h"
#include "cli/hub/catalogue.h"
#include "cli/hub/model_cache.h"
#include "cli/hub/progress.h"
#include "cli/ranges.h"
#include "cli/terminal.h"
#include "engine/llm.h"
#include "model/checkpoint.h"
#include "model/kv_store.h"
#include "text/chat_template.h"

namespace retort {
namespace {

// Much of what is told here stands in the file, whoever wrote it.
void print_row(std::string_view name, const std::string& value) {
  fmt::print("{:<18} {}\n", name, visible_line(value));
}

struct TypeShare {
  uint64_t num_tensors = 0, num_bytes = 0, num_elements = 0;
};

void print_types(const std::vector<TensorView>& tensors) {
  std::map<std::string, TypeShare> shares;
  uint64_t total = 0, elements = 0;
  for (const auto& tensor : tensors) {
    auto& share = shares[std::string(info_of(tensor.type).name)];
    share.num_tensors += 1;
    share.num_bytes += tensor.data.size();
    share.num_elements += tensor.num_elements();
    total += tensor.data.size();
    elements += tensor.num_elements();
  }
  std::vector<std::pair<std::string, TypeShare>> rows(shares.begin(), shares.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.num_bytes > b.second.num_bytes; });
  print_row("weights",
            fmt::format("{:.2f} billion in {} tensors, {}, {:.2f} bits each", static_cast<double>(elements) / 1e9,
                        tensors.size(), human_bytes(total),
                        8.0 * static_cast<double>(total) / static_cast<double>(std::max<uint64_t>(elements, 1))));
  for (const auto& [name, share] : rows)
    fmt::print("  {:<16} {:>4} tensors {:>10}  {:4.1f} %\n", name, share.num_tensors, human_bytes(share.num_bytes),
               100.0 * static_cast<double>(share.num_bytes) / static_cast<double>(std::max<uint64_t>(total, 1)));
}

std::string rope_text(const ModelConfig& config) {
  using Kind = RopeScaling::Kind;
  const auto& scaling = config.rope_scaling;
  std::string text =
      fmt::format("{}, base {}", config.rope_style == RopeStyle::kNeox ? "NEOX" : "interleaved", config.rope_theta);
  if (scaling.kind != Kind::kNone)
    text += fmt::format(", {} scaling × {}",
                        scaling.kind == Kind::kLinear   ? "linear"
                        : scaling.kind == Kind::kLlama3 ? "llama3"
                                                        : "YaRN",
                        scaling.factor);
  return text;
}

void print_shape(const ModelConfig& config) {
  print_row("architecture", config.architecture);
  print_row("layers", std::to_string(config.num_layers));
  print_row("hidden, FFN", fmt::format("{}, {}", config.hidden_size, config.ffn_size));
  print_row("heads", fmt::format("{} of {} dimensions, {} for keys and values{}", config.num_heads, config.head_dim,
                                 config.num_kv_heads, config.has_qk_norm ? ", normed" : ""));
  print_row("vocabulary", std::to_string(config.vocab_size));
  print_row("rope", rope_text(config));
  print_row("context", fmt::format("{} tokens", config.max_context));
  std::vector<std::string> sampling;
  if (config.temperature) sampling.push_back(fmt::format("temperature {}", *config.temperature));
  if (config.top_p) sampling.push_back(fmt::format("top_p {}", *config.top_p));
  if (config.top_k) sampling.push_back(fmt::format("top_k {}", *config.top_k));
  if (!sampling.empty()) print_row("recommended", fmt::format("{}", fmt::join(sampling, " ")));
}

void print_memory(const Checkpoint& checkpoint) {
  const auto& config = checkpoint.config();
  const auto memory = memory_of_machine();
  const uint64_t per_block = KvStore::bytes_per_block(config, KvType::kBF16);
  print_row("memory: weights", human_bytes(checkpoint.weight_bytes()));
  print_row("memory: KV",
            fmt::format("{} for 1,000 tokens of context (bf16); {} for the whole context",
                        human_bytes(per_block * 1000 / kBlockTokens),
                        human_bytes(per_block * static_cast<uint64_t>(config.max_context) / kBlockTokens)));
  const uint64_t free = memory.available > checkpoint.weight_bytes() ? memory.available - checkpoint.weight_bytes() : 0;
  print_row("this machine",
            fmt::format("{} free of {}: room for {} tokens beside the weights", human_bytes(memory.available),
                        human_bytes(memory.limit), free / per_block * kBlockTokens));
}

// Everything that would stop `retort serve`, or be missing from it.
std::vector<std::string> objections(const Checkpoint& checkpoint) {
  std::vector<std::string> list;
  constexpr size_t kMaxShown = 10;
  const auto faults = checkpoint.tensor_faults();
  for (size_t i = 0; i < std::min(faults.size(), kMaxShown); ++i) list.push_back(faults[i].message);
  if (faults.size() > kMaxShown) list.push_back(fmt::format("and {} more such tensors", faults.size() - kMaxShown));
  if (const auto tokenizer = load_tokenizer(checkpoint); !tokenizer) list.push_back(tokenizer.error().message);
  if (const auto isa = select_isa(); !isa) list.push_back(isa.error().message);
  if (const auto memory = memory_of_machine(); checkpoint.weight_bytes() > memory.available)
    list.push_back(fmt::format("the weights need {}, {} are free", human_bytes(checkpoint.weight_bytes()),
                               human_bytes(memory.available)));
  return list;
}

// False: it has one that does not work.
bool print_template(const Checkpoint& checkpoint) {
  const auto source = checkpoint.chat_template();
  if (source.empty()) {
    print_row("chat template",
              "none: its family's, if Retort knows that; else only plain completion, or --chat-template");
    return true;
  }
  const auto compiled = ChatTemplate::compile(source, "", "");
  if (!compiled) {
    print_row("chat template", "does not compile, so there is no chat: " + compiled.error().message);
    return false;
  }
  print_row("chat template",
            fmt::format("{} characters{}{}", source.size(), compiled->supports_tools() ? ", tools" : "",
                        source.find("</think>") != std::string::npos ? ", reasoning" : ""));
  return true;
}

// As a shell takes it for one word.
std::string quoted(const std::string& word) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0 || std::strchr("/._-:+,@%=", c) != nullptr; };
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

int info(const std::string& name) {
  const auto path = find_model(name);
  if (!path) return report(path.error());
  print_row("model", path->string());
  const auto checkpoint = Checkpoint::open(*path);
  if (!checkpoint) return report(checkpoint.error());
  if (const auto* gguf = checkpoint->gguf())
    print_row("format", fmt::format("GGUF v{}, {}", gguf->version(), human_bytes(gguf->file_bytes())));
  else
    print_row("format", "Hugging Face folder (safetensors)");
  if (!checkpoint->config().name.empty()) print_row("name", checkpoint->config().name);
  ModelConfig config = checkpoint->config();
  if (const auto* model = catalogue_model_of(*path)) recommend(model->sampling, config);
  print_shape(config);
  print_types(checkpoint->gguf() != nullptr ? checkpoint->gguf()->tensors() : checkpoint->hf()->tensors());
  const bool has_chat = print_template(*checkpoint);
  print_memory(*checkpoint);
  const auto list = objections(*checkpoint);
  if (list.empty())
    fmt::print("\ncan be served{}: retort serve {}\n", has_chat ? "" : ", but not for chat",
               visible_line(quoted(name)));
  else
    fmt::print("\nwould be refused:\n");
  for (const auto& objection : list) fmt::print("  {}\n", visible_line(objection));
  return list.empty() ? kDone : report({ErrorKind::kUnsupported, "[info] serve would refuse it: " + list.front()});
}

}  // namespace

RunCommand add_info_command(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("MODEL", *name, "A .gguf file, a folder, a name of the catalogue or OWNER/REPO[:QUANT]")
      ->required()
      ->check(not_empty("a model"));
  return [name] { return info(*name); };
}

}  // namespace retort
