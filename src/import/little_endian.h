// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace tutti {

static_assert(std::endian::native == std::endian::little,
              "the file formats are little-endian and their tensors are used in place");

/// The number at byte `at`; the caller has checked that it lies inside.
template <std::unsigned_integral T>
T load_little(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// Appends the bytes of `value`, lowest first.
template <std::unsigned_integral T>
void append_little(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
}

/// The bytes as text, not copied.
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// True when `count` bytes from `at` on lie inside `size` bytes.
constexpr bool fits(uint64_t at, uint64_t count, uint64_t size) {
  return at <= size && count <= size - at;
}

}  // namespace tutti
