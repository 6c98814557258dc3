// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tutti::comm {

/// Sizes that all ranks of a group share.
struct Layout {
  int size = 1;
  size_t chunk_bytes = 0;       // of each of a rank's kBuffers buffers
  size_t pair_chunk_bytes = 0;  // of each slot of a channel
  size_t area_bytes = 0;        // for whatever the ranks agree on

  bool operator==(const Layout&) const = default;
};

/// What a rank says when it comes to a meeting.
struct Arrival {
  std::string name;  ///< of the group
  int rank = 0;      ///< in it
  Layout layout;
  double timeout_s = 30;
  std::vector<int> outer_ranks = {};      ///< of all ranks, as texts show them; empty: as they are
  std::function<void()> look_about = {};  ///< called now and then; what it throws ends the wait
};

/// Texts that every kind of meeting uses.
std::string missing_text(const Arrival& arrival, const std::vector<bool>& came);
std::string size_text(const Arrival& arrival, const Layout& wanted);
std::string twice_text(const Arrival& arrival);
std::string gone_text(const Arrival& arrival, int r);
/// The number of rank r that people see.
int shown(const Arrival& arrival, int r);

/// Nanoseconds between calls of Arrival::look_about.
inline constexpr int64_t kLookNs = 50'000'000;

}  // namespace tutti::comm
