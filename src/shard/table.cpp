// SPDX-License-Identifier: Apache-2.0
#include "shard/table.h"

#include <algorithm>

#include "core/error.h"

namespace tutti::shard {

void Ranges::add(Range range) {
  if (range.size() <= 0) return;
  if (!list_.empty() && list_.back().end == range.begin)
    list_.back().end = range.end;
  else
    list_.push_back(range);
}

void Ranges::add(const Ranges& ranges, int64_t offset) {
  for (const Range& r : ranges.list_) add({r.begin + offset, r.end + offset});
}

int64_t Ranges::size() const {
  int64_t size = 0;
  for (const Range& r : list_) size += r.size();
  return size;
}

Ranges Ranges::within(Range range) const {
  Ranges result;
  for (const Range& r : list_)
    result.add({std::max(r.begin, range.begin), std::min(r.end, range.end)});
  return result;
}

Ranges Ranges::in_order_of(const Ranges& other) const {
  Ranges result;
  for (const Range& wanted : other.list_) {
    // A range of the other may be held in pieces and in another order here.
    std::vector<Range> pieces = within(wanted).list_;
    std::sort(pieces.begin(), pieces.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (const Range& piece : pieces) result.add(piece);
  }
  return result;
}

std::optional<Ranges> Ranges::positions_of(const Ranges& wanted) const {
  Ranges result;
  for (const Range& w : wanted.list_) {
    for (int64_t at = w.begin; at < w.end;) {
      int64_t position = 0;
      bool found = false;
      for (const Range& r : list_) {
        if (at >= r.begin && at < r.end) {
          const int64_t size = std::min(w.end, r.end) - at;
          result.add({position + at - r.begin, position + at - r.begin + size});
          at += size;
          found = true;
          break;
        }
        position += r.size();
      }
      if (!found) return std::nullopt;
    }
  }
  return result;
}

Ranges Ranges::sure_positions_of(const Ranges& wanted) const {
  auto positions = positions_of(wanted);
  require(positions.has_value(), Errc::internal, "shard: ", size(), " indices are held; ",
          wanted.size(), " are wanted, not all of them among these");
  return *std::move(positions);
}

Table::Table(int64_t extent, AxisSet axes, std::vector<Ranges> by_rank)
    : data_(std::make_shared<const Data>(Data{extent, axes, std::move(by_rank)})) {}

namespace {

// Block i of `blocks` almost equal ones.
Range block_of(int64_t extent, int64_t unit, int64_t blocks, int64_t i) {
  const int64_t units = (extent + unit - 1) / unit;
  const int64_t each = units / blocks, more = units % blocks;
  const int64_t first = i * each + std::min(i, more);
  const int64_t count = each + (i < more ? 1 : 0);
  return {std::min(first * unit, extent), std::min((first + count) * unit, extent)};
}

}  // namespace

Table Table::block(const Mesh& mesh, AxisSet axes, int64_t extent, int64_t unit) {
  std::vector<Ranges> by_rank;
  for (int r = 0; r < mesh.size(); ++r)
    by_rank.push_back({block_of(extent, unit, mesh.size(axes), mesh.position(r, axes))});
  return {extent, axes, std::move(by_rank)};
}

Table Table::zigzag(const Mesh& mesh, AxisSet axes, int64_t extent, int64_t unit) {
  const int64_t blocks = 2 * mesh.size(axes);
  std::vector<Ranges> by_rank;
  for (int r = 0; r < mesh.size(); ++r) {
    const int i = mesh.position(r, axes);
    by_rank.push_back(
        {block_of(extent, unit, blocks, i), block_of(extent, unit, blocks, blocks - 1 - i)});
  }
  return {extent, axes, std::move(by_rank)};
}

Table Table::everywhere(const Mesh& mesh, const Ranges& order) {
  return {order.size(), 0, std::vector<Ranges>(static_cast<size_t>(mesh.size()), order)};
}

Table Table::joined(const std::vector<Table>& parts) {
  std::vector<Ranges> by_rank(static_cast<size_t>(parts[0].ranks()));
  AxisSet axes = 0;
  int64_t extent = 0;
  for (const Table& part : parts) {
    for (int r = 0; r < part.ranks(); ++r) by_rank[static_cast<size_t>(r)].add(part.on(r), extent);
    axes |= part.axes();
    extent += part.extent();
  }
  return {extent, axes, std::move(by_rank)};
}

int64_t Table::largest() const {
  int64_t largest = 0;
  for (const Ranges& r : data_->by_rank) largest = std::max(largest, r.size());
  return largest;
}

bool Table::covers() const {
  std::vector<Range> all;
  for (const Ranges& r : data_->by_rank) all.insert(all.end(), r.list().begin(), r.list().end());
  std::sort(all.begin(), all.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  int64_t reached = 0;
  for (const Range& r : all) {
    if (r.begin > reached) return false;
    reached = std::max(reached, r.end);
  }
  return reached == extent();
}

bool Table::each_once(const Mesh& mesh) const {
  int64_t held = 0;
  for (const Ranges& r : data_->by_rank) held += r.size();
  return held == extent() * (mesh.size() / mesh.size(axes()));
}

template <class F>
Table Table::mapped(int64_t extent, const F& f) const {
  std::vector<Ranges> by_rank;
  for (const Ranges& r : data_->by_rank) by_rank.push_back(f(r));
  return {extent, axes(), std::move(by_rank)};
}

Table Table::cut(int64_t start, int64_t size) const {
  return mapped(size, [&](const Ranges& r) {
    Ranges result;
    result.add(r.within({start, start + size}), -start);
    return result;
  });
}

Table Table::scaled(int64_t factor) const {
  return mapped(extent() * factor, [&](const Ranges& r) {
    Ranges result;
    for (const Range& x : r.list()) result.add({x.begin * factor, x.end * factor});
    return result;
  });
}

std::optional<Table> Table::divided(int64_t factor) const {
  for (const Ranges& r : data_->by_rank)
    for (const Range& x : r.list())
      if (x.begin % factor != 0 || x.end % factor != 0) return std::nullopt;
  return mapped(extent() / factor, [&](const Ranges& r) {
    Ranges result;
    for (const Range& x : r.list()) result.add({x.begin / factor, x.end / factor});
    return result;
  });
}

Table Table::shared(int64_t factor) const {
  if (factor == 1) return *this;
  return mapped(extent() / factor, [&](const Ranges& r) {
    Ranges result;
    for (const Range& x : r.list())
      for (int64_t i = x.begin / factor; i * factor < x.end; ++i)
        if (result.within({i, i + 1}).empty()) result.add({i, i + 1});
    return result;
  });
}

Table Table::repeated(int64_t times) const {
  return mapped(extent() * times, [&](const Ranges& r) {
    Ranges result;
    for (int64_t i = 0; i < times; ++i) result.add(r, i * extent());
    return result;
  });
}

std::optional<Table> Table::folded(int64_t times) const {
  const int64_t each = extent() / times;
  std::vector<Ranges> first;
  for (const Ranges& r : data_->by_rank) first.push_back(r.within({0, each}));
  const Table one(each, axes(), std::move(first));
  if (one.repeated(times) == *this) return one;
  return std::nullopt;
}

std::string Table::text(const Mesh& mesh) const {
  std::string text;
  for (int r = 0; r < ranks(); ++r) {
    if (mesh.position(r, ~axes()) != 0) continue;
    text += text.empty() ? "" : " | ";
    std::string own;
    for (const Range& x : on(r).list()) own += join(own.empty() ? "" : " ", x.begin, ":", x.end);
    text += own.empty() ? "-" : own;
  }
  return text;
}

}  // namespace tutti::shard
