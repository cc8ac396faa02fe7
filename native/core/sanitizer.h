#pragma once

// What a build under a sanitizer knows of memory that an allocator of ours keeps: bytes that nobody may touch.
#if defined(__SANITIZE_ADDRESS__)
#define WEIGHTNORM_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIGHTNORM_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(__SANITIZE_THREAD__) || defined(WEIGHTNORM_ADDRESS_SANITIZER)
#define WEIGHTNORM_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIGHTNORM_SANITIZER 1
#endif
#endif

#if defined(WEIGHTNORM_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

#include <cstddef>

namespace weightnorm::core {

// No-ops outside of AddressSanitizer.
inline void forbid([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#if defined(WEIGHTNORM_ADDRESS_SANITIZER)
  __asan_poison_memory_region(memory, bytes);
#endif
}
inline void permit([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#if defined(WEIGHTNORM_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

}  // namespace weightnorm::core
