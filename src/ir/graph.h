// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/op.h"
#include "ir/type.h"

namespace tutti {

/// Index of a value in its function.
using ValueId = int32_t;
/// Index of a resident in its graph.
using ResidentId = int32_t;
inline constexpr int32_t kNone = -1;

/// What a symbolic extent may be.
struct Symbol {
  int64_t min = 0;
  int64_t max = INT64_MAX;
};

/// A fact about extents that the graph was exported under; checked when shapes are known.
struct Constraint {
  enum class Kind { range, divisible, equal } kind;
  Dim dim;
  int64_t min = 0, max = INT64_MAX;  ///< of dim, for range
  Dim other;                         ///< dim % other == 0, or dim == other
  std::string origin;                ///< what asked for it, for the error message
};

/// A tensor that lives as long as an engine or a session: a weight, something computed from
/// weights, or state.
struct Resident {
  enum class Kind {
    bound,    ///< its bytes come from a file or the user
    derived,  ///< a function (`init` or `prepare`) computes it
    carried,  ///< state of a session: starts as its bytes (or zeros), survives run
  };
  std::string name;
  TensorType type;
  Kind kind = Kind::bound;
  Tensor data;  ///< a view of a mapped file; data.data is null while no bytes are bound
};

/// "bound", "derived" or "carried".
std::string_view to_string(Resident::Kind kind);

/// An edge of a function: made by one node, or an input, or a resident read as a value.
struct Value {
  std::string name;  ///< unique in the function
  TensorType type;
  int32_t producer = kNone;  ///< index of the node that makes it
  ResidentId resident = kNone;
};

/// An operator applied to values.
struct Node {
  Op op;
  std::vector<ValueId> inputs, outputs;
  std::string scope;  ///< where it stands in the source network, e.g. "blocks.3.attn"
};

/// A named result of a function; `value` is kNone for a result that is None.
struct Output {
  std::string name;
  ValueId value = kNone;
};

/// Says that a function leaves `value` in a resident when it ends.
struct Update {
  ResidentId resident;
  ValueId value;
};

/// Nodes in order of execution over one set of values (static single assignment).
///
/// Reading a resident gives its content at the start of the function; `updates` take effect at the
/// end, all at once. The compiler finds the updates that may be done in place.
struct Function {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<Output> outputs;
  std::vector<Update> updates;
  int32_t names_made = 0;  ///< by add; a number is never used twice, whatever is removed

  const TensorType& type(ValueId id) const { return values[static_cast<size_t>(id)].type; }
  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  /// The node that makes a value, or null for inputs and residents.
  const Node* producer(ValueId id) const;

  ValueId add_input(std::string name, TensorType type);
  /// The value that reads a resident; made once for each resident.
  ValueId read(ResidentId resident, const std::string& name, const TensorType& type);
  /// Appends a node with types from inference; a number makes the names of its results unique.
  std::vector<ValueId> add(Op op, std::vector<ValueId> inputs, std::string_view name = {},
                           std::string scope = {});
  /// add for an operator of one output.
  ValueId add1(Op op, std::vector<ValueId> inputs, std::string_view name = {},
               std::string scope = {});
  /// "hint_7", a name that no value has.
  std::string new_name(std::string_view hint);
  /// Uses `to` wherever `from` is used: operands, outputs, updates.
  void replace(ValueId from, ValueId to);
  /// How often a value is used by nodes, outputs and updates.
  std::vector<int> use_counts() const;
  /// Removes nodes without effects whose results nobody uses, then values nobody refers to; inputs
  /// stay.
  void remove_dead();
};

/// A network as data: symbols, residents, and functions over them.
struct Graph {
  std::map<std::string, Symbol, std::less<>> symbols;
  std::vector<Constraint> constraints;
  std::vector<Resident> residents;
  std::vector<Function> functions;

  /// The function of that name; throws not_found.
  Function& function(std::string_view name);
  const Function& function(std::string_view name) const;
  /// kNone when there is no such resident.
  ResidentId find_resident(std::string_view name) const;
  ResidentId add_resident(Resident resident);
};

/// Values of all symbols from the shapes of `run`'s inputs, in their order.
///
/// Throws invalid_argument naming the input, found and wanted, when a shape does not fit the
/// declared one, a symbol is out of range, or a constraint does not hold.
SymbolValues bind_symbols(const Graph& graph, const Function& function,
                          std::span<const Dims> input_shapes);

/// The function with all symbols replaced and all types inferred anew: no extent is symbolic.
Function specialize(const Function& function, const SymbolValues& values);

}  // namespace tutti
