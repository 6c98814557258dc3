// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace tutti::comm {

/// A moment in time that a wait must not pass.
class Deadline {
 public:
  /// So many seconds from now.
  explicit Deadline(double seconds)
      : seconds_(seconds),
        at_(std::chrono::steady_clock::now() +
            std::chrono::nanoseconds(static_cast<int64_t>(std::clamp(seconds, 0.0, 1e8) * 1e9))) {}

  /// What it was made with, for texts.
  double seconds() const { return seconds_; }
  bool passed() const { return std::chrono::steady_clock::now() >= at_; }
  std::chrono::steady_clock::time_point at() const { return at_; }
  double left_s() const {
    return std::max(std::chrono::duration<double>(at_ - std::chrono::steady_clock::now()).count(),
                    0.0);
  }
  /// For poll: what is left, rounded up, at most `most` milliseconds.
  int left_ms(int most = 1'000'000) const {
    return static_cast<int>(std::min(left_s() * 1e3 + 1, static_cast<double>(most)));
  }

 private:
  double seconds_;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace tutti::comm
