// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <memory_resource>
#include <type_traits>

#include "import/json.h"
#include "import/pt2_program.h"

namespace tutti::pt2 {

/// What a Program points into.
struct Program::Storage {
  std::unique_ptr<const JsonDocument> document;
  std::map<std::string_view, Expr> exprs;  // by their text
  std::pmr::monotonic_buffer_resource memory;
};

/// The tag and value of a union, which the schema writes as an object of one key.
struct Tagged {
  std::string_view tag;
  Json value;
};
Tagged tagged(const Json& json);

/// Reads parts of a program's JSON into memory of its storage.
class Reader {
 public:
  explicit Reader(Program::Storage& storage) : storage_(storage) {}

  Graph graph(const Json& json);
  Argument argument(const Json& json);
  SymInt sym_int(const Json& json);

  /// The expression of that text, read once; Kind::other where it cannot be parsed.
  const Expr* expr(std::string_view text);

  /// A list in the storage of what `read` makes of each item of an array.
  template <class T, class Read>
  List<T> list(const Json& json, Read&& read) {
    size_t count = 0;
    for ([[maybe_unused]] Json item : json.array()) ++count;
    T* items = allocate<T>(count);
    T* next = items;
    for (Json item : json.array()) std::construct_at(next++, read(item));
    return {items, count};
  }

  /// A list in the storage of what `read` makes of each value of an object, sorted by key.
  template <class T, class Read>
  List<Named<T>> table(const Json& json, Read&& read) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& item : json.object()) ++count;
    Named<T>* items = allocate<Named<T>>(count);
    Named<T>* next = items;
    for (const auto& [name, value] : json.object())
      std::construct_at(next++, Named<T>{name, read(value)});
    const auto before = [](const auto& a, const auto& b) { return a.name < b.name; };
    if (!std::is_sorted(items, next, before)) std::sort(items, next, before);
    const auto* twice = std::adjacent_find(
        items, next, [](const auto& a, const auto& b) { return a.name == b.name; });
    if (twice != next) json.refuse(Errc::corrupt, twice->name, " occurs twice");
    return {items, count};
  }

 private:
  template <class T>
  T* allocate(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>, "the storage runs no destructors");
    return static_cast<T*>(storage_.memory.allocate(count * sizeof(T), alignof(T)));
  }
  TensorMeta tensor_meta(const Json& json);
  Node node(const Json& json);
  NamedArgument named_argument(const Json& json);
  SubGraph sub_graph(const Json& json);
  ArgumentMap argument_map(const Json& json);
  template <class T>
  SymRef<T> sym_ref(const Json& json, std::string_view literal_tag);

  Program::Storage& storage_;
};

}  // namespace tutti::pt2
