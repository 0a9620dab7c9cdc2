#include "engine/kv_budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

constexpr uint64_t kGiB = 1u << 30;

// The R1 1.5B shape: 28 layers, 2 KV heads of 128, bf16: 28,672 bytes a token.
KvRequest r1() {
  KvRequest request;
  request.max_num_seqs = 64;
  request.model_context = 131072;
  request.bytes_per_block = 28672 * 32;
  return request;
}

TEST(KvBudget, TakesWhatIsLeftWithinItsShare) {
  const auto budget = plan_kv(r1(), {20 * kGiB, 18 * kGiB}).value();
  EXPECT_EQ(budget.num_blocks, 15 * kGiB / (28672 * 32));
  EXPECT_EQ(budget.max_model_len, 131072);
}

TEST(KvBudget, NeverGoesBeyondItsShare) {
  const auto budget = plan_kv(r1(), {4 * kGiB, 1 * kGiB}).value();
  EXPECT_LE(static_cast<uint64_t>(budget.num_blocks) * 28672 * 32, 1 * kGiB - 4 * kGiB * 15 / 100);
  EXPECT_EQ(budget.max_model_len, budget.num_blocks * 32);
}

TEST(KvBudget, TakesNoMoreThanCanBeUsed) {
  KvRequest request = r1();
  request.max_num_seqs = 2;
  request.max_model_len = 1000;
  const auto budget = plan_kv(request, {24 * kGiB, 22 * kGiB}).value();
  EXPECT_EQ(budget.num_blocks, 64);
  EXPECT_EQ(budget.max_model_len, 1000);
}

TEST(KvBudget, AGivenSizeHolds) {
  KvRequest request = r1();
  request.cache_bytes = 10 * request.bytes_per_block + 5;
  const auto budget = plan_kv(request, {24 * kGiB, 22 * kGiB}).value();
  EXPECT_EQ(budget.num_blocks, 10);
  EXPECT_EQ(budget.max_model_len, 320);
}

TEST(KvBudget, RefusalsSayExpectedAndActual) {
  KvRequest request = r1();
  request.max_model_len = 200000;
  EXPECT_THAT(plan_kv(request, {24 * kGiB, 22 * kGiB}).error().message,
              testing::HasSubstr("expected at most the model's own 131072 tokens, got 200000"));
  request = r1();
  request.cache_bytes = 100;
  EXPECT_THAT(plan_kv(request, {24 * kGiB, 22 * kGiB}).error().message,
              testing::HasSubstr("at least one block of 0.9 MiB"));
  request.cache_bytes = 3 * kGiB;
  EXPECT_THAT(plan_kv(request, {24 * kGiB, 2 * kGiB}).error().message,
              testing::HasSubstr("expected at most the 2048 MiB that are free, got 3072 MiB"));
  request.cache_bytes = 10 * request.bytes_per_block;
  request.max_model_len = 1000;
  EXPECT_THAT(plan_kv(request, {24 * kGiB, 22 * kGiB}).error().message,
              testing::HasSubstr("max_model_len 1000: expected at most the 320 tokens"));
}

}  // namespace
}  // namespace retort
