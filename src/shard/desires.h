// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>

#include "ir/graph.h"
#include "shard/factors.h"
#include "shard/placement.h"

namespace tutti::shard {

/// Where tables ought to be: seeds, and what follows from them through operators, forward and
/// backward, and from what state is to what it becomes. The first table to reach a dimension stays;
/// so does the first that uses an axis.
class Desires {
 public:
  Desires(const Function& f, const Mesh& mesh);
  /// None yet, for the same function, to try what follows from a table where operators are as
  /// they are: it does not spread through those that would have to be written out.
  Desires none() const;
  /// Takes all back.
  void clear();

  /// Places a table and spreads it; `reason` says why, for people. False where another one is.
  bool seed(ValueId value, int dim, const Table& table, const char* reason = "");
  const std::optional<Table>& at(ValueId value, int dim) const {
    return tables_[static_cast<size_t>(value)][static_cast<size_t>(dim)];
  }
  /// From where a table came to a dimension: through a node from that of another value, or as a
  /// seed; through kUpdate between the value of state and that which it becomes.
  struct Origin {
    const char* reason = "";  ///< of a seed
    ValueId value = kNone;    ///< kNone: a seed
    int dim = 0;
    size_t node = 0;
  };
  static constexpr size_t kUpdate = SIZE_MAX;
  const Origin& origin(ValueId value, int dim) const {
    return origins_[static_cast<size_t>(value)][static_cast<size_t>(dim)];
  }
  const std::optional<Factors>& factors(size_t node) const { return facts_->factors[node]; }
  const Dims& shape(ValueId value) const { return facts_->shapes[static_cast<size_t>(value)]; }
  /// Where state ought to be: as both the value that reads it and the one that it becomes, where
  /// that is the same; whole where nothing reads it.
  States states() const;
  /// Nodes that read a value.
  const std::vector<size_t>& users(ValueId value) const {
    return facts_->users[static_cast<size_t>(value)];
  }

 private:
  struct Spot {
    ValueId value;
    int dim;
  };
  // Of the function, whatever is desired.
  struct Facts {
    std::vector<Dims> shapes;                     // by value
    std::vector<std::vector<size_t>> users;       // by value
    std::vector<std::optional<Factors>> factors;  // by node
    std::vector<ValueId> reads;                   // by update: what reads the same state, or kNone
  };

  bool set(ValueId value, int dim, const Table& table);
  void spread(Spot spot);
  void through_updates(Spot spot, const Table& table);
  void through_factors(const Node& node, const Factors& f, Spot spot, const Table& table);
  void through_heads(const Node& node, Spot spot, const Table& table);
  void through_reshape(const Node& node, Spot spot, const Table& table);
  void through_slice(const Node& node, Spot spot, const Table& table);
  void through_concat(const Node& node, Spot spot, const Table& table);

  const Function& f_;
  const Mesh& mesh_;
  bool decomposes_ = true;
  std::vector<std::vector<std::optional<Table>>> tables_;  // by value and dimension
  std::vector<std::vector<Origin>> origins_;               // the same
  Origin now_;                                             // of tables that are set
  std::shared_ptr<const Facts> facts_;
  std::vector<Spot> placed_;
  std::deque<Spot> queue_;
};

}  // namespace tutti::shard
