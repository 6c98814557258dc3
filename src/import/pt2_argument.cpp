// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_reader.h"

namespace tutti::pt2 {
namespace {

double number(const Json& json) { return json.as_double(NonFinite::as_text); }
std::string_view tensor_name(const Json& json) { return json.at("name").as_string(); }

// The name in as_tensor, or the empty name of as_none.
std::string_view optional_tensor_name(const Json& json) {
  const auto [tag, value] = tagged(json);
  if (tag == "as_none") return {};
  if (tag != "as_tensor") json.refuse(Errc::unsupported, "has the unknown tag ", tag);
  return tensor_name(value);
}

template <class T>
T literal(const Json& json) {
  if constexpr (std::is_same_v<T, bool>) return json.as_bool();
  if constexpr (std::is_same_v<T, double>) return number(json);
  if constexpr (std::is_same_v<T, int64_t>) return json.as_int();
  if constexpr (std::is_same_v<T, std::string_view>) return json.as_string();
}

}  // namespace

template <class T>
SymRef<T> Reader::sym_ref(const Json& json, std::string_view literal_tag) {
  const auto [tag, value] = tagged(json);
  if (tag == "as_name") return {value.as_string(), {}};
  if (tag != literal_tag) json.refuse(Errc::unsupported, "has the unknown tag ", tag);
  return {{}, literal<T>(value)};
}

SubGraph Reader::sub_graph(const Json& json) {
  Graph* inner = allocate<Graph>(1);
  std::construct_at(inner, graph(json.at("graph")));
  return {json.at("name").as_string(), inner};
}

ArgumentMap Reader::argument_map(const Json& json) {
  const auto items = table<Argument>(json, [this](const Json& item) { return argument(item); });
  NamedArgument* arguments = allocate<NamedArgument>(items.size());
  for (size_t i = 0; i < items.size(); ++i)
    std::construct_at(arguments + i, NamedArgument{items[i].name, items[i].value});
  return {arguments, items.size()};
}

Argument Reader::argument(const Json& json) {
  const auto [tag, value] = tagged(json);
  const auto is = [tag = tag](std::string_view wanted) { return tag == wanted; };
  const auto ints = [this](const Json& j) { return list<int64_t>(j, literal<int64_t>); };
  const auto doubles = [this](const Json& j) { return list<double>(j, literal<double>); };
  const auto sym_ints = [this](const Json& j) { return sym_ref<int64_t>(j, "as_int"); };
  const auto sym_bools = [this](const Json& j) { return sym_ref<bool>(j, "as_bool"); };
  const auto sym_floats = [this](const Json& j) { return sym_ref<double>(j, "as_float"); };
  const auto names = [this](const Json& j) {
    return TensorNames{list<std::string_view>(j, tensor_name)};
  };

  if (is("as_tensor")) return TensorName{tensor_name(value)};
  if (is("as_int")) return value.as_int();
  if (is("as_ints")) return ints(value);
  if (is("as_scalar_type")) return ScalarType{value.as_int()};
  if (is("as_none")) return None{};
  if (is("as_bool")) return value.as_bool();
  if (is("as_float")) return number(value);
  if (is("as_string")) return value.as_string();
  if (is("as_tensors")) return names(value);
  if (is("as_device")) {
    const auto index = value.find("index");
    return Device{value.at("type").as_string(),
                  index ? std::optional(index->as_int()) : std::nullopt};
  }
  if (is("as_layout")) return Layout{value.as_int()};
  if (is("as_memory_format")) return MemoryFormat{value.as_int()};
  if (is("as_sym_int")) return sym_ints(value);
  if (is("as_sym_ints")) return list<SymRef<int64_t>>(value, sym_ints);
  if (is("as_optional_tensors"))
    return TensorNames{list<std::string_view>(value, optional_tensor_name)};
  if (is("as_optional_tensor")) {
    const std::string_view name = optional_tensor_name(value);
    return name.empty() ? Argument(None{}) : Argument(TensorName{name});
  }
  if (is("as_nested_tensors")) return NestedTensors{list<TensorNames>(value, names)};
  if (is("as_floats")) return doubles(value);
  if (is("as_bools")) return list<bool>(value, literal<bool>);
  if (is("as_strings")) return list<std::string_view>(value, literal<std::string_view>);
  if (is("as_int_lists")) return list<List<int64_t>>(value, ints);
  if (is("as_float_lists")) return list<List<double>>(value, doubles);
  if (is("as_sym_bool")) return sym_bools(value);
  if (is("as_sym_bools")) return list<SymRef<bool>>(value, sym_bools);
  if (is("as_sym_float")) return sym_floats(value);
  if (is("as_sym_floats")) return list<SymRef<double>>(value, sym_floats);
  if (is("as_graph")) return sub_graph(value);
  if (is("as_complex")) return Complex{number(value.at("real")), number(value.at("imag"))};
  if (is("as_custom_obj"))
    return CustomObject{tensor_name(value), value.at("class_fqn").as_string()};
  if (is("as_operator")) return OperatorName{value.as_string()};
  if (is("as_string_to_argument")) return argument_map(value);
  return Unknown{tag};
}

}  // namespace tutti::pt2
