// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/type.h"

namespace tutti {

/// Attributes of an operator as text, by name.
using Attributes = std::vector<std::pair<std::string, std::string>>;

// Each type that a field of an operator may have is written as text and read back without loss:
// true, 3, 0.5, -inf, "text", f32, 2*s0, [1, 2], none.

std::string attribute_text(bool value);
std::string attribute_text(int64_t value);
std::string attribute_text(double value);
std::string attribute_text(const std::string& value);
std::string attribute_text(DType value);
std::string attribute_text(const Dim& value);
std::string attribute_text(const Shape& value);
std::string attribute_text(const std::vector<int64_t>& value);
std::string attribute_text(const std::vector<double>& value);
std::string attribute_text(const Tensor& value);
template <class T>
std::string attribute_text(const std::optional<T>& value) {
  return value ? attribute_text(*value) : "none";
}

/// False when the text is no such value.
bool parse_attribute(std::string_view text, bool& value);
bool parse_attribute(std::string_view text, int64_t& value);
bool parse_attribute(std::string_view text, double& value);
bool parse_attribute(std::string_view text, std::string& value);
bool parse_attribute(std::string_view text, DType& value);
bool parse_attribute(std::string_view text, Dim& value);
bool parse_attribute(std::string_view text, Shape& value);
bool parse_attribute(std::string_view text, std::vector<int64_t>& value);
bool parse_attribute(std::string_view text, std::vector<double>& value);
bool parse_attribute(std::string_view text, Tensor& value);
template <class T>
bool parse_attribute(std::string_view text, std::optional<T>& value) {
  value.reset();
  if (text == "none") return true;
  return parse_attribute(text, value.emplace());
}

/// Replaces symbols; only extents hold any.
template <class T>
void substitute_attribute(T&, const SymbolValues&) {}
inline void substitute_attribute(Dim& value, const SymbolValues& values) {
  value = value.substitute(values);
}
inline void substitute_attribute(Shape& value, const SymbolValues& values) {
  for (Dim& dim : value) dim = dim.substitute(values);
}

}  // namespace tutti
