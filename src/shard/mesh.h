// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::shard {

/// Some axes of a mesh, a bit for each.
using AxisSet = uint32_t;

/// Ranks in a grid with named axes: "tp=2,cp=4". Rank numbers count the last axis fastest.
class Mesh {
 public:
  struct Axis {
    std::string name;
    int size = 1;
  };

  Mesh() = default;
  /// Throws invalid_argument for a name that is empty or there twice, and a size below 1.
  explicit Mesh(std::vector<Axis> axes);
  /// "tp=2,cp=4"; throws invalid_argument with what was found and wanted.
  static Mesh parse(std::string_view text);

  const std::vector<Axis>& axes() const { return axes_; }
  /// Number of ranks.
  int size() const;
  /// The set of one axis; throws invalid_argument with the names there are.
  AxisSet axis(std::string_view name) const;
  bool has(std::string_view name) const;
  /// Number of ranks that differ in these axes only.
  int size(AxisSet axes) const;
  /// Position of a rank among those that differ from it in these axes only.
  int position(int rank, AxisSet axes) const;
  /// These ranks, in the order of their positions.
  std::vector<int> group(int rank, AxisSet axes) const;
  /// All such groups, one after the other: RankList::ranks.
  std::vector<int64_t> groups(AxisSet axes) const;
  /// "tp=2,cp=4"
  std::string text() const;
  /// "tp,cp"
  std::string text(AxisSet axes) const;

 private:
  std::vector<Axis> axes_;
};

}  // namespace tutti::shard
