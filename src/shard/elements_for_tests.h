// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/placement.h"

namespace tutti::shard {

inline std::vector<int64_t> indices_of(const Ranges& ranges) {
  std::vector<int64_t> list;
  for (const Range& r : ranges.list())
    for (int64_t i = r.begin; i < r.end; ++i) list.push_back(i);
  return list;
}

/// Row-major numbers of the elements that a rank holds, in the order in which it holds them.
inline std::vector<int64_t> elements_of(const Dims& shape,
                                        const std::vector<std::optional<Table>>& tables, int rank) {
  std::vector<int64_t> list = {0};
  for (int d = 0; d < shape.rank(); ++d) {
    const auto& table = tables[static_cast<size_t>(d)];
    const auto own = indices_of(table ? table->on(rank) : Ranges{{0, shape[d]}});
    std::vector<int64_t> longer;
    for (const int64_t before : list)
      for (const int64_t i : own) longer.push_back(before * shape[d] + i);
    list = std::move(longer);
  }
  return list;
}

}  // namespace tutti::shard
