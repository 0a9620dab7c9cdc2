// Whether the tests run under AddressSanitizer or ThreadSanitizer, which are slow, and start threads, deliver signals
// and open descriptors in ways of their own.
#pragma once

namespace retort::testing {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define RETORT_SANITIZED
#endif
#endif
#if defined(RETORT_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace retort::testing
