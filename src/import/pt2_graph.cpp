// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_graph.h"

#include "import/pt2_reader.h"

namespace tutti::pt2 {
namespace {

template <class T>
const T* find_named(List<Named<T>> table, std::string_view name) {
  const auto found =
      std::lower_bound(table.begin(), table.end(), name,
                       [](const Named<T>& a, std::string_view n) { return a.name < n; });
  return found == table.end() || found->name != name ? nullptr : &found->value;
}

}  // namespace

const Argument* Node::find(std::string_view parameter) const {
  for (const NamedArgument& input : inputs)
    if (input.name == parameter) return &input.value;
  return nullptr;
}

const TensorMeta* Graph::find_tensor(std::string_view name) const {
  return find_named(tensor_values, name);
}

const SymInt* Graph::find_sym_int(std::string_view name) const {
  return find_named(sym_int_values, name);
}

std::string_view module_path(std::string_view nn_module_stack) {
  std::string_view item = nn_module_stack.substr(nn_module_stack.rfind(';') + 1);
  // Commas inside brackets belong to the path: "layers.slice(1, None, None)".
  size_t commas[2] = {item.size(), item.size()};
  size_t count = 0;
  int depth = 0;
  for (size_t i = 0; i < item.size() && count < 2; ++i) {
    if (item[i] == '(' || item[i] == '[') ++depth;
    if (item[i] == ')' || item[i] == ']') --depth;
    if (item[i] == ',' && depth == 0) commas[count++] = i;
  }
  if (count < 2) return {};
  item = item.substr(commas[0] + 1, commas[1] - commas[0] - 1);
  // The second call of a module is called "layers.0@1".
  return item.substr(0, item.find('@'));
}

Tagged tagged(const Json& json) {
  const JsonObject object = json.object();
  auto item = object.begin();
  if (!(item != object.end())) json.refuse(Errc::corrupt, "is an empty object; a tag was expected");
  const auto [tag, value] = *item;
  if (++item != object.end()) json.refuse(Errc::corrupt, "has more tags than ", tag);
  return {tag, value};
}

const Expr* Reader::expr(std::string_view text) {
  const auto [at, is_new] = storage_.exprs.try_emplace(text);
  if (is_new) {
    try {
      at->second = parse_expr(text);
    } catch (const Error&) {
      at->second = {Expr::Kind::other, 0, text, {}};
    }
  }
  return &at->second;
}

SymInt Reader::sym_int(const Json& json) {
  const auto [tag, value] = tagged(json);
  if (tag == "as_int") return {value.as_int(), nullptr};
  if (tag != "as_expr") json.refuse(Errc::unsupported, "has the unknown tag ", tag);
  SymInt size;
  size.expr = expr(value.at("expr_str").as_string());
  if (const auto hint = value.find("hint"); hint && hint->is_object())
    if (const auto number = hint->find("as_int")) size.value = number->as_int();
  return size;
}

TensorMeta Reader::tensor_meta(const Json& json) {
  const auto size = [this](const Json& item) { return sym_int(item); };
  TensorMeta meta;
  meta.scalar_type = json.at("dtype").as_int();
  meta.layout = json.at("layout").as_int();
  meta.sizes = list<SymInt>(json.at("sizes"), size);
  meta.strides = list<SymInt>(json.at("strides"), size);
  if (const auto offset = json.find("storage_offset")) meta.storage_offset = sym_int(*offset);
  meta.device = json.at("device").at("type").as_string();
  meta.requires_grad = json.at("requires_grad").as_bool();
  return meta;
}

NamedArgument Reader::named_argument(const Json& json) {
  return {json.at("name").as_string(), argument(json.at("arg"))};
}

Node Reader::node(const Json& json) {
  Node node;
  node.target = json.at("target").as_string();
  node.inputs = list<NamedArgument>(json.at("inputs"),
                                    [this](const Json& item) { return named_argument(item); });
  node.outputs =
      list<Argument>(json.at("outputs"), [this](const Json& item) { return argument(item); });
  if (const auto name = json.find("name")) node.name = name->as_string();
  if (const auto metadata = json.find("metadata"))
    if (const auto stack = metadata->find("nn_module_stack"))
      node.nn_module_stack = stack->as_string();
  return node;
}

Graph Reader::graph(const Json& json) {
  const auto read = [this](const Json& item) { return argument(item); };
  Graph graph;
  graph.inputs = list<Argument>(json.at("inputs"), read);
  graph.outputs = list<Argument>(json.at("outputs"), read);
  graph.nodes = list<Node>(json.at("nodes"), [this](const Json& item) { return node(item); });
  graph.tensor_values = table<TensorMeta>(json.at("tensor_values"),
                                          [this](const Json& item) { return tensor_meta(item); });
  graph.sym_int_values =
      table<SymInt>(json.at("sym_int_values"), [this](const Json& item) { return sym_int(item); });
  if (const auto single = json.find("is_single_tensor_return"))
    graph.is_single_tensor_return = single->as_bool();
  return graph;
}

}  // namespace tutti::pt2
