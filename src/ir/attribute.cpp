// SPDX-License-Identifier: Apache-2.0
#include "ir/attribute.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace tutti {
namespace {

// Pieces of "[a, b]" split at commas outside of parentheses, without their blanks.
std::optional<std::vector<std::string_view>> list_items(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::vector<std::string_view> items;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && (text[i] == '(' || text[i] == ')')) depth += text[i] == '(' ? 1 : -1;
    if (i < text.size() && (text[i] != ',' || depth > 0)) continue;
    std::string_view item = text.substr(start, i - start);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (item.empty() && i == text.size() && items.empty()) return items;
    items.push_back(item);
    start = i + 1;
  }
  return items;
}

constexpr char kHex[] = "0123456789abcdef";

}  // namespace

std::string attribute_text(bool value) { return value ? "true" : "false"; }
std::string attribute_text(int64_t value) { return std::to_string(value); }
std::string attribute_text(double value) { return to_text(value); }
std::string attribute_text(DType value) { return std::string(to_string(value)); }
std::string attribute_text(const Dim& value) { return to_string(value); }
std::string attribute_text(const Shape& value) { return to_string(value); }
std::string attribute_text(const std::vector<int64_t>& value) {
  return "[" + join_list(value) + "]";
}

std::string attribute_text(const std::vector<double>& value) {
  return "[" + join_list(value) + "]";
}

std::string attribute_text(const std::string& value) {
  std::string text = "\"";
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\' || byte < 32 || byte == 127)
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    else
      text += c;
  }
  return text + "\"";
}

std::string attribute_text(const Tensor& value) {
  const Tensor dense = contiguous(value);
  std::string text = join(dense.dtype, dense.shape, ":");
  const auto* bytes = dense.as<const unsigned char>();
  for (size_t i = 0; i < dense.bytes(); ++i) text += {kHex[bytes[i] >> 4], kHex[bytes[i] & 15]};
  return text;
}

bool parse_attribute(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}

bool parse_attribute(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_attribute(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_attribute(std::string_view text, std::string& value) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
  text = text.substr(1, text.size() - 2);
  value.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 3 >= text.size() || text[i + 1] != 'x') return false;
    const auto [end, error] = std::from_chars(text.data() + i + 2, text.data() + i + 4, byte, 16);
    if (error != std::errc() || end != text.data() + i + 4) return false;
    value += static_cast<char>(byte);
    i += 3;
  }
  return true;
}

bool parse_attribute(std::string_view text, DType& value) {
  const auto dtype = parse_dtype(text);
  if (dtype) value = *dtype;
  return dtype.has_value();
}

bool parse_attribute(std::string_view text, Dim& value) {
  try {
    value = Dim::parse(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

namespace {

template <class T>
bool parse_list(std::string_view text, std::vector<T>& value) {
  const auto items = list_items(text);
  if (!items) return false;
  value.clear();
  for (std::string_view item : *items)
    if (!parse_attribute(item, value.emplace_back())) return false;
  return true;
}

}  // namespace

bool parse_attribute(std::string_view text, Shape& value) { return parse_list(text, value); }
bool parse_attribute(std::string_view text, std::vector<int64_t>& value) {
  return parse_list(text, value);
}
bool parse_attribute(std::string_view text, std::vector<double>& value) {
  return parse_list(text, value);
}

bool parse_attribute(std::string_view text, Tensor& value) {
  const size_t bracket = text.find('['), colon = text.find("]:");
  if (bracket == std::string_view::npos || colon == std::string_view::npos || colon < bracket)
    return false;
  DType dtype;
  std::vector<int64_t> extents;
  if (!parse_attribute(text.substr(0, bracket), dtype) ||
      !parse_attribute(text.substr(bracket, colon + 1 - bracket), extents) ||
      extents.size() > Dims::kMaxRank)
    return false;
  const std::string_view hex = text.substr(colon + 2);
  const bool empty = std::find(extents.begin(), extents.end(), 0) != extents.end();
  size_t wanted = 2 * size_of(dtype);
  for (int64_t extent : extents)
    if (extent < 0 || __builtin_mul_overflow(wanted, std::max<int64_t>(extent, 1), &wanted))
      return false;
  if (hex.size() != (empty ? 0 : wanted)) return false;
  value = Tensor::zeros(dtype, Dims(extents));
  for (size_t i = 0; i < hex.size(); i += 2) {
    const auto [end, error] =
        std::from_chars(hex.data() + i, hex.data() + i + 2, value.as<unsigned char>()[i / 2], 16);
    if (error != std::errc() || end != hex.data() + i + 2) return false;
  }
  return true;
}

}  // namespace tutti
