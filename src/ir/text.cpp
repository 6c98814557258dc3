// SPDX-License-Identifier: Apache-2.0
#include "ir/text.h"

#include <algorithm>
#include <cctype>

namespace tutti {
namespace {

std::string quoted_if_needed(const std::string& name) {
  const auto bare = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.'; };
  if (!name.empty() && std::all_of(name.begin(), name.end(), bare)) return name;
  return attribute_text(name);
}

std::string symbol_text(const std::string& name, const Symbol& symbol) {
  const std::string max = symbol.max == INT64_MAX ? "inf" : std::to_string(symbol.max);
  return join("symbol ", name, " in ", symbol.min, "..", max, "\n");
}

std::string constraint_text(const Constraint& constraint) {
  std::string text;
  switch (constraint.kind) {
    case Constraint::Kind::range:
      text = join("range(", constraint.dim, ", ", constraint.min, ", ", constraint.max);
      break;
    case Constraint::Kind::divisible:
      text = join("divisible(", constraint.dim, ", ", constraint.other);
      break;
    case Constraint::Kind::equal:
      text = join("equal(", constraint.dim, ", ", constraint.other);
      break;
  }
  return join("constraint ", text, ") ", attribute_text(constraint.origin), "\n");
}

std::string resident_text(const Resident& resident) {
  return join(to_string(resident.kind), " @", quoted_if_needed(resident.name), " : ", resident.type,
              "\n");
}

class FunctionPrinter {
 public:
  FunctionPrinter(const Graph& graph, const Function& function, size_t max_attribute)
      : graph_(graph), function_(function), max_attribute_(max_attribute) {}

  void append(std::string& out) const {
    out += join("\nfunction ", quoted_if_needed(function_.name), "(");
    for (size_t i = 0; i < function_.inputs.size(); ++i)
      out += join(i ? ", " : "", definition(function_.inputs[i]));
    out += ") {\n";
    for (const Node& node : function_.nodes) append_node(out, node);
    for (const Update& update : function_.updates)
      out += join("  update ", resident(update.resident), " = ", use(update.value), "\n");
    for (const Output& output : function_.outputs)
      out += join("  output ", quoted_if_needed(output.name), " = ",
                  output.value == kNone ? "none" : use(output.value), "\n");
    out += "}\n";
  }

 private:
  std::string resident(ResidentId id) const {
    return "@" + quoted_if_needed(graph_.residents[static_cast<size_t>(id)].name);
  }
  std::string use(ValueId id) const {
    const Value& value = function_.value(id);
    return value.resident == kNone ? "%" + quoted_if_needed(value.name) : resident(value.resident);
  }
  std::string definition(ValueId id) const { return join(use(id), " : ", function_.type(id)); }

  void append_node(std::string& out, const Node& node) const {
    const char* separator = "  ";
    for (ValueId id : node.outputs) {
      out += separator + definition(id);
      separator = ", ";
    }
    out += join(node.outputs.empty() ? "  " : " = ", node.op.name(), "(");
    separator = "";
    for (ValueId id : node.inputs) {
      out += separator + use(id);
      separator = ", ";
    }
    for (const auto& [name, value] : node.op.attributes()) {
      out += join(separator, name, "=");
      out += value.size() <= max_attribute_ ? value : value.substr(0, max_attribute_) + "...";
      separator = ", ";
    }
    out += ")";
    if (!node.scope.empty()) out += " scope=" + attribute_text(node.scope);
    out += "\n";
  }

  const Graph& graph_;
  const Function& function_;
  size_t max_attribute_;
};

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return out;
}

}  // namespace

std::string print_graph(const Graph& graph, size_t max_attribute) {
  std::string out = "tutti.graph 1\n";
  for (const auto& [name, symbol] : graph.symbols) out += symbol_text(name, symbol);
  for (const Constraint& constraint : graph.constraints) out += constraint_text(constraint);
  for (const Resident& resident : graph.residents) out += resident_text(resident);
  for (const Function& function : graph.functions)
    FunctionPrinter(graph, function, max_attribute).append(out);
  return out;
}

std::string to_dot(const Graph& graph, const Function& function) {
  std::string out = join("digraph \"", escaped(function.name), "\" {\n",
                         "  node [shape=box, fontname=\"sans-serif\"];\n");
  // A value comes from its node, n3, or is a leaf of its own, v7.
  const auto source = [&](ValueId id) {
    const int32_t producer = function.value(id).producer;
    return producer == kNone ? join("v", id) : join("n", producer);
  };
  const auto edge = [&](ValueId from, const std::string& to) {
    out += join("  ", source(from), " -> ", to, " [label=\"", function.type(from), "\"];\n");
  };
  for (size_t i = 0; i < function.values.size(); ++i) {
    const Value& value = function.values[i];
    if (value.producer == kNone)
      out += join("  v", i, " [label=\"", escaped(value.name),
                  "\", shape=", value.resident == kNone ? "ellipse" : "cylinder", "];\n");
  }
  for (size_t n = 0; n < function.nodes.size(); ++n) {
    const Node& node = function.nodes[n];
    out += join("  n", n, " [label=\"", node.op.name(), node.scope.empty() ? "" : "\\n",
                escaped(node.scope), "\"];\n");
    for (ValueId id : node.inputs) edge(id, join("n", n));
  }
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const Output& output = function.outputs[i];
    out += join("  o", i, " [label=\"", escaped(output.name), "\", shape=ellipse];\n");
    if (output.value != kNone) edge(output.value, join("o", i));
  }
  for (size_t i = 0; i < function.updates.size(); ++i) {
    const Update& update = function.updates[i];
    const std::string& name = graph.residents[static_cast<size_t>(update.resident)].name;
    out += join("  u", i, " [label=\"", escaped(name), "\", shape=cylinder];\n");
    edge(update.value, join("u", i));
  }
  return out + "}\n";
}

}  // namespace tutti
