// SPDX-License-Identifier: Apache-2.0
#include "ir/verify.h"

#include <algorithm>
#include <cctype>
#include <unordered_set>

namespace tutti {
namespace {

// Refuses what is there twice, or empty.
class Names {
 public:
  explicit Names(std::string what) : what_(std::move(what)) {}
  void add(const std::string& name) {
    require_argument(!name.empty(), what_, " has an empty name; every name says something");
    require_argument(seen_.insert(name).second, what_, " '", name,
                     "' is there twice; names are unique");
  }

 private:
  std::string what_;
  std::unordered_set<std::string_view> seen_;
};

void check_symbols(const Graph& graph, const Dim& dim, const std::string& where) {
  if (dim.is_constant()) return;
  std::set<std::string> used;
  dim.collect_symbols(used);
  for (const std::string& name : used)
    require_argument(graph.symbols.contains(name), where, " uses symbol ", name,
                     "; it is not declared in the graph");
}

void check_type(const Graph& graph, const TensorType& type, const std::string& where) {
  require_argument(static_cast<int>(type.dtype) < kDTypeCount, where, " has dtype ",
                   static_cast<int>(type.dtype), "; 0 to ", kDTypeCount - 1, " is wanted");
  require_argument(type.rank() <= Dims::kMaxRank, where, " has rank ", type.rank(), "; at most ",
                   Dims::kMaxRank, " is wanted");
  for (const Dim& dim : type.shape) {
    require_argument(!dim.is_constant() || dim.value() >= 0, where, " is ", type,
                     "; extents of 0 or more are wanted");
    check_symbols(graph, dim, where);
  }
}

class FunctionVerifier {
 public:
  FunctionVerifier(const Graph& graph, const Function& function,
                   const std::map<ResidentId, TensorType>& parts)
      : graph_(graph), function_(function), parts_(parts), defined_(function.values.size()) {}

  void run() {
    check_leaves();
    for (size_t n = 0; n < function_.nodes.size(); ++n) check_node(n);
    check_values();
    check_results();
  }

 private:
  std::string here() const { return "function " + function_.name; }
  std::string node_text(size_t n) const {
    const Node& node = function_.nodes[n];
    return join(here(), ", node ", n, " (", node.op ? node.op.name() : "no operator",
                node.scope.empty() ? "" : ", ", node.scope, ")");
  }

  // `where` makes the words for a message; most graphs need none.
  template <class Where>
  void check_id(ValueId id, Where where) const {
    if (id < 0 || static_cast<size_t>(id) >= function_.values.size())
      fail(Errc::invalid_argument, where(), " is value ", id, "; 0 to ",
           static_cast<int64_t>(function_.values.size()) - 1, " is wanted");
  }
  template <class Where>
  void check_defined(ValueId id, Where where) const {
    check_id(id, where);
    if (!defined_[static_cast<size_t>(id)])
      fail(Errc::invalid_argument, where(), " is ", function_.value(id).name,
           ", which is not defined before it");
  }

  void check_leaves() {
    for (ValueId id : function_.inputs) {
      check_id(id, [&] { return here() + ": an input"; });
      const Value& value = function_.value(id);
      require_argument(value.producer == kNone && value.resident == kNone, here(), ": input ",
                       value.name, " is also the result of a node or a resident");
      require_argument(!defined_[static_cast<size_t>(id)], here(), ": input ", value.name,
                       " is listed twice");
      defined_[static_cast<size_t>(id)] = true;
    }
    std::unordered_set<ResidentId> read;
    for (size_t i = 0; i < function_.values.size(); ++i) {
      const Value& value = function_.values[i];
      if (value.resident == kNone) continue;
      const Resident& resident = check_resident(value.resident, here() + ": value " + value.name);
      require_argument(value.producer == kNone, here(), ": value ", value.name,
                       " is a resident and the result of a node; one of them is wanted");
      require_argument(read.insert(value.resident).second, here(), ": resident ", resident.name,
                       " is read as two values; one is wanted");
      const TensorType& type = type_of(value.resident);
      require_argument(value.name == resident.name && value.type == type, here(), ": value ",
                       value.name, " is ", value.type, "; resident ", resident.name, " ", type,
                       " is wanted");
      defined_[i] = true;
    }
  }

  const Resident& check_resident(ResidentId id, const std::string& where) const {
    require_argument(id >= 0 && static_cast<size_t>(id) < graph_.residents.size(), where,
                     " is resident ", id, "; 0 to ",
                     static_cast<int64_t>(graph_.residents.size()) - 1, " is wanted");
    return graph_.residents[static_cast<size_t>(id)];
  }

  const TensorType& type_of(ResidentId id) const {
    const auto part = parts_.find(id);
    return part != parts_.end() ? part->second : graph_.residents[static_cast<size_t>(id)].type;
  }

