// SPDX-License-Identifier: Apache-2.0
#include "comm/arrival.h"

#include "core/error.h"

namespace tutti::comm {

int shown(const Arrival& arrival, int r) {
  return arrival.outer_ranks.empty() ? r : arrival.outer_ranks[static_cast<size_t>(r)];
}

std::string missing_text(const Arrival& arrival, const std::vector<bool>& came) {
  std::vector<int> missing;
  for (size_t r = 0; r < came.size(); ++r)
    if (!came[r]) missing.push_back(shown(arrival, static_cast<int>(r)));
  return join("group '", arrival.name, "': ", missing.size() == 1 ? "rank " : "ranks ",
              join_list(missing), " of ", came.size(), " did not come within ", arrival.timeout_s,
              " s");
}

std::string size_text(const Arrival& arrival, const Layout& wanted) {
  const Layout& found = arrival.layout;
  if (found.size != wanted.size)
    return join("group '", arrival.name, "': rank ", arrival.rank, " wants ", found.size,
                " ranks, others that came before want ", wanted.size);
  return join("group '", arrival.name, "': rank ", arrival.rank, " wants chunks of ",
              found.chunk_bytes, " and ", found.pair_chunk_bytes,
              " bytes, others that came before want ", wanted.chunk_bytes, " and ",
              wanted.pair_chunk_bytes);
}

std::string gone_text(const Arrival& arrival, int r) {
  return join("group '", arrival.name, "': rank ", shown(arrival, r),
              " died or left while the group was made");
}

std::string twice_text(const Arrival& arrival) {
  return join("group '", arrival.name, "': two ranks say they are number ",
              shown(arrival, arrival.rank));
}

}  // namespace tutti::comm
