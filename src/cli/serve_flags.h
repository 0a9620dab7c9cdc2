// The flags of `retort serve`, as they are given.
#pragma once

#include <string>

#include "cli/model_flags.h"
#include "server/server.h"

namespace retort {

inline constexpr const char* kVllmFlags = "Accepted for vLLM's command lines";

struct ServeOptions {
  ModelFlags model;
  ServerConfig server;
  EngineConfig engine;
  std::string config_file, api_key_file, log_level = "info", log_format = "text";
  int header_timeout = 10, idle_timeout = 75, request_timeout = 600, shutdown_timeout = 30;
  int step_timeout = 60, degrade_recovery = 30, schema_timeout_ms = 5000;
  std::string degrade_memory = "90%", degrade_mode = "limit";
  std::string speculative_config;
  // The group kVllmFlags: read so that such command lines work.
  int tensor_parallel_size = 1;
  double gpu_memory_utilization = 0;
  bool enforce_eager = false, chunked_prefill = true, auto_tool_choice = true;
  std::string dtype = "auto", quantization = "auto", reasoning_parser = "auto", generation_config = "auto";
  int block_size = kBlockTokens;
};

void add_serve_flags(CLI::App& app, ServeOptions& options);

}  // namespace retort
