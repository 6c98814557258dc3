// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tutti/tensor.h"

namespace tutti::comm {

/// What a group does together; send and recv are between two of its ranks.
enum class Kind : uint8_t {
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  all_to_all_v,
  broadcast,
  reduce,
  gather,
  scatter,
  barrier,
  send,
  recv
};

inline constexpr int kKindCount = 12;

/// How elements of several ranks become one; in the order of ranks, so that all see the same bits.
enum class Reduce : uint8_t { sum, prod, max, min, avg };

inline constexpr int kReduceCount = 5;

/// The largest group.
inline constexpr int kMostRanks = 64;

/// "all_reduce", ...; "sum", ...
std::string_view to_string(Kind kind);
std::string_view to_string(Reduce reduce);

/// One operation of a group as data: what logs, errors and comparisons show.
///
/// count counts elements: all_reduce, reduce, broadcast, send, recv: of in and of out; all_gather,
/// gather: of one rank's in; reduce_scatter, scatter: of one rank's out; all_to_all: of one of the
/// size() blocks of in and of out; all_to_all_v: unused, sends[r] elements go to rank r and
/// receives[r] come from it, blocks lie one after the other.
struct Collective {
  Kind kind = Kind::barrier;
  DType dtype = DType::f32;
  Reduce reduce = Reduce::sum;  ///< of all_reduce, reduce_scatter and reduce
  int root = 0;  ///< of broadcast, reduce, gather, scatter; the peer of send and recv
  int64_t count = 0;
  std::span<const int64_t> sends = {}, receives = {};
  std::string_view label = {};  ///< a name for people; ranks must agree on it
};

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

/// Throws invalid_argument for a reduction that is not defined, a root, peer, count or list of
/// counts that rank `rank` of `size` cannot have.
void check(const Collective& c, int rank, int size);

/// "all_reduce #17 'blocks.3.out'"
std::string title(Kind kind, uint64_t number, std::string_view label);

/// "all_reduce sum f32 x 1024"; "broadcast f32 x 3 from 2"
std::string describe(const Collective& c);

}  // namespace tutti::comm
