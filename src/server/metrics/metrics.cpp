#include "server/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>

#include "server/metrics/engine_families.h"

namespace retort {

Metrics::Metrics()
    : answers_(prometheus::BuildCounter()
                   .Name("http_requests_total")
                   .Help("HTTP requests answered. Status 499: the client left before there was an answer.")
                   .Register(registry_)) {}

void Metrics::serve(const ServedModel& model) {
  model_ = &model;
  requests_ = std::make_unique<RequestMetrics>(registry_, model.id, model.max_model_len);
}

void Metrics::count_answer(std::string_view method, std::string_view handler, int status) {
  // Clients may invent methods and paths: each would be a series of its own, for ever.
  constexpr std::array<std::string_view, 5> kMethods = {"GET", "HEAD", "POST", "DELETE", "OPTIONS"};
  const bool is_known = std::ranges::find(kMethods, method) != kMethods.end();
  answers_
      .Add({{"method", is_known ? std::string(method) : "other"},
            {"handler", handler.empty() ? "none" : std::string(handler)},
            {"status", std::to_string(status)}})
      .Increment();
}

std::string Metrics::text(const Degradation& degradation) const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  const auto append = [&](std::vector<prometheus::MetricFamily> more) {
    std::ranges::move(more, std::back_inserter(families));
  };
  append(process_families());
  append(degradation_families(degradation));
  if (model_ != nullptr) append(engine_families(*model_, model_->engine->stats()));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace retort
