// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shard/mesh.h"

namespace tutti::shard {

/// Indices begin to end - 1 of a dimension.
struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// Indices in the order in which they are held; neighbours that touch are one range.
class Ranges {
 public:
  Ranges() = default;
  Ranges(std::initializer_list<Range> ranges) {
    for (const Range& r : ranges) add(r);
  }
  /// Appends; empty ranges are left out, one that continues the last is joined to it.
  void add(Range range);
  void add(const Ranges& ranges, int64_t offset = 0);
  int64_t size() const;
  bool empty() const { return list_.empty(); }
  const std::vector<Range>& list() const { return list_; }
  /// Those also in [range.begin, range.end), in this order.
  Ranges within(Range range) const;
  /// Those also in `other`, in the order of `other`.
  Ranges in_order_of(const Ranges& other) const;
  /// Where the indices of `wanted` stand in this list, in wanted's order; nothing when one is
  /// missing.
  std::optional<Ranges> positions_of(const Ranges& wanted) const;
  /// The same where they must be there; throws internal.
  Ranges sure_positions_of(const Ranges& wanted) const;
  friend bool operator==(const Ranges&, const Ranges&) = default;

 private:
  std::vector<Range> list_;
};

/// Which indices of a dimension each rank of a mesh holds, and in which order.
///
/// Block, segmented, zig-zag, window and owner are ways to fill it. Copies share the ranges.
class Table {
 public:
  /// A table of this extent; `axes` are those along which ranks differ.
  Table(int64_t extent, AxisSet axes, std::vector<Ranges> by_rank);

  /// `extent / unit` units dealt out in order; the first ranks hold one more. A last unit may be
  /// short.
  static Table block(const Mesh& mesh, AxisSet axes, int64_t extent, int64_t unit = 1);
  /// Twice as many blocks as ranks; rank i holds block i and block 2 p - 1 - i.
  static Table zigzag(const Mesh& mesh, AxisSet axes, int64_t extent, int64_t unit = 1);
  /// All indices on every rank, in this order.
  static Table everywhere(const Mesh& mesh, const Ranges& order);
  /// The tables of parts that are joined, one after the other; same number of ranks.
  static Table joined(const std::vector<Table>& parts);

  int64_t extent() const { return data_->extent; }
  AxisSet axes() const { return data_->axes; }
  const Ranges& on(int rank) const { return data_->by_rank[static_cast<size_t>(rank)]; }
  int ranks() const { return static_cast<int>(data_->by_rank.size()); }
  int64_t largest() const;
  /// Equal for copies of one table.
  const void* id() const { return data_.get(); }
  /// All indices, each once or more, on some rank.
  bool covers() const;
  /// Of a table that covers: ranks that differ along its axes share no index.
  bool each_once(const Mesh& mesh) const;

  /// Indices start, start + 1, ... start + size - 1, counted from start.
  Table cut(int64_t start, int64_t size) const;
  /// Every index stands for `factor` that follow each other; extent grows.
  Table scaled(int64_t factor) const;
  /// The opposite; nothing when a range does not fall on multiples.
  std::optional<Table> divided(int64_t factor) const;
  /// What a rank has any part of, where every index stands for `factor`; ranks may share it.
  Table shared(int64_t factor) const;
  /// The table of `times` repetitions: index i of repetition j is j * extent + i.
  Table repeated(int64_t times) const;
  /// The opposite: each repetition is held alike; nothing otherwise.
  std::optional<Table> folded(int64_t times) const;

  /// "0:32 | 32:64": ranges by rank, of ranks that differ.
  std::string text(const Mesh& mesh) const;
  friend bool operator==(const Table& a, const Table& b) {
    return a.data_ == b.data_ ||
           (a.data_->extent == b.data_->extent && a.data_->axes == b.data_->axes &&
            a.data_->by_rank == b.data_->by_rank);
  }

 private:
  struct Data {
    int64_t extent;
    AxisSet axes;
    std::vector<Ranges> by_rank;
  };
  template <class F>
  Table mapped(int64_t extent, const F& f) const;

  std::shared_ptr<const Data> data_;
};

}  // namespace tutti::shard
