// SPDX-License-Identifier: Apache-2.0
#include "import/json.h"

#include <simdjson.h>

#include <bit>
#include <limits>

namespace tutti {
namespace {

namespace dom = simdjson::dom;

// Json keeps simdjson's handles as plain numbers so that its header needs no simdjson.
dom::element element_of(const std::array<uint64_t, 2>& handle) {
  return std::bit_cast<dom::element>(handle);
}

dom::object object_of(const dom::element& element) {
  const auto result = element.get_object();
  return result.value_unsafe();
}

dom::array array_of(const dom::element& element) {
  const auto result = element.get_array();
  return result.value_unsafe();
}

template <class T>
std::array<uint64_t, 2> handle_of(const T& value) {
  return std::bit_cast<std::array<uint64_t, 2>>(value);
}

// The path below `element` to the value `wanted`, appended to `path`; false when it is not there.
bool find_path(const dom::element& element, const std::array<uint64_t, 2>& wanted,
               std::string& path) {
  if (handle_of(element) == wanted) return true;
  const size_t length = path.size();
  if (element.is_object()) {
    for (const auto& [key, value] : object_of(element)) {
      if (!path.empty()) path += '.';
      path += key;
      if (find_path(value, wanted, path)) return true;
      path.resize(length);
    }
  } else if (element.is_array()) {
    size_t index = 0;
    for (const auto& value : array_of(element)) {
      path += join("[", index++, "]");
      if (find_path(value, wanted, path)) return true;
      path.resize(length);
    }
  }
  return false;
}

}  // namespace

struct JsonDocument::Parsed {
  dom::document document;
};

JsonDocument::JsonDocument(std::unique_ptr<const Parsed> parsed, std::string name)
    : parsed_(std::move(parsed)), name_(std::move(name)) {}

JsonDocument::~JsonDocument() = default;

std::unique_ptr<const JsonDocument> JsonDocument::parse(std::span<const std::byte> text,
                                                        std::string name) {
  auto parsed = std::make_unique<Parsed>();
  dom::parser parser;
  auto error = parser.allocate(text.size(), kMaxDepth);
  if (!error)
    error = parser
                .parse_into_document(parsed->document,
                                     reinterpret_cast<const uint8_t*>(text.data()), text.size())
                .error();
  require(!error, Errc::corrupt, name, ": is no valid JSON: ", simdjson::error_message(error));
  return std::unique_ptr<const JsonDocument>(new JsonDocument(std::move(parsed), std::move(name)));
}

Json JsonDocument::root() const { return Json(this, handle_of(parsed_->document.root())); }

bool Json::is_null() const { return element_of(element_).is_null(); }
bool Json::is_object() const { return element_of(element_).is_object(); }
bool Json::is_array() const { return element_of(element_).is_array(); }
bool Json::is_string() const { return element_of(element_).is_string(); }
bool Json::is_int() const { return element_of(element_).is_int64(); }
bool Json::is_bool() const { return element_of(element_).is_bool(); }

std::optional<Json> Json::find(std::string_view key) const {
  const auto object = element_of(element_).get_object();
  if (object.error())
    refuse(Errc::corrupt, "is no object; one with the key ", key, " was expected");
  const auto value = object.value_unsafe().at_key(key);
  if (value.error() || value.value_unsafe().is_null()) return std::nullopt;
  return Json(document_, handle_of(value.value_unsafe()));
}

Json Json::at(std::string_view key) const {
  if (auto value = find(key)) return *value;
  refuse(Errc::corrupt, "has no ", key);
}

JsonObject Json::object() const {
  if (!is_object()) refuse(Errc::corrupt, "is no object");
  return JsonObject(*this);
}

JsonArray Json::array() const {
  if (!is_array()) refuse(Errc::corrupt, "is no array");
  return JsonArray(*this);
}

std::string_view Json::as_string() const {
  const auto value = element_of(element_).get_string();
  if (value.error()) refuse(Errc::corrupt, "is no string");
  return value.value_unsafe();
}

int64_t Json::as_int() const {
  const auto value = element_of(element_).get_int64();
  if (value.error()) refuse(Errc::corrupt, "is no whole number of 64 bits");
  return value.value_unsafe();
}

double Json::as_double(NonFinite non_finite) const {
  const auto value = element_of(element_).get_double();
  if (!value.error()) return value.value_unsafe();
  if (non_finite == NonFinite::as_text && is_string()) {
    const std::string_view text = as_string();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  refuse(Errc::corrupt, "is no number");
}

bool Json::as_bool() const {
  const auto value = element_of(element_).get_bool();
  if (value.error()) refuse(Errc::corrupt, "is neither true nor false");
  return value.value_unsafe();
}

std::string Json::path() const {
  std::string path;
  find_path(element_of(document_->root().element_), element_, path);
  return path;
}

const std::string& Json::document_name() const { return document_->name(); }

void Json::fail_here(Errc code, const std::string& what) const {
  const std::string at = path();
  fail(code, document_->name(), ": ", at, at.empty() ? "" : ": ", what);
}

Json JsonArray::Iterator::operator*() const {
  return Json(document_, handle_of(*std::bit_cast<dom::array::iterator>(at_)));
}

JsonArray::Iterator& JsonArray::Iterator::operator++() {
  at_ = handle_of(++std::bit_cast<dom::array::iterator>(at_));
  return *this;
}

JsonArray::Iterator JsonArray::begin() const {
  Iterator iterator;
  iterator.document_ = json_.document_;
  iterator.at_ = handle_of(array_of(element_of(json_.element_)).begin());
  return iterator;
}

JsonArray::Iterator JsonArray::end() const {
  Iterator iterator;
  iterator.document_ = json_.document_;
  iterator.at_ = handle_of(array_of(element_of(json_.element_)).end());
  return iterator;
}

std::pair<std::string_view, Json> JsonObject::Iterator::operator*() const {
  const auto iterator = std::bit_cast<dom::object::iterator>(at_);
  return {iterator.key(), Json(document_, handle_of(iterator.value()))};
}

JsonObject::Iterator& JsonObject::Iterator::operator++() {
  at_ = handle_of(++std::bit_cast<dom::object::iterator>(at_));
  return *this;
}

JsonObject::Iterator JsonObject::begin() const {
  Iterator iterator;
  iterator.document_ = json_.document_;
  iterator.at_ = handle_of(object_of(element_of(json_.element_)).begin());
  return iterator;
}

JsonObject::Iterator JsonObject::end() const {
  Iterator iterator;
  iterator.document_ = json_.document_;
  iterator.at_ = handle_of(object_of(element_of(json_.element_)).end());
  return iterator;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace tutti
