// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "import/arithmetic.h"
#include "import/pt2_importer.h"

namespace tutti::pt2 {
namespace {

// There is one kind of memory, and layouts are the compiler's choice.
constexpr std::array<std::string_view, 9> kIgnored = {
    "device",       "layout",        "pin_memory",    "non_blocking", "memory_format",
    "cudnn_enable", "cudnn_enabled", "requires_grad", "stable"};

template <class T>
std::vector<Number> numbers_of(List<T> list) {
  std::vector<Number> numbers;
  for (const T& value : list) {
    if constexpr (std::is_same_v<T, bool>)
      numbers.push_back(Number::of_bool(value));
    else if constexpr (std::is_same_v<T, double>)
      numbers.push_back(Number::of_real(value));
    else
      numbers.push_back(Number::of_dim(value));
  }
  return numbers;
}

Number literal(int64_t value) { return Number::of_dim(value); }
Number literal(bool value) { return Number::of_bool(value); }
Number literal(double value) { return Number::of_real(value); }

std::string_view first_name(const Node& node) {
  if (!node.name.empty() || node.outputs.empty()) return node.name;
  const auto* tensor = std::get_if<TensorName>(&node.outputs[0]);
  return tensor ? tensor->name : std::string_view();
}

}  // namespace

const Item& Importer::look_up(std::string_view name, Scope& scope) {
  const auto found = scope.find(name);
  if (found != scope.end()) {
    require(!std::holds_alternative<std::monostate>(found->second), Errc::unsupported, "value ",
            name, " is not computed");
    return found->second;
  }
  const auto source = sources_.find(name);
  require(source != sources_.end() && &scope == &scope_, Errc::corrupt, "value ", name,
          " is used before it is made");
  return scope[name] = read_resident(source->second);
}

Item Importer::item(const Argument& argument, Scope& scope) {
  const auto reference = [&](const auto& ref) {
    return ref.name.empty() ? literal(ref.value) : std::get<Number>(look_up(ref.name, scope));
  };
  return std::visit(
      [&](const auto& value) -> Item {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, TensorName>) {
          return look_up(value.name, scope);
        } else if constexpr (std::is_same_v<T, TensorNames>) {
          std::vector<Ref> tensors;
          for (std::string_view name : value.names)
            tensors.push_back(name.empty() ? Ref{} : std::get<Ref>(look_up(name, scope)));
          return tensors;
        } else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
                             std::is_same_v<T, bool>) {
          return literal(value);
        } else if constexpr (std::is_same_v<T, std::string_view>) {
          return std::string(value);
        } else if constexpr (std::is_same_v<T, List<int64_t>> || std::is_same_v<T, List<double>> ||
                             std::is_same_v<T, List<bool>>) {
          return numbers_of(value);
        } else if constexpr (std::is_same_v<T, SymRef<int64_t>> ||
                             std::is_same_v<T, SymRef<bool>> || std::is_same_v<T, SymRef<double>>) {
          return reference(value);
        } else if constexpr (std::is_same_v<T, List<SymRef<int64_t>>> ||
                             std::is_same_v<T, List<SymRef<bool>>> ||
                             std::is_same_v<T, List<SymRef<double>>>) {
          std::vector<Number> numbers;
          for (const auto& ref : value) numbers.push_back(reference(ref));
          return numbers;
        } else if constexpr (std::is_same_v<T, ScalarType>) {
          const auto type = element_type(value.number);
          require(type.has_value(), Errc::unsupported, "element type ",
                  scalar_type_name(value.number), " is not supported");
          return *type;
        } else if constexpr (std::is_same_v<T, None> || std::is_same_v<T, MemoryFormat> ||
                             std::is_same_v<T, Layout> || std::is_same_v<T, Device>) {
          return std::monostate{};
        } else if constexpr (std::is_same_v<T, Unknown>) {
          fail(Errc::unsupported, "an argument of kind ", value.tag, " is not supported");
        } else {
          fail(Errc::unsupported, "an argument of this kind is not supported");
        }
      },
      argument);
}

