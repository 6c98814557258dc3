// SPDX-License-Identifier: Apache-2.0
#include "plan/engine_header.h"

#include <algorithm>

#include "plan/byte_stream.h"
#include "plan/checksum.h"
#include "plan/engine_file.h"

namespace tutti {
namespace {

// Shows damage by programs that change line ends or drop the eighth bit.
constexpr std::string_view kMagic = "\x89TUTTI\r\n";
constexpr size_t kIsaBytes = 16;

uint64_t alignment(Section section) { return section == Section::weights ? 4096 : 64; }

uint64_t round_up(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

std::string isa_name(std::string_view bytes) {
  const std::string name(bytes.substr(0, bytes.find('\0')));
  const bool zeros = bytes.find_first_not_of('\0', name.size()) == std::string_view::npos;
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  return zeros && letters ? name : std::string();
}

}  // namespace

std::string_view to_string(Section section) {
  static constexpr std::string_view kNames[] = {"graph", "plans", "residents", "weights"};
  return kNames[static_cast<size_t>(section)];
}

void lay_out(EngineHeader& header) {
  uint64_t end = EngineHeader::kBytes;
  for (size_t i = 0; i < kSectionCount; ++i) {
    header.sections[i].offset = round_up(end, alignment(static_cast<Section>(i)));
    end = header.sections[i].offset + header.sections[i].bytes;
  }
  header.file_bytes = end;
}

std::string encode_header(const EngineHeader& header) {
  require_argument(
      !header.isa.empty() && header.isa.size() < kIsaBytes && isa_name(header.isa) == header.isa,
      "instruction set '", header.isa, "' of an engine; 1 to ", kIsaBytes - 1,
      " letters are wanted");
  ByteWriter out;
  out.put_bytes(std::as_bytes(std::span(kMagic)));
  out.put(header.version);
  out.put(static_cast<uint32_t>(kSectionCount));
  out.put(header.file_bytes);
  std::string isa = header.isa;
  isa.resize(kIsaBytes);
  out.put_bytes(std::as_bytes(std::span(isa)));
  for (const SectionEntry& section : header.sections) {
    out.put(section.offset);
    out.put(section.bytes);
    out.put(section.sum);
  }
  while (out.bytes().size() < EngineHeader::kBytes - 8) out.put(uint64_t{0});
  out.put(checksum(std::as_bytes(std::span(out.bytes()))));
  return out.bytes();
}

EngineHeader decode_header(std::span<const std::byte> bytes, const std::string& path,
                           bool ignore_checksums) {
  ByteReader in(bytes, path + ": header");
  const auto magic = in.take(kMagic.size(), "magic");
  require(std::equal(magic.begin(), magic.end(), std::as_bytes(std::span(kMagic)).begin()),
          Errc::corrupt, path, ": is no engine file: its first bytes are other ones");
  EngineHeader header;
  header.version = in.get<uint32_t>("version");
  require(header.version == kEngineVersion, Errc::unsupported, path, ": has version ",
          header.version, " of the engine format; this program reads ", kEngineVersion,
          ": build it again");
  in.check(in.left() >= EngineHeader::kBytes - 12, "the file ends in its header");
  ByteReader sum(bytes.subspan(EngineHeader::kBytes - 8), path + ": header checksum");
  in.check(ignore_checksums ||
               sum.get<uint64_t>("checksum") == checksum(bytes.first(EngineHeader::kBytes - 8)),
           "the header does not have its checksum");
  const auto count = in.get<uint32_t>("sections");
  in.check(count == kSectionCount, count, " sections; ", kSectionCount, " are wanted");
  header.file_bytes = in.get<uint64_t>("file bytes");
  in.check(header.file_bytes == bytes.size(), "the file has ", bytes.size(), " bytes; ",
           header.file_bytes, " are wanted");
  const auto isa = in.take(kIsaBytes, "instruction set");
  header.isa = isa_name({reinterpret_cast<const char*>(isa.data()), isa.size()});
  in.check(!header.isa.empty(), "the instruction set has no name");
  uint64_t end = EngineHeader::kBytes;
  for (size_t i = 0; i < kSectionCount; ++i) {
    const auto name = to_string(static_cast<Section>(i));
    SectionEntry& section = header.sections[i];
    section.offset = in.get<uint64_t>("offset");
    section.bytes = in.get<uint64_t>("bytes");
    section.sum = in.get<uint64_t>("checksum");
    const uint64_t wanted = round_up(end, alignment(static_cast<Section>(i)));
    in.check(section.offset == wanted && wanted <= bytes.size() &&
                 section.bytes <= bytes.size() - wanted,
             "section ", name, " has ", section.bytes, " bytes at ", section.offset,
             "; it starts at ", wanted, " in a file of ", bytes.size());
    const auto gap = bytes.subspan(end, wanted - end);
    in.check(std::all_of(gap.begin(), gap.end(), [](auto b) { return b == std::byte{0}; }),
             "bytes ", end, " to ", wanted, " before section ", name, " are not zeros");
    end = wanted + section.bytes;
  }
  in.check(end == bytes.size(), bytes.size() - end, " bytes follow the last section");
  while (in.left() > bytes.size() - (EngineHeader::kBytes - 8))
    in.check(in.get<uint8_t>("zero") == 0, "the end of the header is not zero");
  return header;
}

}  // namespace tutti
