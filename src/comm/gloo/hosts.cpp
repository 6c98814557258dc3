// SPDX-License-Identifier: Apache-2.0
#include "comm/gloo/hosts.h"

#include <algorithm>

namespace tutti::comm {

HostMap::HostMap(const std::vector<int>& hosts) : host(hosts) {
  for (size_t r = 0; r < hosts.size(); ++r) {
    const auto h = static_cast<size_t>(hosts[r]);
    if (h >= ranks.size()) ranks.resize(h + 1);
    index.push_back(static_cast<int>(ranks[h].size()));
    ranks[h].push_back(static_cast<int>(r));
  }
  for (const auto& there : ranks) {
    const int count = static_cast<int>(there.size());
    most = std::max(most, count);
    if (count > 1) least_shared = least_shared == 0 ? count : std::min(least_shared, count);
  }
}

int HostMap::receiver(int r, int h) const {
  const auto& there = ranks[static_cast<size_t>(h)];
  // The place of r among all ranks that are not on h.
  const auto before = std::lower_bound(there.begin(), there.end(), r) - there.begin();
  return there[(static_cast<size_t>(r) - static_cast<size_t>(before)) % there.size()];
}

}  // namespace tutti::comm
