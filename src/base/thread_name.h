// Names the threads for `top -H`, debuggers and profilers.
#pragma once

#include <pthread.h>

namespace retort {

// At most 15 characters: more is not kept. Of the calling thread.
inline void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace retort
