// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace tutti {

class JsonArray;
class JsonDocument;
class JsonObject;

/// Whether Infinity, -Infinity and NaN are accepted as the strings that PyTorch writes for them.
enum class NonFinite { refused, as_text };

/// A value inside a JsonDocument, which must outlive it; as cheap to copy as three pointers.
///
/// What asks for another kind of value than there is throws corrupt, naming the document and the
/// path of the value in it, as in "model.json: graph.nodes[3].target: is no string".
class Json {
 public:
  bool is_null() const;
  bool is_object() const;
  bool is_array() const;
  bool is_string() const;
  /// True for whole numbers that fit 64 bits.
  bool is_int() const;
  bool is_bool() const;

  /// The value of a key of this object, the first where a key occurs twice; nothing when there is
  /// none or it is null.
  std::optional<Json> find(std::string_view key) const;
  /// As find; throws corrupt where that finds nothing.
  Json at(std::string_view key) const;

  JsonObject object() const;
  JsonArray array() const;

  /// UTF-8 inside the document.
  std::string_view as_string() const;
  /// Exact; throws corrupt for fractions and what does not fit.
  int64_t as_int() const;
  /// Whole numbers are accepted too.
  double as_double(NonFinite non_finite = NonFinite::refused) const;
  bool as_bool() const;

  /// The keys and indices that lead here: "graph.nodes[3].target".
  std::string path() const;

  /// What messages call the document.
  const std::string& document_name() const;

  /// Throws an Error whose message names this value and goes on with the parts.
  template <class... Parts>
  [[noreturn]] void refuse(Errc code, const Parts&... parts) const {
    fail_here(code, join(parts...));
  }

 private:
  friend class JsonDocument;
  friend class JsonArray;
  friend class JsonObject;
  using Handle = std::array<uint64_t, 2>;  // an element or iterator of simdjson

  Json(const JsonDocument* document, Handle element) : document_(document), element_(element) {}
  [[noreturn]] void fail_here(Errc code, const std::string& what) const;

  const JsonDocument* document_;
  Handle element_;
};

/// The elements of an array, in order.
class JsonArray {
 public:
  class Iterator {
   public:
    Json operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    friend class JsonArray;
    const JsonDocument* document_;
    Json::Handle at_;
  };
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class Json;
  explicit JsonArray(const Json& json) : json_(json) {}
  Json json_;
};

/// The keys and values of an object, in the order of the text; values may be null.
class JsonObject {
 public:
  class Iterator {
   public:
    std::pair<std::string_view, Json> operator*() const;
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    friend class JsonObject;
    const JsonDocument* document_;
    Json::Handle at_;
  };
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class Json;
  explicit JsonObject(const Json& json) : json_(json) {}
  Json json_;
};

/// A parsed JSON text. It keeps no reference to the bytes it was read from.
class JsonDocument {
 public:
  /// Nesting beyond this is refused.
  static constexpr size_t kMaxDepth = 512;

  /// `name` says in messages where the text is from. Throws corrupt when it is no JSON in UTF-8.
  static std::unique_ptr<const JsonDocument> parse(std::span<const std::byte> text,
                                                   std::string name);
  ~JsonDocument();

  Json root() const;
  const std::string& name() const { return name_; }

 private:
  struct Parsed;
  JsonDocument(std::unique_ptr<const Parsed> parsed, std::string name);
  std::unique_ptr<const Parsed> parsed_;
  std::string name_;
};

/// Appends `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tutti
