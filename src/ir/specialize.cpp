// SPDX-License-Identifier: Apache-2.0
#include "ir/graph.h"

namespace tutti {
namespace {

std::string shape_of(const Value& input, const Dims& found) {
  return join("input ", input.name, " is ", found, "; ", input.type, " is wanted");
}

void check(const Constraint& constraint, const SymbolValues& values) {
  const int64_t dim = constraint.dim.evaluate(values);
  switch (constraint.kind) {
    case Constraint::Kind::range:
      require_argument(dim >= constraint.min && dim <= constraint.max, constraint.dim, " is ", dim,
                       "; ", constraint.min, " to ", constraint.max, " is wanted (",
                       constraint.origin, ")");
      return;
    case Constraint::Kind::divisible: {
      const int64_t divisor = constraint.other.evaluate(values);
      require_argument(divisor != 0 && dim % divisor == 0, constraint.dim, " is ", dim,
                       "; a multiple of ", divisor, " is wanted (", constraint.origin, ")");
      return;
    }
    case Constraint::Kind::equal: {
      const int64_t other = constraint.other.evaluate(values);
      require_argument(dim == other, constraint.dim, " is ", dim, "; ", constraint.other, " = ",
                       other, " is wanted (", constraint.origin, ")");
      return;
    }
  }
}

// An extent a * s + b decides its symbol s when no other symbol of it is open.
void solve(const Value& input, int axis, const Dims& found, SymbolValues& values) {
  const Dim& dim = input.type.shape[static_cast<size_t>(axis)];
  std::set<std::string> open;
  dim.collect_symbols(open);
  std::erase_if(open, [&](const std::string& name) { return values.count(name) != 0; });
  if (open.size() != 1) return;
  const std::string& symbol = *open.begin();
  values[symbol] = 0;
  const int64_t b = dim.evaluate(values);
  values[symbol] = 1;
  const int64_t a = dim.evaluate(values) - b;
  values.erase(symbol);
  if (a == 0) return;
  require_argument((found[axis] - b) % a == 0, shape_of(input, found));
  values[symbol] = (found[axis] - b) / a;
}

}  // namespace

SymbolValues bind_symbols(const Graph& graph, const Function& function,
                          std::span<const Dims> input_shapes) {
  require_argument(input_shapes.size() == function.inputs.size(), input_shapes.size(),
                   " input shapes given; ", function.inputs.size(), " are wanted");
  SymbolValues values;
  for (size_t i = 0; i < input_shapes.size(); ++i) {
    const Value& input = function.value(function.inputs[i]);
    require_argument(input_shapes[i].rank() == input.type.rank(), shape_of(input, input_shapes[i]));
    for (int axis = 0; axis < input.type.rank(); ++axis)
      if (const auto symbol = input.type.shape[static_cast<size_t>(axis)].as_symbol())
        values.emplace(*symbol, input_shapes[i][axis]);
  }
  for (size_t i = 0; i < input_shapes.size(); ++i)
    for (int axis = 0; axis < input_shapes[i].rank(); ++axis)
      solve(function.value(function.inputs[i]), axis, input_shapes[i], values);
  for (size_t i = 0; i < input_shapes.size(); ++i) {
    const Value& input = function.value(function.inputs[i]);
    for (int axis = 0; axis < input.type.rank(); ++axis)
      require_argument(
          input.type.shape[static_cast<size_t>(axis)].evaluate(values) == input_shapes[i][axis],
          shape_of(input, input_shapes[i]));
  }
  for (const auto& [name, symbol] : graph.symbols) {
    const auto found = values.find(name);
    if (found == values.end()) continue;
    require_argument(found->second >= symbol.min && found->second <= symbol.max, name, " is ",
                     found->second, "; ", symbol.min, " to ", symbol.max, " is wanted");
  }
  for (const Constraint& constraint : graph.constraints) check(constraint, values);
  return values;
}

Function specialize(const Function& function, const SymbolValues& values) {
  Function out = function;
  for (Value& value : out.values) substitute_attribute(value.type.shape, values);
  for (Node& node : out.nodes) {
    node.op = node.op.substitute(values);
    std::vector<TensorType> in;
    for (ValueId id : node.inputs) in.push_back(out.type(id));
    const auto types = node.op.infer(in);
    for (size_t i = 0; i < types.size(); ++i) out.value(node.outputs[i]).type = types[i];
  }
  return out;
}

}  // namespace tutti
