// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tutti {

/// CRC-32 as zip, PNG and gzip use it (polynomial 0xedb88320, reflected); `before` is the CRC of
/// the bytes that come before these.
uint32_t crc32(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace tutti
