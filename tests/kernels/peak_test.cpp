#include "kernels/peak.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Peak, EveryInstructionSetHasAFigure) {
  ThreadPool pool(1);
  for (Isa isa : supported_isas()) {
    const double gops = measure_int8_gops(isa, pool);
    EXPECT_GT(gops, 0.01) << isa_name(isa);
    RecordProperty(std::string(isa_name(isa)), std::to_string(gops));
  }
}

}  // namespace
}  // namespace retort
