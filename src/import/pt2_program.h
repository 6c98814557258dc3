// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "import/pt2_graph.h"

namespace tutti {
class Pt2Archive;
}

namespace tutti::pt2 {

/// What an input of the graph is; InputSpec i describes Graph::inputs[i].
struct InputSpec {
  enum class Kind : uint8_t {
    parameter,        ///< target: its fully qualified name
    buffer,           ///< target: its fully qualified name; persistent
    tensor_constant,  ///< target: its name among the constants
    user_input,       ///< value: what the caller gives
    constant_input,   ///< name and value: a literal that the caller gave when exporting
    custom_obj,       ///< target: its name
    token,
  };
  Kind kind = Kind::user_input;
  std::string_view name;  ///< in the graph; empty for a user input that is a literal
  std::string_view target;
  Argument value;
  bool persistent = false;
};

/// What an output of the graph is; OutputSpec i describes Graph::outputs[i].
struct OutputSpec {
  enum class Kind : uint8_t {
    user_output,
    loss_output,
    buffer_mutation,        ///< target: the buffer that takes this value
    parameter_mutation,     ///< target: the parameter that takes this value
    user_input_mutation,    ///< target: the user input that takes this value
    gradient_to_parameter,  ///< target: the parameter
    gradient_to_user_input,
    token,
  };
  Kind kind = Kind::user_output;
  Argument value;
  std::string_view target;
};

/// An input or output as the caller of the Python module sees it.
struct UserValue {
  size_t index;      ///< in Graph::inputs or Graph::outputs
  std::string name;  ///< input: its name in the graph; output: its path
  std::string path;  ///< keys and indices from the call's argument or from "out", joined by dots
  Argument value;
};

/// A symbol of sizes and its range, where one is given.
struct Symbol {
  std::string_view name;
  std::optional<int64_t> min;
  std::optional<int64_t> max;
  std::optional<int64_t> hint;  ///< its value in the exported example, where an input has it
};

/// A range that an expression of symbols must keep.
struct RangeConstraint {
  const Expr* expr;
  std::optional<int64_t> min;
  std::optional<int64_t> max;
};

/// An exported PyTorch program as data. It owns everything its members point to.
///
/// User inputs come in the order of the Python call's flattened arguments, literals among them.
/// User outputs are called "out" when the module returns one tensor, else "out.0", "out.1.key", ...
struct Program {
  std::string where;  ///< file and entry, for messages
  int64_t schema_major = 0;
  int64_t schema_minor = 0;
  std::string_view torch_version;
  std::vector<std::string_view> verifiers;  ///< "TRAINING" as exported, "ATEN" when decomposed
  std::vector<Symbol> symbols;              ///< sorted by name
  std::vector<RangeConstraint> range_constraints;
  Graph graph;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  std::vector<UserValue> user_inputs;
  std::vector<UserValue> user_outputs;

  struct Storage;
  std::shared_ptr<const Storage> storage;
};

/// Reads the program's JSON; `where` names it in messages.
///
/// Throws corrupt when it contradicts the schema, unsupported for schemas other than major version
/// 8; a newer minor version than is known is logged as a warning and read. Argument tags and
/// expressions that are not known are kept and refused by who needs them.
Program read_program(std::span<const std::byte> json, std::string where);

/// Reads the program of an archive.
Program read_program(const Pt2Archive& archive);

}  // namespace tutti::pt2
