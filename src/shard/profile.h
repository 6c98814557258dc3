// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tutti::shard {

/// What one rank does in a second, and how ranks are linked.
struct Profile {
  double sums_per_s = 4e10;       ///< multiplications with addition in products and attention
  double bytes_per_s = 8e9;       ///< of tensors read or written
  double link_bytes_per_s = 4e9;  ///< that a rank sends
  double link_latency_s = 1e-5;   ///< of a collective without data
};

}  // namespace tutti::shard
