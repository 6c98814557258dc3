// SPDX-License-Identifier: Apache-2.0
#include "comm/activity.h"

#include <algorithm>

namespace tutti::comm {

Entry last_entry(const Activity& activity) {
  Entry last;
  if (const uint64_t n = activity.collectives.load(); n != 0)
    last = activity.collective[n % kHistory].read();
  if (const uint64_t n = activity.pairs.load(); n != 0) {
    Entry pair = activity.pair[n % kHistory].read();
    if (last.number == 0 || pair.start_ns > last.start_ns) last = std::move(pair);
  }
  return last;
}

std::vector<Entry> entries_of(const Activity& activity) {
  std::vector<Entry> entries;
  for (const Record* ring : {activity.collective, activity.pair})
    for (int i = 0; i < kHistory; ++i)
      if (ring[i].number() != 0) entries.push_back(ring[i].read());
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.start_ns != b.start_ns ? a.start_ns < b.start_ns : a.number < b.number;
  });
  if (entries.size() > kHistory) entries.erase(entries.begin(), entries.end() - kHistory);
  return entries;
}

}  // namespace tutti::comm
