// How fast this machine's threads together read memory: the limit of decode speed.
#pragma once

#include "base/thread_pool.h"

namespace retort {

// 10⁹ bytes a second, best of several passes over memory far larger than the caches.
double measure_read_gbps(ThreadPool& pool);

}  // namespace retort
