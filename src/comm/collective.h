// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tutti/communicator.h"

namespace tutti::comm {

inline constexpr int kKindCount = 12;
inline constexpr int kReduceCount = 5;

/// The largest group.
inline constexpr int kMostRanks = 64;

/// True for the kinds that combine elements.
constexpr bool reduces(Kind kind) {
  return kind == Kind::all_reduce || kind == Kind::reduce_scatter || kind == Kind::reduce;
}

/// True for the kinds with a root.
constexpr bool has_root(Kind kind) { return kind >= Kind::broadcast && kind <= Kind::scatter; }

/// True for send and recv.
constexpr bool is_pair(Kind kind) { return kind >= Kind::send; }

/// Whether elements of `dtype` may be combined by `reduce`: floats by all five, integers by all but
/// avg, bool by max (logical or) and min (logical and).
bool is_defined(DType dtype, Reduce reduce);

/// Elements that rank `rank` of `size` gives and gets; 0 where it does not take part.
int64_t in_elements(const Collective& c, int rank, int size);
int64_t out_elements(const Collective& c, int rank, int size);

/// Elements that rank `rank` of `size` has to send to others: all_reduce 2 (size - 1) / size of its
/// count, the others what each peer needs of this rank.
int64_t sent_elements(const Collective& c, int rank, int size);

/// Throws invalid_argument for a reduction that is not defined, a root, peer, count or list of
/// counts that rank `rank` of `size` cannot have.
void check(const Collective& c, int rank, int size);

/// "all_reduce #17 'blocks.3.out'"
std::string title(Kind kind, uint64_t number, std::string_view label);

}  // namespace tutti::comm
