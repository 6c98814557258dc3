// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "tutti/tensor.h"

namespace tutti {

static_assert(std::endian::native == std::endian::little,
              "engine files are little-endian and their weights are used in place");

/// Appends numbers (little-endian), texts (u32 length, bytes) and extents (u8 rank, i64 each).
class ByteWriter {
 public:
  template <std::integral T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_count(size_t count) {
    require_argument(count <= std::numeric_limits<uint32_t>::max(), count,
                     " things; fewer than 2^32 fit an engine file");
    put(static_cast<uint32_t>(count));
  }
  void put_text(std::string_view text) {
    put_count(text.size());
    bytes_.append(text);
  }
  void put_dims(const Dims& dims) {
    put(static_cast<uint8_t>(dims.rank()));
    for (int64_t d : dims) put(d);
  }
  void put_bytes(std::span<const std::byte> bytes) {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads what ByteWriter wrote and checks that it is there; nothing is allocated beyond the bytes
/// given. Throws corrupt naming `where`, the byte, what was read and what was wanted.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  template <std::integral T>
  T get(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  /// A number of things that take at least `least` bytes each.
  size_t get_count(std::string_view what, size_t least) {
    const auto count = get<uint32_t>(what);
    check(count <= left() / least, "number of ", what, " is ", count, "; at most ", left() / least,
          " fit the bytes left");
    return count;
  }
  /// A number below `end`.
  uint8_t get_enum(std::string_view what, int end) {
    const auto value = get<uint8_t>(what);
    check(value < end, what, " is ", int{value}, "; 0 to ", end - 1, " is wanted");
    return value;
  }
  std::string get_text(std::string_view what) {
    const auto bytes = take(get_count(what, 1), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  Dims get_dims(std::string_view what) {
    Dims dims = Dims::filled(get_enum(what, Dims::kMaxRank + 1), 0);
    for (int64_t& d : dims) d = get<int64_t>(what);
    return dims;
  }
  std::span<const std::byte> take(size_t count, std::string_view what) {
    check(count <= left(), what, " takes ", count, " bytes; ", left(), " are left");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  void finish() const { check(left() == 0, left(), " bytes are left over; none is wanted"); }

  size_t left() const { return bytes_.size() - at_; }

  template <class... Parts>
  void check(bool condition, const Parts&... parts) const {
    if (!condition) [[unlikely]]
      fail(Errc::corrupt, where_, ", byte ", at_, ": ", join(parts...));
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  size_t at_ = 0;
};

}  // namespace tutti
