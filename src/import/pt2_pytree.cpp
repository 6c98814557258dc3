// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_pytree.h"

#include "core/error.h"

namespace tutti::pt2 {
namespace {

// Long keys in deep trees would otherwise make every leaf's path as long as the file.
constexpr size_t kMaxPath = 1000;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string key_text(const Json& key) {
  if (key.is_string()) return std::string(key.as_string());
  if (key.is_int()) return std::to_string(key.as_int());
  if (key.is_bool()) return key.as_bool() ? "True" : "False";
  key.refuse(Errc::unsupported, "is no key that can be named");
}

class Tree {
 public:
  Tree(const Json& spec, const std::optional<Json>& namedtuple_fields)
      : spec_(spec),
        namedtuple_fields_(namedtuple_fields),
        where_(join(spec.document_name(), ": a pytree")) {
    const std::string_view text = spec.as_string();
    document_ = JsonDocument::parse(bytes_of(text), where_);
    std::vector<Json> items;
    for (Json item : document_->root().array()) items.push_back(item);
    if (items.size() != 2 || items[0].as_int() != 1)
      spec.refuse(Errc::unsupported, "is no pytree of version 1");
    root_ = items[1];
  }

  const Json& root() const { return *root_; }

  void append_leaves(const Json& node, const std::string& path,
                     std::vector<std::string>& paths) const {
    if (path.size() > kMaxPath)
      spec_.refuse(Errc::unsupported, "has a path of ", path.size(), " bytes; at most ", kMaxPath,
                   " can be read");
    if (!node.find("type")) {
      paths.push_back(path);
      return;
    }
    const std::vector<Json> parts = children(node);
    const std::vector<std::string> names = keys(node, parts.size());
    for (size_t i = 0; i < parts.size(); ++i)
      append_leaves(parts[i], path.empty() ? names[i] : join(path, ".", names[i]), paths);
  }

  std::vector<Json> children(const Json& node) const {
    std::vector<Json> children;
    for (Json child : node.at("children_spec").array()) children.push_back(child);
    return children;
  }

  // What the children of a container are called: the keys in its context, else their numbers.
  std::vector<std::string> keys(const Json& node, size_t count) const {
    std::vector<std::string> keys;
    const auto context = node.find("context");
    if (context && context->is_string() && context->as_string() != "null") {
      const auto document = JsonDocument::parse(bytes_of(context->as_string()), where_);
      std::optional<Json> list = document->root();
      if (list->is_object()) list = list->find("dict_context");  // of a defaultdict
      if (list && list->is_string()) list = fields(list->as_string());
      if (list && list->is_array())
        for (Json key : list->array()) keys.push_back(key_text(key));
    }
    if (keys.empty())
      for (size_t i = 0; i < count; ++i) keys.push_back(std::to_string(i));
    if (keys.size() != count)
      spec_.refuse(Errc::corrupt, "has a container of ", count, " children with ", keys.size(),
                   " keys");
    return keys;
  }

 private:
  // The field names of a namedtuple type, which is what its context names.
  std::optional<Json> fields(std::string_view type) const {
    const auto entry = namedtuple_fields_ ? namedtuple_fields_->find(type) : std::nullopt;
    return entry ? entry->find("field_names") : std::nullopt;
  }

  Json spec_;
  std::optional<Json> namedtuple_fields_;
  std::string where_;
  std::unique_ptr<const JsonDocument> document_;
  std::optional<Json> root_;
};

}  // namespace

std::vector<std::string> leaf_paths(const Json& spec, const std::optional<Json>& namedtuple_fields,
                                    const std::string& root) {
  const Tree tree(spec, namedtuple_fields);
  std::vector<std::string> paths;
  tree.append_leaves(tree.root(), root, paths);
  return paths;
}

std::vector<std::string> call_paths(const Json& spec, const std::optional<Json>& namedtuple_fields,
                                    const std::vector<std::string_view>& argument_names) {
  const Tree tree(spec, namedtuple_fields);
  const std::vector<Json> call = tree.children(tree.root());
  if (call.size() != 2) spec.refuse(Errc::corrupt, "is no pair of arguments and keyword arguments");
  std::vector<std::string> paths;
  const std::vector<Json> positional = tree.children(call[0]);
  for (size_t i = 0; i < positional.size(); ++i)
    tree.append_leaves(
        positional[i],
        i < argument_names.size() ? std::string(argument_names[i]) : join("args.", i), paths);
  const std::vector<Json> keyword = tree.children(call[1]);
  const std::vector<std::string> keys = tree.keys(call[1], keyword.size());
  for (size_t i = 0; i < keyword.size(); ++i) tree.append_leaves(keyword[i], keys[i], paths);
  return paths;
}

}  // namespace tutti::pt2
