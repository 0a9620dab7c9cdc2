#include "base/large_stack.h"

#include <pthread.h>

#include <system_error>

namespace retort {

Status run_with_stack(size_t stack_bytes, const std::function<void()>& work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread{};
  int code = pthread_attr_setstacksize(&attributes, stack_bytes);
  if (code == 0)
    code = pthread_create(
        &thread, &attributes,
        [](void* work) -> void* {
          (*static_cast<const std::function<void()>*>(work))();
          return nullptr;
        },
        const_cast<std::function<void()>*>(&work));
  pthread_attr_destroy(&attributes);
  if (code != 0)
    return fail(ErrorKind::kUnavailable,
                "a thread with a stack of {} MiB could not be started: {}. Raise the limit of memory (ulimit -v) or of "
                "processes (ulimit -u, or the container's)",
                stack_bytes >> 20, std::generic_category().message(code));
  pthread_join(thread, nullptr);
  return {};
}

}  // namespace retort
