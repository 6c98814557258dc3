// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "comm/gloo/hosts.h"
#include "comm/part.h"

namespace tutti::comm {

/// Who does what for a run of elements that is reduced host by host.
///
/// The run is cut into a block for each host, whose ranks form the final results of equal parts of
/// it; and each host cuts each block into parts for its own ranks, which form the host's partial
/// results and carry what comes and goes.
class Shares {
 public:
  Shares(const HostMap& map, int64_t length, size_t element)
      : map_(map), length_(length), element_(element) {}

  Part block(int h) const { return part_of(length_, element_, h, map_.count()); }
  /// What rank r carries of block h.
  Part carried(int r, int h) const {
    return within(block(h), map_.index[static_cast<size_t>(r)],
                  map_.ranks_of(map_.host[static_cast<size_t>(r)]));
  }
  /// What rank r finishes.
  Part finished(int r) const { return carried(r, map_.host[static_cast<size_t>(r)]); }
  int64_t carried_in_all(int r) const {
    int64_t sum = 0;
    for (int h = 0; h < map_.count(); ++h) sum += carried(r, h).size();
    return sum;
  }

 private:
  Part within(Part whole, int i, int count) const {
    const Part part = part_of(whole.size(), element_, i, count);
    return {whole.begin + part.begin, whole.begin + part.end};
  }

  const HostMap& map_;
  int64_t length_;
  size_t element_;
};

inline Part common(Part a, Part b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

}  // namespace tutti::comm
