// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "comm/record.h"
#include "comm/transport.h"

namespace tutti::comm {

/// What one rank of a group shows to the others: in memory that they share, or in copies that each
/// of them keeps. Plain words; all zero is the state before it comes.
struct Activity {
  std::atomic<int64_t> seen_ns;              // when it last did anything in the group
  std::atomic<uint64_t> collectives, pairs;  // begun
  std::atomic<uint32_t> left;                // 1 when it has closed the group
  // In the outermost group only: 1 + the rank there that this one has long waited for.
  std::atomic<int32_t> waits_for;
  alignas(64) Record collective[kHistory];  // collective n lies at n % kHistory
  Record pair[kHistory];
};

/// What it does or did last; number 0 when that is nothing.
Entry last_entry(const Activity& activity);

/// The last kHistory of its collectives, sends and recvs, oldest first.
std::vector<Entry> entries_of(const Activity& activity);

}  // namespace tutti::comm
