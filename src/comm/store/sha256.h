// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tutti::comm {

using Digest = std::array<uint8_t, 32>;

/// Source: FIPS 180-4.
Digest sha256(std::string_view message);

/// Source: RFC 2104 with SHA-256.
Digest hmac_sha256(std::string_view key, std::string_view message);

/// Compares in a time that does not depend on where they differ.
bool is_same(const Digest& a, std::string_view b);

/// The bytes as they are.
inline std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Two digits for each byte.
std::string hex_of(std::string_view bytes);

/// Bytes of the system's random source; throws io.
std::string random_bytes(size_t count);

}  // namespace tutti::comm
