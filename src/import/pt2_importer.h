// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "import/lowering.h"
#include "import/pt2.h"
#include "import/pt2_archive.h"
#include "import/pt2_program.h"

namespace tutti::pt2 {

/// The extent that an expression of the program stands for.
Dim to_dim(const Expr& expr);
Dim to_dim(const SymInt& size);
/// The type of a tensor; complex ones have a trailing 2.
TensorType to_type(const TensorMeta& meta);

/// Throws unsupported with a line for each target of the graph that has no rule.
void require_known_targets(const Program& program, ImportReport& report);

/// Lowers one program to one function.
class Importer {
 public:
  Importer(const Pt2Archive& archive, const Program& program);
  tutti::Graph import(ImportReport& report);

 private:
  /// Values by their names in one graph of the program.
  using Scope = std::unordered_map<std::string_view, Item>;
  struct Source {
    const InputSpec* spec;
    ResidentId resident = kNone;
    Ref tensor;
  };

  void add_symbols();
  void add_inputs();
  Ref read_resident(Source& source);

  void lower(const Graph& graph, Scope& scope);
  void lower(const Graph& graph, const Node& node, Scope& scope);
  std::vector<Item> arguments(const Rule& rule, const Node& node, Scope& scope, bool by_position);
  Item item(const Argument& argument, Scope& scope);
  const Item& look_up(std::string_view name, Scope& scope);
  void inline_graph(const Node& node, Scope& scope);
  Results apply(const FoundRule& found, const Node& node, std::vector<Item> items);
  void bind(const Graph& graph, const Node& node, Results results, Scope& scope);
  void bind_tensor(const Graph& graph, std::string_view name, const Item& item, Scope& scope);
  /// A float that is no first result, in the float type that the program states.
  Array in_stated_float(const TensorMeta* meta, Array x);
  void check_type(const TensorMeta& meta, Ref tensor, std::string_view name) const;

  void add_outputs(Scope& scope);
  ValueId output_value(const Item& item);
  void add_updates(Scope& scope);
  void refuse_shared_storage() const;

  const Pt2Archive& archive_;
  const Program& program_;
  tutti::Graph graph_;
  Function function_;
  SymbolValues hints_;
  Lowering lowering_;
  std::unordered_map<std::string_view, Source> sources_;  // parameters, buffers, constants
  std::vector<std::pair<std::string_view, Ref>> inputs_;
  Scope scope_;
};

}  // namespace tutti::pt2
