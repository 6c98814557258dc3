// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tutti {

/// The shortest decimal text that reads back as the same number; "inf", "-inf", "nan".
std::string to_text(double value);
std::string to_text(float value);

inline void append_text(std::string& out, std::string_view text) { out += text; }
inline void append_text(std::string& out, const char* text) { out += text; }
inline void append_text(std::string& out, char c) { out += c; }
inline void append_text(std::string& out, bool value) { out += value ? "true" : "false"; }
inline void append_text(std::string& out, double value) { out += to_text(value); }
inline void append_text(std::string& out, float value) { out += to_text(value); }
template <std::integral T>
void append_text(std::string& out, T value) {
  out += std::to_string(value);
}
template <class T>
requires(!std::is_arithmetic_v<T> &&
         requires(const T& value) { std::string_view(to_string(value)); })
void append_text(std::string& out, const T& value) { out += to_string(value); }

/// All parts as text, one after the other.
template <class... Parts>
std::string join(const Parts&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

/// "a, b, c"
template <class Range>
std::string join_list(const Range& items, std::string_view separator = ", ") {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += separator;
    append_text(out, item);
  }
  return out;
}

/// Pieces of `text` between separators; empty pieces are kept.
std::vector<std::string> split_text(std::string_view text, char separator);

/// The (at most `count`) candidates with the smallest edit distance to `name`, nearest first.
std::vector<std::string> nearest_names(std::string_view name,
                                       std::span<const std::string> candidates, size_t count = 3);

/// 1536 -> "1.5 KiB"
std::string bytes_text(size_t bytes);

}  // namespace tutti