  void check_node(size_t n) {
    const Node& node = function_.nodes[n];
    if (!node.op) fail(Errc::invalid_argument, node_text(n), ": an operator is wanted");
    std::vector<TensorType> in;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      check_defined(node.inputs[i], [&] { return join(node_text(n), ": operand ", i); });
      in.push_back(function_.type(node.inputs[i]));
    }
    const std::vector<TensorType> types = infer(n, in);
    if (types.size() != node.outputs.size())
      fail(Errc::invalid_argument, node_text(n), ": ", node.outputs.size(), " results; ",
           types.size(), " are wanted");
    for (size_t i = 0; i < types.size(); ++i) {
      const auto where = [&] { return join(node_text(n), ": result ", i); };
      check_id(node.outputs[i], where);
      const Value& value = function_.value(node.outputs[i]);
      if (value.producer != static_cast<int32_t>(n))
        fail(Errc::invalid_argument, where(), ", ", value.name, ", names node ", value.producer,
             " as its producer; ", n, " is wanted");
      if (defined_[static_cast<size_t>(node.outputs[i])])
        fail(Errc::invalid_argument, where(), ", ", value.name, ", is defined a second time");
      if (!(value.type == types[i]))
        fail(Errc::invalid_argument, where(), ", ", value.name, ", is ", value.type, "; ", types[i],
             " is wanted");
      defined_[static_cast<size_t>(node.outputs[i])] = true;
    }
  }

  std::vector<TensorType> infer(size_t n, Types in) const {
    try {
      return function_.nodes[n].op.infer(in);
    } catch (const Error& error) {
      throw Error(error.code(), join(node_text(n), ": ", error.what()));
    }
  }

  void check_values() const {
    Names names(here() + ": value");
    for (size_t i = 0; i < function_.values.size(); ++i) {
      const Value& value = function_.values[i];
      const std::string where = join(here(), ": value ", value.name);
      require_argument(defined_[i], where, " is no input, no resident and no node's result");
      check_type(graph_, value.type, where);
      // Residents have names of their own.
      if (value.resident == kNone) names.add(value.name);
    }
  }

  void check_results() const {
    Names names(here() + ": output");
    for (const Output& output : function_.outputs) {
      names.add(output.name);
      if (output.value != kNone)
        check_defined(output.value, [&] { return here() + ": output " + output.name; });
    }
    std::unordered_set<ResidentId> updated;
    for (const Update& update : function_.updates) {
      const Resident& resident = check_resident(update.resident, here() + ": an update");
      const std::string where = here() + ": update of " + resident.name;
      check_defined(update.value, [&] { return where; });
      require_argument(resident.kind != Resident::Kind::bound, where,
                       " changes a bound resident; a derived or carried one is wanted");
      require_argument(updated.insert(update.resident).second, where, " is there twice");
      const TensorType& type = function_.type(update.value);
      const TensorType& wanted = type_of(update.resident);
      require_argument(type == wanted, where, " is ", type, "; ", wanted, " is wanted");
    }
  }

  const Graph& graph_;
  const Function& function_;
  const std::map<ResidentId, TensorType>& parts_;
  std::vector<bool> defined_;
};

void check_symbols(const Graph& graph) {
  for (const auto& [name, symbol] : graph.symbols) {
    require_argument(is_symbol_name(name), "symbol '", name,
                     "' is no name; letters, digits and _ are wanted");
    require_argument(symbol.min <= symbol.max, "symbol ", name, " is ", symbol.min, " to ",
                     symbol.max, "; a range that is not empty is wanted");
  }
  for (const Constraint& constraint : graph.constraints) {
    check_symbols(graph, constraint.dim, "a constraint on " + to_string(constraint.dim));
    check_symbols(graph, constraint.other, "a constraint on " + to_string(constraint.dim));
  }
}

void check_resident(const Graph& graph, const Resident& resident) {
  const std::string where = "resident " + resident.name;
  check_type(graph, resident.type, where);
  if (resident.data.data == nullptr) return;
  const TensorType found{resident.data.dtype, to_shape(resident.data.shape)};
  require_argument(found == resident.type, where, " has data ", found, "; ", resident.type,
                   " is wanted");
}

}  // namespace

bool is_symbol_name(std::string_view name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) && name != "min" &&
         name != "max" && std::all_of(name.begin(), name.end(), allowed);
}

void verify(const Graph& graph) {
  check_symbols(graph);
  Names residents("resident"), functions("function");
  for (const Resident& resident : graph.residents) {
    residents.add(resident.name);
    check_resident(graph, resident);
  }
  for (const Function& function : graph.functions) {
    functions.add(function.name);
    verify(graph, function);
  }
}

void verify(const Graph& graph, const Function& function,
            const std::map<ResidentId, TensorType>& parts) {
  FunctionVerifier(graph, function, parts).run();
}

}  // namespace tutti
