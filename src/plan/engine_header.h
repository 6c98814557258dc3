// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tutti {

/// Parts of an engine file, in their order.
enum class Section : uint32_t { graph, plans, residents, weights };
inline constexpr size_t kSectionCount = 4;
std::string_view to_string(Section section);

/// Where a section is, and the checksum of its bytes; weights have checksums of their own, and 0
/// here.
struct SectionEntry {
  uint64_t offset = 0, bytes = 0, sum = 0;
};

/// The first kBytes of an engine file.
struct EngineHeader {
  static constexpr size_t kBytes = 192;

  uint32_t version = 0;
  std::string isa;
  uint64_t file_bytes = 0;
  std::array<SectionEntry, kSectionCount> sections;

  SectionEntry& operator[](Section s) { return sections[static_cast<size_t>(s)]; }
  const SectionEntry& operator[](Section s) const { return sections[static_cast<size_t>(s)]; }
};

/// Gives sections of these lengths their offsets, and the file its length.
void lay_out(EngineHeader& header);

/// Exactly EngineHeader::kBytes.
std::string encode_header(const EngineHeader& header);

/// The header of a file of `bytes`; sections lie in it in order and the gaps between are zeros.
///
/// Throws corrupt for anything else, unsupported for a newer version, naming it.
EngineHeader decode_header(std::span<const std::byte> bytes, const std::string& path,
                           bool ignore_checksums);

}  // namespace tutti
