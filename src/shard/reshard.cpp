// SPDX-License-Identifier: Apache-2.0
#include "shard/reshard.h"

#include <algorithm>

#include "core/error.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/views.h"

namespace tutti::shard {
namespace {

// Whether every rank holds in dimension `dim` all that it needs there.
bool holds_all(const Placement& from, const Placement& to, int dim, int64_t extent, int ranks) {
  for (int r = 0; r < ranks; ++r)
    if (!held(from, dim, extent, r).positions_of(held(to, dim, extent, r))) return false;
  return true;
}

// Axes along which a dimension is split after, and was not before.
AxisSet added_axes(const Placement& from, const Placement& to, int dim) {
  const auto& before = from.dims[static_cast<size_t>(dim)];
  const auto& after = to.dims[static_cast<size_t>(dim)];
  return (after ? after->axes() : 0) & ~(before ? before->axes() : 0);
}

// The fewest axes whose groups hold together what each of their ranks needs.
AxisSet source_axes(const Placement& from, const Placement& to, int dim, int64_t extent,
                    const Mesh& mesh) {
  const AxisSet all = from.dims[static_cast<size_t>(dim)]->axes();
  const auto& after = to.dims[static_cast<size_t>(dim)];
  const AxisSet fewer = all & ~(after ? after->axes() : 0);
  for (int r = 0; r < mesh.size(); ++r) {
    Ranges together;
    for (const int member : mesh.group(r, fewer)) together.add(held(from, dim, extent, member));
    if (!together.positions_of(held(to, dim, extent, r))) return all;
  }
  return fewer;
}

// What `rank` gets from each member: what it holds itself, then of others in their order.
std::vector<Ranges> sources(const Placement& from, const Placement& to, int dim, int64_t extent,
                            int rank, const std::vector<int>& members) {
  std::vector<Ranges> result(members.size());
  std::vector<Range> missing = held(to, dim, extent, rank).list();
  const auto take_from = [&](size_t m) {
    const Ranges own = held(from, dim, extent, members[m]);
    std::vector<Range> left;
    for (const Range& wanted : missing) {
      int64_t at = wanted.begin;
      std::vector<Range> pieces = own.within(wanted).list();
      std::sort(pieces.begin(), pieces.end(),
                [](const Range& a, const Range& b) { return a.begin < b.begin; });
      for (const Range& piece : pieces) {
        if (piece.begin > at) left.push_back({at, piece.begin});
        result[m].add({std::max(piece.begin, at), piece.end});
        at = std::max(at, piece.end);
      }
      if (at < wanted.end) left.push_back({at, wanted.end});
    }
    missing = std::move(left);
  };
  for (size_t m = 0; m < members.size(); ++m)
    if (members[m] == rank) take_from(m);
  for (size_t m = 0; m < members.size(); ++m)
    if (members[m] != rank) take_from(m);
  return result;
}

// What `receiver` gets from `source`, by dimension; `axes` are those along which it looks for what
// it lacks in each.
std::vector<Ranges> box(const Dims& shape, const Placement& from, const Placement& to,
                        const std::vector<AxisSet>& axes, int receiver, int source,
                        const Mesh& mesh) {
  std::vector<Ranges> ranges;
  for (int d = 0; d < shape.rank(); ++d) {
    const AxisSet along = axes[static_cast<size_t>(d)];
    const auto by_member = sources(from, to, d, shape[d], receiver, mesh.group(receiver, along));
    ranges.push_back(by_member[static_cast<size_t>(mesh.position(source, along))]);
  }
  return ranges;
}

}  // namespace

ValueId Resharder::take(ValueId x, int dim, const Ranges& positions, const std::string& scope) {
  const Dims shape = constant_dims(f_.type(x).shape);
  if (positions == Ranges{{0, shape[dim]}}) return x;
  std::vector<ValueId> parts;
  for (const Range& r : positions.list())
    parts.push_back(add(Slice{dim, r.begin, r.size(), 1}, {x}, scope));
  if (parts.empty()) return add(Slice{dim, 0, 0, 1}, {x}, scope);
  return parts.size() == 1 ? parts[0] : add(Concat{dim}, parts, scope);
}

ValueId Resharder::take_mask(ValueId mask, const Ranges& rows, const Ranges& keys,
                             const std::string& scope) {
  const Dims shape = constant_dims(f_.type(mask).shape);
  const int rank = shape.rank();
  if (rank > 0 && shape[rank - 1] != 1) mask = take(mask, rank - 1, keys, scope);
  if (rank > 1 && shape[rank - 2] != 1) mask = take(mask, rank - 2, rows, scope);
  return mask;
}

ValueId Resharder::reshard(ValueId x, const Dims& shape, Placement from, const Placement& to,
                           const std::string& scope, comm::Reduce reduce) {
  if ((from.partial & ~to.partial) != 0) x = reduced(x, shape, from, to, scope, reduce);
  for (const int d : missing_dims(shape, from, to))
    if (may_gather_alone(shape, from, to, d)) x = gather_evenly(x, shape, from, to, d, scope);
  if (!missing_dims(shape, from, to).empty()) x = exchange(x, shape, from, to, scope);
  return slice(x, shape, from, to, scope);
}

std::vector<int> Resharder::missing_dims(const Dims& shape, const Placement& from,
                                         const Placement& to) const {
  std::vector<int> dims;
  for (int d = 0; d < shape.rank(); ++d)
    if (!holds_all(from, to, d, shape[d], mesh_.size())) dims.push_back(d);
  return dims;
}

// Whether what a rank gets in this dimension before it gets what it lacks in others is all wanted,
// and ranks that have the others for each other get the same.
bool Resharder::may_gather_alone(const Dims& shape, const Placement& from, const Placement& to,
                                 int dim) const {
  const auto& after = to.dims[static_cast<size_t>(dim)];
  for (const int d : missing_dims(shape, from, to)) {
    if (d == dim) continue;
    const AxisSet axes = from.dims[static_cast<size_t>(d)]->axes();
    if (after && (after->axes() & axes) != 0) return false;
    for (int r = 0; r < mesh_.size(); ++r)
      if (!held(to, d, shape[d], r).positions_of(held(from, d, shape[d], r))) return false;
  }
  return true;
}

ValueId Resharder::slice(ValueId x, const Dims& shape, const Placement& from, const Placement& to,
                         const std::string& scope) {
  for (int d = 0; d < shape.rank(); ++d) {
    const Ranges wanted = held(to, d, shape[d], rank_);
    x = take(x, d, held(from, d, shape[d], rank_).sure_positions_of(wanted), scope);
  }
  return x;
}

// Where a dimension is to be split over just these ranks, each gets its part of the result.
ValueId Resharder::reduced(ValueId x, const Dims& shape, Placement& from, const Placement& to,
                           const std::string& scope, comm::Reduce reduce) {
  const AxisSet axes = from.partial & ~to.partial;
  const std::vector<int64_t> lists = mesh_.groups(axes);
  const int size = mesh_.size(axes);
  from.partial &= to.partial;
  Placement first = from;  // what is cut off later need not be added up
  for (size_t d = 0; d < to.dims.size(); ++d) {
    const AxisSet others = (from.split_axes() & ~(from.dims[d] ? from.dims[d]->axes() : 0)) | axes;
    const int dim = static_cast<int>(d);
    if (to.dims[d] && (to.dims[d]->axes() & others) == 0 &&
        holds_all(from, to, dim, shape[dim], mesh_.size()))
      first.dims[d] = to.dims[d];
  }
  x = slice(x, shape, from, first, scope);
  from = std::move(first);
  for (int d = 0; d < shape.rank(); ++d) {
    const auto& table = to.dims[static_cast<size_t>(d)];
    if (!table || table->axes() != axes || from.dims[static_cast<size_t>(d)]) continue;
    Ranges order;
    bool even = true;
    for (const int member : mesh_.group(rank_, axes)) {
      order.add(table->on(member));
      even = even && table->on(member).size() * size == shape[d];
    }
    if (!even || order.size() != shape[d]) continue;
    ReduceScatter op;
    op.reduce = comm::to_string(reduce);
    op.ranks = lists;
    op.size = size;
    op.axis = d;
    from.dims[static_cast<size_t>(d)] = table;
    return add(op, {take(x, d, order, scope)}, scope);
  }
  AllReduce op;
  op.reduce = comm::to_string(reduce);
  op.ranks = lists;
  op.size = size;
  return add(op, {x}, scope);
}

// all_gather of one dimension, or all_to_all when one other is cut by the same ranks; x as it is
// unless all parts are equally large.
ValueId Resharder::gather_evenly(ValueId x, const Dims& shape, Placement& from, const Placement& to,
                                 int dim, const std::string& scope) {
  const int64_t extent = shape[dim];
  const AxisSet axes = source_axes(from, to, dim, extent, mesh_);
  const int size = mesh_.size(axes);
  int cut = -1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d == dim || from.dims[static_cast<size_t>(d)] == to.dims[static_cast<size_t>(d)] ||
        !holds_all(from, to, d, shape[d], mesh_.size()))
      continue;
    if (cut >= 0 || added_axes(from, to, d) != axes) return x;
    cut = d;
  }
  // The order in which a rank cuts its part, and in which it reads what arrives.
  struct Orders {
    Ranges cuts, arrival;
  };
  const auto orders_of = [&](int r) -> std::optional<Orders> {
    const Ranges own = held(from, dim, extent, r), wanted = held(to, dim, extent, r);
    if (own.size() * size != wanted.size()) return std::nullopt;
    Orders orders;
    Ranges arrival;
    for (const int member : mesh_.group(r, axes)) {
      const Ranges part = held(from, dim, extent, member);
      if (part.size() != own.size()) return std::nullopt;
      arrival.add(part);
      if (cut < 0) continue;
      const Ranges block = held(to, cut, shape[cut], member),
                   before = held(from, cut, shape[cut], r);
      const auto positions = before.positions_of(block);
      if (!positions || block.size() * size != before.size()) return std::nullopt;
      orders.cuts.add(*positions);
    }
    const auto positions = arrival.positions_of(wanted);
    if (!positions) return std::nullopt;
    orders.arrival = *positions;
    return orders;
  };
  // All ranks of the mesh decide alike: what holds for one must hold for all.
  for (int r = 0; r < mesh_.size(); ++r)
    if (!orders_of(r)) return x;
  const Orders orders = *orders_of(rank_);
  const auto over = [&](auto op) {
    op.ranks = mesh_.groups(axes);
    op.size = size;
    return op;
  };
  if (cut >= 0) {
    AllToAll op;
    op.split_axis = cut;
    op.concat_axis = dim;
    x = add(over(op), {take(x, cut, orders.cuts, scope)}, scope);
  } else {
    AllGather op;
    op.axis = dim;
    x = add(over(op), {x}, scope);
  }
  from.dims[static_cast<size_t>(dim)] = to.dims[static_cast<size_t>(dim)];
  if (cut >= 0) from.dims[static_cast<size_t>(cut)] = to.dims[static_cast<size_t>(cut)];
  return take(x, dim, orders.arrival, scope);
}