std::vector<Item> Importer::arguments(const Rule& rule, const Node& node, Scope& scope,
                                      bool by_position) {
  const auto& parameters = rule.parameters;
  std::vector<Item> items(parameters.size());
  std::vector<bool> given(parameters.size());
  if (rule.row->schema == "*") return items;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const NamedArgument& argument = node.inputs[i];
    size_t at = 0;
    while (at < parameters.size() && parameters[at].name != argument.name) ++at;
    if (by_position) at = i;
    if (at < parameters.size()) {
      items[at] = item(argument.value, scope);
      given[at] = true;
      continue;
    }
    const bool ignored =
        std::find(kIgnored.begin(), kIgnored.end(), argument.name) != kIgnored.end();
    require(ignored || std::holds_alternative<None>(argument.value), Errc::unsupported, "argument ",
            argument.name, " is not known");
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (given[i]) continue;
    require(parameters[i].default_value.has_value(), Errc::corrupt, "argument ", parameters[i].name,
            " is missing");
    items[i] = *parameters[i].default_value;
  }
  return items;
}

Results Importer::apply(const FoundRule& found, const Node& node, std::vector<Item> items) {
  size_t list_size = 0;
  if (node.outputs.size() == 1)
    if (const auto* list = std::get_if<TensorNames>(&node.outputs[0]))
      list_size = list->names.size();
  return lower_call(lowering_, found, std::move(items), list_size);
}

void Importer::check_type(const TensorMeta& meta, Ref tensor, std::string_view name) const {
  const TensorType& found = lowering_.aliases().type(tensor);
  const auto wanted = element_type(meta.scalar_type);
  bool same = wanted && wanted->dtype == found.dtype &&
              wanted->is_complex == lowering_.type(tensor).is_complex;
  const Shape shape = lowering_.shape(tensor);
  same = same && shape.size() == meta.sizes.size();
  for (size_t i = 0; same && i < shape.size(); ++i) {
    if (!meta.sizes[i].value) continue;
    std::set<std::string> symbols;
    shape[i].collect_symbols(symbols);
    const bool known = std::all_of(symbols.begin(), symbols.end(), [&](const std::string& symbol) {
      return hints_.find(symbol) != hints_.end();
    });
    same = !known || shape[i].evaluate(hints_) == *meta.sizes[i].value;
  }
  if (same) return;
  std::string sizes;
  for (const SymInt& size : meta.sizes) {
    if (!sizes.empty()) sizes += ", ";
    sizes += size.is_symbolic() ? to_string(*size.expr) : std::to_string(size.value.value_or(-1));
  }
  fail(Errc::internal, "it was lowered to ", found, "; the program says that ", name, " is ",
       scalar_type_name(meta.scalar_type), "[", sizes, "]");
}

void Importer::bind_tensor(const Graph& graph, std::string_view name, const Item& item,
                           Scope& scope) {
  if (const auto* array = std::get_if<Array>(&item)) {
    bind_tensor(graph, name, lowering_.fresh(*array), scope);
    return;
  }
  scope[name] = item;
  const TensorMeta* meta = graph.find_tensor(name);
  const auto* tensor = std::get_if<Ref>(&item);
  if (meta == nullptr || tensor == nullptr) return;
  check_type(*meta, *tensor, name);
  lowering_.remember(*tensor, meta);
}

Array Importer::in_stated_float(const TensorMeta* meta, Array x) {
  const auto stated = meta ? element_type(meta->scalar_type) : std::nullopt;
  const bool is_real = stated && !stated->is_complex && !x.is_complex;
  if (!is_real || !is_float(stated->dtype) || !is_float(lowering_.e.dtype(x.id))) return x;
  return {lowering_.e.cast(x.id, stated->dtype)};
}

