// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <unordered_map>

#include "core/text.h"
#include "import/lowering.h"

namespace tutti::pt2 {
namespace {

constexpr std::string_view kLibraries = "torch.ops.", kAten = "aten.";

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Item parse_default(std::string_view text) {
  if (text == "None") return {};
  if (text == "True" || text == "False") return Number::of_bool(text == "True");
  if (text == "[]") return std::vector<Number>{};
  if (text == "[0 1]") return std::vector<Number>{Number::of_dim(0), Number::of_dim(1)};
  if (text.front() == '\'') return std::string(text.substr(1, text.size() - 2));
  double number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  require(result.ec == std::errc() && result.ptr == text.data() + text.size(), Errc::internal,
          "default ", text, " of a schema is unreadable");
  const bool whole = text.find_first_of(".e") == text.npos;
  return whole ? Number::of_dim(static_cast<int64_t>(number)) : Number::of_real(number);
}

std::vector<Rule::Parameter> parse_schema(std::string_view schema) {
  std::vector<Rule::Parameter> parameters;
  while (!schema.empty()) {
    const std::string_view part = schema.substr(0, schema.find(','));
    schema.remove_prefix(std::min(schema.size(), part.size() + 1));
    const std::string_view text = trim(part);
    const size_t equals = text.find('=');
    if (equals == text.npos)
      parameters.push_back({text, {}});
    else
      parameters.push_back({text.substr(0, equals), parse_default(text.substr(equals + 1))});
  }
  return parameters;
}

struct Table {
  std::vector<Rule> rules;
  std::unordered_map<std::string, size_t> by_name;

  void add(std::span<const Row> rows) {
    for (const Row& row : rows) {
      for (const std::string& name : split_text(row.names, ' ')) {
        const std::string key = name.find('.') == name.npos ? name + ".default" : name;
        require(by_name.emplace(key, rules.size()).second, Errc::internal, key,
                " stands twice in the table");
      }
      rules.push_back({&row, parse_schema(row.schema)});
    }
  }
  const Rule* find(const std::string& name) const {
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : &rules[found->second];
  }
};

const Table& table() {
  static const Table kTable = [] {
    Table t;
    for (const auto rows :
         {elementwise_rows(), binary_rows(), activation_rows(), view_rows(), slice_rows(),
          scatter_rows(), sort_rows(), copy_rows(), reduce_rows(), linear_rows(), conv_rows(),
          resample_rows(), index_rows(), join_rows(), create_rows(), norm_rows(), attention_rows(),
          symbolic_rows(), collective_rows()})
      t.add(rows);
    return t;
  }();
  return kTable;
}

}  // namespace

FoundRule find_rule(std::string_view target) {
  const bool is_library = target.starts_with(kLibraries);
  if (is_library) target.remove_prefix(kLibraries.size());
  if (is_library && target.starts_with(kAten)) target.remove_prefix(kAten.size());
  const std::string name(target);
  if (const Rule* rule = table().find(name)) return {rule};
  if (!is_library) return {};
  const size_t dot = name.rfind('.');
  std::string base = name.substr(0, dot);
  const std::string overload = name.substr(std::min(dot, name.size()));
  if (base.starts_with("__i") && base.ends_with("__"))
    return {table().find("__" + base.substr(3) + overload), true};
  if (base.ends_with("_copy"))
    return {table().find(base.substr(0, base.size() - 5) + overload), false, true};
  if (base.ends_with("_")) return {table().find(base.substr(0, base.size() - 1) + overload), true};
  return {};
}

std::vector<std::string> rule_names() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : table().by_name) names.push_back(name);
  return names;
}

}  // namespace tutti::pt2