// Parts of any size, in all dimensions at once: each rank packs what every other lacks and it is to
// send, and puts together what comes.
ValueId Resharder::exchange(ValueId x, const Dims& shape, Placement& from, const Placement& to,
                            const std::string& scope) {
  std::vector<AxisSet> along(static_cast<size_t>(shape.rank()));
  AxisSet axes = 0;
  for (const int d : missing_dims(shape, from, to))
    axes |= along[static_cast<size_t>(d)] = source_axes(from, to, d, shape[d], mesh_);
  const std::vector<int> members = mesh_.group(rank_, axes);
  AllToAllV op;
  op.ranks = mesh_.groups(axes);
  op.size = static_cast<int64_t>(members.size());
  std::vector<ValueId> packed;
  for (const int member : members) {
    ValueId part = x;
    const auto ranges = box(shape, from, to, along, member, rank_, mesh_);
    for (int d = 0; d < shape.rank(); ++d)
      part = take(part, d,
                  held(from, d, shape[d], rank_).sure_positions_of(ranges[static_cast<size_t>(d)]),
                  scope);
    const Dim count = elements(f_.type(part).shape);
    op.sends.push_back(count.value());
    packed.push_back(add(Reshape{{count}}, {part}, scope));
  }
  std::vector<Shape> shapes;
  for (const int member : members) {
    Shape& part = shapes.emplace_back();
    for (const Ranges& ranges : box(shape, from, to, along, rank_, member, mesh_))
      part.push_back(ranges.size());
    op.receives.push_back(elements(part).value());
  }
  const ValueId arrived = add(op, {add(Concat{0}, packed, scope)}, scope);
  std::map<int, ValueId> parts;  // by source
  int64_t start = 0;
  for (size_t m = 0; m < members.size(); ++m) {
    const ValueId flat = add(Slice{0, start, op.receives[m], 1}, {arrived}, scope);
    parts[members[m]] = add(Reshape{shapes[m]}, {flat}, scope);
    start += op.receives[m];
  }
  for (int d = 0; d < shape.rank(); ++d)
    if (along[static_cast<size_t>(d)] != 0)
      parts = joined(parts, shape, from, to, d, along[static_cast<size_t>(d)], scope);
  from.dims = to.dims;
  return parts.begin()->second;
}