void Importer::bind(const Graph& graph, const Node& node, Results results, Scope& scope) {
  std::vector<Item>& items = results.items;
  // A list may stand for several results, and several results for a list.
  const auto spread = [&] {
    if (items.size() != 1) return;
    if (const auto* list = std::get_if<std::vector<Ref>>(&items[0]))
      items = std::vector<Item>(list->begin(), list->end());
  };
  size_t next = 0;
  const auto take = [&](std::string_view name) {
    require(next < items.size(), Errc::corrupt, "has more results than ", items.size());
    // Which float a norm's statistics are in depends on the device the program was traced on.
    if (const auto* array = std::get_if<Array>(&items[next]); array && next > 0)
      items[next] = in_stated_float(graph.find_tensor(name), *array);
    bind_tensor(graph, name, items[next++], scope);
  };
  for (const Argument& output : node.outputs) {
    if (const auto* tensor = std::get_if<TensorName>(&output)) {
      if (next == 0) spread();
      take(tensor->name);
    } else if (const auto* tensors = std::get_if<TensorNames>(&output)) {
      spread();
      for (std::string_view name : tensors->names) take(name);
    } else if (const auto* integer = std::get_if<SymRef<int64_t>>(&output)) {
      scope[integer->name] = items.at(0);
    } else if (const auto* boolean = std::get_if<SymRef<bool>>(&output)) {
      scope[boolean->name] = items.at(0);
    } else if (const auto* real = std::get_if<SymRef<double>>(&output)) {
      scope[real->name] = items.at(0);
    } else if (!std::holds_alternative<None>(output)) {
      fail(Errc::unsupported, "a result of this kind is not supported");
    }
  }
}

// wrap_with_autocast: device, type, enabled, cache, graph, operands...
// wrap_with_set_grad_enabled: enabled, graph, operands...
void Importer::inline_graph(const Node& node, Scope& scope) {
  size_t at = 0;
  while (at < node.inputs.size() && !std::holds_alternative<SubGraph>(node.inputs[at].value)) ++at;
  require(at < node.inputs.size(), Errc::corrupt, "has no graph");
  if (node.target.ends_with("autocast")) {
    const auto* enabled = at >= 2 ? std::get_if<bool>(&node.inputs[at - 2].value) : nullptr;
    require(enabled != nullptr && !*enabled, Errc::unsupported,
            "autocast is not supported; export without it");
  }
  const Graph& body = *std::get<SubGraph>(node.inputs[at].value).graph;
  require(node.inputs.size() - at - 1 == body.inputs.size(), Errc::corrupt, "gives ",
          node.inputs.size() - at - 1, " operands to a graph of ", body.inputs.size(), " inputs");
  Scope inner;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    const Item operand = item(node.inputs[at + 1 + i].value, scope);
    if (const auto* tensor = std::get_if<TensorName>(&body.inputs[i]))
      inner[tensor->name] = operand;
    else if (const auto* integer = std::get_if<SymRef<int64_t>>(&body.inputs[i]))
      inner[integer->name] = operand;
  }
  lower(body, inner);
  Results results;
  for (const Argument& output : body.outputs) results.items.push_back(item(output, inner));
  bind(program_.graph, node, std::move(results), scope);
}

void Importer::lower(const Graph& graph, const Node& node, Scope& scope) {
  lowering_.e.set_place(first_name(node), module_path(node.nn_module_stack));
  if (node.target.starts_with("torch.ops.higher_order.")) return inline_graph(node, scope);
  const FoundRule found = find_rule(node.target);
  const bool by_position = !node.target.starts_with("torch.ops.");
  std::vector<Item> items = arguments(*found.rule, node, scope, by_position);
  bind(graph, node, apply(found, node, std::move(items)), scope);
}

void Importer::lower(const Graph& graph, Scope& scope) {
  for (const Node& node : graph.nodes) {
    try {
      lower(graph, node, scope);
    } catch (const Error& error) {
      const std::string_view place = module_path(node.nn_module_stack);
      throw Error(error.code(), join(program_.where, ": node ", first_name(node), " (", node.target,
                                     place.empty() ? "" : ", in ", place, "): ", error.what()));
    }
  }
}

}  // namespace tutti::pt2
