// SPDX-License-Identifier: Apache-2.0
#include "shard/links.h"

#include <algorithm>

namespace tutti::shard {
namespace {

using Tables = std::vector<std::optional<Table>>;

constexpr size_t kMostRanges = 4096;

// Dimensions of both shapes whose products are equal, as few as possible: [begin, end) of each.
struct Group {
  int from_begin, from_end, to_begin, to_end;
};

std::vector<Group> groups_of(const Dims& from, const Dims& to) {
  std::vector<Group> groups;
  int i = 0, j = 0;
  while (i < from.rank() || j < to.rank()) {
    Group g{i, i, j, j};
    int64_t a = 1, b = 1;
    do {
      if ((a <= b && i < from.rank()) || j == to.rank())
        a *= from[i++];
      else
        b *= to[j++];
    } while (a != b && (i < from.rank() || j < to.rank()));
    // Extents of 1 belong to whom they follow.
    while (i < from.rank() && from[i] == 1) ++i;
    while (j < to.rank() && to[j] == 1) ++j;
    g.from_end = i;
    g.to_end = j;
    groups.push_back(g);
  }
  return groups;
}

// The table of dims [begin, end) seen as one; nothing in the option when none is split.
struct Merged {
  bool possible = true;
  std::optional<Table> table;
};

Merged merge(const Dims& shape, const Tables& tables, int begin, int end, const Mesh& mesh) {
  Merged result;
  int64_t extent = 1;
  for (int d = end; d-- > begin;) {
    const auto& outer = tables[static_cast<size_t>(d)];
    if (!outer) {
      if (result.table) {
        if (static_cast<size_t>(shape[d]) > kMostRanges) return {false, {}};
        result.table = result.table->repeated(shape[d]);
      }
    } else if (!result.table) {
      result.table = outer->scaled(extent);
    } else {
      std::vector<Ranges> by_rank;
      for (int r = 0; r < mesh.size(); ++r) {
        if (static_cast<size_t>(outer->on(r).size()) > kMostRanges) return {false, {}};
        Ranges& own = by_rank.emplace_back();
        for (const Range& x : outer->on(r).list())
          for (int64_t i = x.begin; i < x.end; ++i) own.add(result.table->on(r), i * extent);
      }
      result.table =
          Table(extent * shape[d], outer->axes() | result.table->axes(), std::move(by_rank));
    }
    extent *= shape[d];
  }
  return result;
}

// Finds the one dim of [begin, end) that a table of all of them splits.
bool split(const std::optional<Table>& table, const Dims& shape, int begin, int end,
           Tables& result) {
  if (!table) return true;
  int64_t before = 1;
  int64_t after = table->extent();
  for (int d = begin; d < end; ++d) {
    if (shape[d] == 1) continue;
    after /= shape[d];
    const auto one = before == 1 ? std::optional(*table) : table->folded(before);
    const auto own = one ? one->divided(after) : std::nullopt;
    if (own) {
      result[static_cast<size_t>(d)] = own;
      return true;
    }
    before *= shape[d];
  }
  return false;
}

}  // namespace

std::optional<Tables> reshape_tables(const Dims& from, const Tables& tables, const Dims& to,
                                     const Mesh& mesh) {
  Tables result(static_cast<size_t>(to.rank()));
  if (std::none_of(tables.begin(), tables.end(), [](const auto& t) { return t.has_value(); }))
    return result;
  if (std::find(from.begin(), from.end(), 0) != from.end()) return std::nullopt;
  for (const Group& g : groups_of(from, to)) {
    const Merged merged = merge(from, tables, g.from_begin, g.from_end, mesh);
    if (!merged.possible || !split(merged.table, to, g.to_begin, g.to_end, result))
      return std::nullopt;
  }
  return result;
}

}  // namespace tutti::shard
