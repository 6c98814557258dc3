// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace tutti::comm {

/// Which ranks of a group are on which host; hosts are in the order of their first ranks.
struct HostMap {
  std::vector<std::vector<int>> ranks;  ///< of each host, in order
  std::vector<int> host, index;         ///< of each rank: its host, and its place there
  int most = 0, least_shared = 0;       ///< ranks of a host; the fewest of those with more than one

  /// From the host of each rank.
  explicit HostMap(const std::vector<int>& hosts);
  int count() const { return static_cast<int>(ranks.size()); }
  int ranks_of(int h) const { return static_cast<int>(ranks[static_cast<size_t>(h)].size()); }
  /// Which rank of host h gets what rank r, of another host, sends there; these are shared out.
  int receiver(int r, int h) const;
};

}  // namespace tutti::comm