// Puts together the parts of sources that differ along some axes, in the order wanted.
std::map<int, ValueId> Resharder::joined(const std::map<int, ValueId>& parts, const Dims& shape,
                                         const Placement& from, const Placement& to, int dim,
                                         AxisSet along, const std::string& scope) {
  Ranges arrival;
  for (const Ranges& part : sources(from, to, dim, shape[dim], rank_, mesh_.group(rank_, along)))
    arrival.add(part);
  const Ranges order = arrival.sure_positions_of(held(to, dim, shape[dim], rank_));
  std::map<int, ValueId> result;
  for (const auto& [source, part] : parts) {
    if (mesh_.position(source, along) != 0) continue;
    std::vector<ValueId> list;
    for (const int member : mesh_.group(source, along)) list.push_back(parts.at(member));
    result[source] = take(add(Concat{dim}, list, scope), dim, order, scope);
  }
  return result;
}

int64_t moved_elements(const Dims& shape, const Placement& from, const Placement& to,
                       const Mesh& mesh) {
  int64_t moved = 0;
  const AxisSet summed = from.partial & ~to.partial;
  const int64_t group = mesh.size(summed);
  for (int r = 0; r < mesh.size(); ++r) {
    int64_t needed = 1, present = 1;
    for (int d = 0; d < shape.rank(); ++d) {
      const Ranges own = held(from, d, shape[d], r), wanted = held(to, d, shape[d], r);
      needed *= wanted.size();
      present *= own.in_order_of(wanted).size();
    }
    moved += needed - present;
    if (summed == 0) continue;
    // A reduce_scatter takes the parts of others; what was to be whole is gathered again.
    moved += present * (group - 1) / group;
    if ((to.split_axes() & summed) != summed) moved += present * (group - 1) / group;
  }
  return moved;
}

}  // namespace tutti::shard
