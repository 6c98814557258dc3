// SPDX-License-Identifier: Apache-2.0
#include "import/zip_writer.h"

#include "core/error.h"
#include "import/crc32.h"
#include "import/little_endian.h"

namespace tutti {
namespace {

constexpr uint32_t kInZip64 = 0xffffffff;
constexpr uint16_t kZip64Version = 45;
constexpr uint16_t kNamesAreUtf8 = 1 << 11;
constexpr uint32_t kFirstOfJanuary1980 = 0x21 << 16;
constexpr size_t kAlignment = 64;
constexpr size_t kLocalHeader = 30;

uint32_t narrow(uint64_t value) {
  return value < kInZip64 ? static_cast<uint32_t>(value) : kInZip64;
}

// What local and directory headers share: version needed to lengths of name and extra field.
void append_common(std::string& out, std::string_view name, uint64_t size, uint32_t crc,
                   const std::string& extra) {
  append_little<uint16_t>(out, kZip64Version);
  append_little<uint16_t>(out, kNamesAreUtf8);
  append_little<uint16_t>(out, 0);
  append_little<uint32_t>(out, kFirstOfJanuary1980);
  append_little<uint32_t>(out, crc);
  append_little<uint32_t>(out, narrow(size));
  append_little<uint32_t>(out, narrow(size));
  append_little<uint16_t>(out, static_cast<uint16_t>(name.size()));
  append_little<uint16_t>(out, static_cast<uint16_t>(extra.size()));
}

// The zip64 extra field with the values of `fields` that do not fit 32 bits; empty when all do.
std::string zip64_extra(std::initializer_list<uint64_t> fields) {
  std::string values;
  for (uint64_t field : fields)
    if (field >= kInZip64) append_little<uint64_t>(values, field);
  if (values.empty()) return "";
  std::string extra;
  append_little<uint16_t>(extra, 1);
  append_little<uint16_t>(extra, static_cast<uint16_t>(values.size()));
  return extra + values;
}

// PyTorch's padding field: "FB", a length and that many bytes.
std::string padding_extra(uint64_t end_without) {
  const size_t over = (end_without + 4) % kAlignment;
  const size_t length = over == 0 ? 0 : kAlignment - over;
  std::string extra = "FB";
  append_little<uint16_t>(extra, static_cast<uint16_t>(length));
  return extra + std::string(length, 'Z');
}

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::span<const std::byte>> pieces) {
  require_argument(name.size() <= 0xffff, "a name of ", name.size(),
                   " bytes; a zip archive takes at most 65535");
  Entry entry{name, 0, file_.position(), 0};
  for (const auto& piece : pieces) {
    entry.size += piece.size();
    entry.crc = crc32(piece, entry.crc);
  }
  std::string extra = zip64_extra({entry.size, entry.size});
  extra += padding_extra(file_.position() + kLocalHeader + name.size() + extra.size());
  std::string header;
  append_little<uint32_t>(header, 0x04034b50);
  append_common(header, name, entry.size, entry.crc, extra);
  file_.write(header + name + extra);
  for (const auto& piece : pieces) file_.write(piece);
  entries_.push_back(std::move(entry));
}

std::string ZipWriter::directory() const {
  std::string out;
  for (const Entry& entry : entries_) {
    const std::string extra = zip64_extra({entry.size, entry.size, entry.header_offset});
    append_little<uint32_t>(out, 0x02014b50);
    append_little<uint16_t>(out, kZip64Version);
    append_common(out, entry.name, entry.size, entry.crc, extra);
    append_little<uint16_t>(out, 0);
    append_little<uint32_t>(out, 0);
    append_little<uint32_t>(out, 0);
    append_little<uint32_t>(out, narrow(entry.header_offset));
    out += entry.name + extra;
  }
  return out;
}

std::string ZipWriter::end_records(uint64_t offset, uint64_t size) const {
  std::string out;
  const uint64_t count = entries_.size();
  if (count >= 0xffff || offset >= kInZip64 || size >= kInZip64) {
    append_little<uint32_t>(out, 0x06064b50);
    append_little<uint64_t>(out, 44);
    append_little<uint16_t>(out, kZip64Version);
    append_little<uint16_t>(out, kZip64Version);
    append_little<uint64_t>(out, 0);
    append_little<uint64_t>(out, count);
    append_little<uint64_t>(out, count);
    append_little<uint64_t>(out, size);
    append_little<uint64_t>(out, offset);
    append_little<uint32_t>(out, 0x07064b50);
    append_little<uint32_t>(out, 0);
    append_little<uint64_t>(out, offset + size);
    append_little<uint32_t>(out, 1);
  }
  const auto short_count = static_cast<uint16_t>(count < 0xffff ? count : 0xffff);
  append_little<uint32_t>(out, 0x06054b50);
  append_little<uint32_t>(out, 0);
  append_little<uint16_t>(out, short_count);
  append_little<uint16_t>(out, short_count);
  append_little<uint32_t>(out, narrow(size));
  append_little<uint32_t>(out, narrow(offset));
  append_little<uint16_t>(out, 0);
  return out;
}

void ZipWriter::commit() {
  const uint64_t offset = file_.position();
  const std::string records = directory();
  file_.write(records);
  file_.write(end_records(offset, records.size()));
  file_.commit();
}

}  // namespace tutti
