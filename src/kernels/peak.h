// What this machine's arithmetic can do at most: a loop of nothing but the int8 multiply-adds that the matmul kernels
// are made of.
#pragma once

#include "base/cpu.h"
#include "base/thread_pool.h"

namespace retort {

// 10⁹ operations a second (a multiply and an add count as two), all threads of the pool together, best of several runs
// of ~10 ms.
double measure_int8_gops(Isa isa, ThreadPool& pool);

}  // namespace retort
