// SPDX-License-Identifier: Apache-2.0
#include "comm/collective.h"

#include <numeric>

#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr std::string_view kKinds[kKindCount] = {
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "all_to_all_v", "broadcast",
    "reduce",     "gather",     "scatter",        "barrier",    "send",         "recv"};
constexpr std::string_view kReduces[kReduceCount] = {"sum", "prod", "max", "min", "avg"};

int64_t total(std::span<const int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

void check_counts(std::string_view what, std::span<const int64_t> counts, int size) {
  require_argument(counts.size() == static_cast<size_t>(size), "all_to_all_v: ", counts.size(), " ",
                   what, " for a group of ", size);
  for (int64_t count : counts)
    require_argument(count >= 0, "all_to_all_v: ", what, " holds ", count, ": 0 or more is wanted");
}

}  // namespace

std::string_view to_string(Kind kind) { return kKinds[static_cast<int>(kind)]; }
std::string_view to_string(Reduce reduce) { return kReduces[static_cast<int>(reduce)]; }

bool is_defined(DType dtype, Reduce reduce) {
  if (is_float(dtype)) return true;
  if (is_integer(dtype)) return reduce != Reduce::avg;
  return reduce == Reduce::max || reduce == Reduce::min;
}

int64_t in_elements(const Collective& c, int rank, int size) {
  switch (c.kind) {
    case Kind::reduce_scatter:
    case Kind::all_to_all:
      return c.count * size;
    case Kind::scatter:
      return rank == c.root ? c.count * size : 0;
    case Kind::broadcast:
      return rank == c.root ? c.count : 0;
    case Kind::all_to_all_v:
      return total(c.sends);
    case Kind::barrier:
    case Kind::recv:
      return 0;
    default:
      return c.count;
  }
}

int64_t out_elements(const Collective& c, int rank, int size) {
  switch (c.kind) {
    case Kind::all_gather:
    case Kind::all_to_all:
      return c.count * size;
    case Kind::gather:
      return rank == c.root ? c.count * size : 0;
    case Kind::reduce:
      return rank == c.root ? c.count : 0;
    case Kind::all_to_all_v:
      return total(c.receives);
    case Kind::barrier:
    case Kind::send:
      return 0;
    default:
      return c.count;
  }
}

int64_t sent_elements(const Collective& c, int rank, int size) {
  const int64_t peers = size - 1;
  switch (c.kind) {
    case Kind::all_reduce:
      return 2 * c.count * peers / size;
    case Kind::all_gather:
    case Kind::reduce_scatter:
    case Kind::all_to_all:
      return c.count * peers;
    case Kind::all_to_all_v:
      return total(c.sends) - c.sends[static_cast<size_t>(rank)];
    case Kind::broadcast:
    case Kind::scatter:
      return rank == c.root ? c.count * peers : 0;
    case Kind::reduce:
    case Kind::gather:
      return rank == c.root ? 0 : c.count;
    case Kind::send:
      return c.count;
    case Kind::recv:
    case Kind::barrier:
      return 0;
  }
  return 0;
}

void check(const Collective& c, int rank, int size) {
  const int kind = static_cast<int>(c.kind);
  require_argument(kind >= 0 && kind < kKindCount, "collective kind ", kind, " is none");
  const int dtype = static_cast<int>(c.dtype);
  require_argument(dtype >= 0 && dtype < kDTypeCount, to_string(c.kind), ": dtype ", dtype,
                   " is none");
  if (reduces(c.kind)) {
    const int reduce = static_cast<int>(c.reduce);
    require_argument(reduce >= 0 && reduce < kReduceCount, to_string(c.kind), ": reduction ",
                     reduce, " is none");
    require_argument(is_defined(c.dtype, c.reduce), to_string(c.kind), " '", c.label,
                     "': ", to_string(c.reduce), " of ", to_string(c.dtype), " is not defined; ",
                     c.dtype == DType::boolean ? "bool has max (or) and min (and)"
                                               : "integers have sum, prod, max and min");
  }
  if (has_root(c.kind) || is_pair(c.kind)) {
    require_argument(c.root >= 0 && c.root < size, to_string(c.kind), " '", c.label,
                     "': ", is_pair(c.kind) ? "peer " : "root ", c.root, " of a group of ", size);
  }
  require_argument(!is_pair(c.kind) || c.root != rank, to_string(c.kind), " '", c.label, "': rank ",
                   rank, " is its own peer");
  require_argument(c.count >= 0, to_string(c.kind), " '", c.label, "': count ", c.count,
                   ": 0 or more is wanted");
  if (c.kind == Kind::all_to_all_v) {
    check_counts("sends", c.sends, size);
    check_counts("receives", c.receives, size);
    require_argument(c.sends[static_cast<size_t>(rank)] == c.receives[static_cast<size_t>(rank)],
                     "all_to_all_v '", c.label, "': rank ", rank, " sends itself ",
                     c.sends[static_cast<size_t>(rank)], " elements and receives ",
                     c.receives[static_cast<size_t>(rank)]);
  }
}

std::string title(Kind kind, uint64_t number, std::string_view label) {
  std::string text = join(to_string(kind), " #", number);
  if (!label.empty()) text += join(" '", label, "'");
  return text;
}

std::string describe(const Collective& c) {
  std::string text(to_string(c.kind));
  if (c.kind == Kind::barrier) return text;
  if (reduces(c.kind)) text += join(" ", to_string(c.reduce));
  text += join(" ", to_string(c.dtype));
  if (c.kind != Kind::all_to_all_v) text += join(" x ", c.count);
  if (c.kind == Kind::recv || c.kind == Kind::broadcast || c.kind == Kind::scatter)
    text += join(" from ", c.root);
  else if (c.kind == Kind::send || has_root(c.kind))
    text += join(" to ", c.root);
  return text;
}

}  // namespace tutti::comm
