// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace tutti::comm {

/// Sleeps while `word` is `seen`, at most `ns` nanoseconds; may wake early. Works across processes.
void futex_wait(std::atomic<uint32_t>& word, uint32_t seen, int64_t ns);

/// Wakes all who sleep on `word`.
void futex_wake(std::atomic<uint32_t>& word);

/// Tells the core that this is a busy wait.
inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tutti::comm
