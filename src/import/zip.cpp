// SPDX-License-Identifier: Apache-2.0
#include "import/zip.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "core/error.h"
#include "import/crc32.h"
#include "import/little_endian.h"

namespace tutti {
namespace {

// Sizes and signatures of the records, as PKWARE's APPNOTE 6.3.10 gives them.
constexpr size_t kLocalHeader = 30;
constexpr size_t kDirectoryRecord = 46;
constexpr size_t kEndRecord = 22;
constexpr size_t kZip64Locator = 20;
constexpr size_t kZip64EndRecord = 56;
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kDirectorySignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kZip64LocatorSignature = 0x07064b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kInZip64 = 0xffffffff;
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kSizesFollow = 8;

std::string_view method_name(uint16_t method) {
  switch (method) {
    case 8:
      return " (deflate)";
    case 9:
      return " (deflate64)";
    case 12:
      return " (bzip2)";
    case 14:
      return " (lzma)";
    case 93:
      return " (zstd)";
    default:
      return "";
  }
}

// The body of the extra field `id`, if there is one.
std::optional<std::span<const std::byte>> find_extra(std::span<const std::byte> extra,
                                                     uint16_t id) {
  while (extra.size() >= 4) {
    const size_t length = load_little<uint16_t>(extra, 2);
    if (length > extra.size() - 4) return std::nullopt;
    if (load_little<uint16_t>(extra, 0) == id) return extra.subspan(4, length);
    extra = extra.subspan(4 + length);
  }
  return std::nullopt;
}

}  // namespace

struct ZipArchive::Directory {
  uint64_t offset;
  uint64_t size;
  uint64_t count;
};

ZipArchive::ZipArchive(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  read_directory(find_directory());
  index_names();
}

ZipArchive::Directory ZipArchive::find_directory() const {
  const auto bytes = file_->bytes();
  require(bytes.size() >= kEndRecord, Errc::corrupt, file_->path(),
          ": is no zip archive: ", bytes.size(), " bytes, too short for one");
  const size_t last = bytes.size() - kEndRecord;
  const size_t first = last - std::min<size_t>(last, 0xffff);
  for (size_t at = last + 1; at-- > first;) {
    if (load_little<uint32_t>(bytes, at) != kEndSignature) continue;
    if (at + kEndRecord + load_little<uint16_t>(bytes, at + 20) != bytes.size()) continue;
    Directory directory{load_little<uint32_t>(bytes, at + 16),
                        load_little<uint32_t>(bytes, at + 12),
                        load_little<uint16_t>(bytes, at + 10)};
    const bool has_zip64 =
        at >= kZip64Locator &&
        load_little<uint32_t>(bytes, at - kZip64Locator) == kZip64LocatorSignature;
    size_t end = at;
    if (has_zip64) {
      directory = zip64_directory(directory, at);
      end = at - kZip64Locator;
    } else {
      require(load_little<uint16_t>(bytes, at + 4) == 0 &&
                  load_little<uint16_t>(bytes, at + 8) == directory.count,
              Errc::unsupported, file_->path(), ": is one part of a zip archive of several files");
    }
    require(fits(directory.offset, directory.size, end), Errc::corrupt, file_->path(),
            ": zip directory of ", directory.size, " bytes at ", directory.offset,
            " reaches beyond its end at ", end);
    require(directory.count <= directory.size / kDirectoryRecord, Errc::corrupt, file_->path(),
            ": zip directory of ", directory.size, " bytes cannot hold ", directory.count,
            " entries");
    return directory;
  }
  fail(Errc::corrupt, file_->path(), ": is no zip archive or was cut off: no end record found");
}

ZipArchive::Directory ZipArchive::zip64_directory(Directory directory, size_t end_record) const {
  const auto bytes = file_->bytes();
  const size_t locator = end_record - kZip64Locator;
  const uint64_t at = load_little<uint64_t>(bytes, locator + 8);
  require(
      fits(at, kZip64EndRecord, locator) && load_little<uint32_t>(bytes, at) == kZip64EndSignature,
      Errc::corrupt, file_->path(), ": zip64 end record not found at ", at);
  require(load_little<uint32_t>(bytes, at + 16) == 0 &&
              load_little<uint64_t>(bytes, at + 24) == load_little<uint64_t>(bytes, at + 32),
          Errc::unsupported, file_->path(), ": is one part of a zip archive of several files");
  const Directory wide{load_little<uint64_t>(bytes, at + 48), load_little<uint64_t>(bytes, at + 40),
                       load_little<uint64_t>(bytes, at + 32)};
  require((directory.offset == kInZip64 || directory.offset == wide.offset) &&
              (directory.size == kInZip64 || directory.size == wide.size) &&
              (directory.count == 0xffff || directory.count == wide.count),
          Errc::corrupt, file_->path(), ": zip and zip64 end records differ");
  return wide;
}

void ZipArchive::read_directory(const Directory& directory) {
  const auto records = file_->bytes().subspan(directory.offset, directory.size);
  directory_offset_ = directory.offset;
  entries_.reserve(directory.count);
  size_t at = 0;
  for (uint64_t i = 0; i < directory.count; ++i) at = read_entry(records, at);
  require(at == records.size(), Errc::corrupt, file_->path(), ": zip directory has ",
          records.size() - at, " bytes after its ", directory.count, " entries");
}

size_t ZipArchive::read_entry(std::span<const std::byte> records, size_t at) {
  require(fits(at, kDirectoryRecord, records.size()) &&
              load_little<uint32_t>(records, at) == kDirectorySignature,
          Errc::corrupt, file_->path(), ": zip directory entry ", entries_.size(),
          " is none or cut off");
  const size_t name_length = load_little<uint16_t>(records, at + 28);
  const size_t extra_length = load_little<uint16_t>(records, at + 30);
  const size_t comment_length = load_little<uint16_t>(records, at + 32);
  const size_t length = kDirectoryRecord + name_length + extra_length + comment_length;
  require(fits(at, length, records.size()), Errc::corrupt, file_->path(), ": zip directory entry ",
          entries_.size(), " is cut off");
  ZipEntry entry;
  entry.name = as_text(records.subspan(at + kDirectoryRecord, name_length));
  entry.flags = load_little<uint16_t>(records, at + 8);
  entry.method = load_little<uint16_t>(records, at + 10);
  entry.crc = load_little<uint32_t>(records, at + 16);
  entry.stored_size = load_little<uint32_t>(records, at + 20);
  entry.size = load_little<uint32_t>(records, at + 24);
  entry.header_offset = load_little<uint32_t>(records, at + 42);

  // The zip64 field holds only those of the three that did not fit, in this order.
  auto wide =
      find_extra(records.subspan(at + kDirectoryRecord + name_length, extra_length), kZip64Extra);
  for (uint64_t* field : {&entry.size, &entry.stored_size, &entry.header_offset}) {
    if (*field != kInZip64 || !wide) continue;
    require(wide->size() >= 8, Errc::corrupt, file_->path(), ": ", entry.name,
            ": zip64 field is cut off");
    *field = load_little<uint64_t>(*wide, 0);
    wide = wide->subspan(8);
  }
  entries_.push_back(entry);
  return at + length;
}

void ZipArchive::index_names() {
  require(entries_.size() <= UINT32_MAX, Errc::unsupported, file_->path(), ": ", entries_.size(),
          " zip entries");
  by_hash_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i)
    by_hash_.push_back({std::hash<std::string_view>()(entries_[i].name), static_cast<uint32_t>(i)});
  // Ordered by name too where hashes are equal, so that names made to collide cost no more.
  std::sort(by_hash_.begin(), by_hash_.end(), [this](const NameHash& a, const NameHash& b) {
    return a.hash != b.hash ? a.hash < b.hash : entries_[a.entry].name < entries_[b.entry].name;
  });
  const auto twice = std::adjacent_find(
      by_hash_.begin(), by_hash_.end(), [this](const NameHash& a, const NameHash& b) {
        return a.hash == b.hash && entries_[a.entry].name == entries_[b.entry].name;
      });
  if (twice != by_hash_.end())
    fail(Errc::corrupt, where(entries_[twice->entry]), ": occurs twice in the archive");
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const uint64_t hash = std::hash<std::string_view>()(name);
  auto found = std::lower_bound(
      by_hash_.begin(), by_hash_.end(), hash, [&](const NameHash& a, uint64_t wanted) {
        return a.hash != wanted ? a.hash < wanted : entries_[a.entry].name < name;
      });
  if (found == by_hash_.end() || entries_[found->entry].name != name) return nullptr;
  return &entries_[found->entry];
}

std::span<const std::byte> ZipArchive::bytes(const ZipEntry& entry) const {
  require((entry.flags & kEncrypted) == 0, Errc::unsupported, file_->path(), ": ", entry.name,
          ": is encrypted");
  require(entry.method == 0, Errc::unsupported, file_->path(), ": ", entry.name,
          ": is compressed with method ", entry.method, method_name(entry.method),
          "; only archives whose entries are stored as they are can be read (numpy.savez rather "
          "than numpy.savez_compressed, zip -0)");
  const auto bytes = file_->bytes().first(directory_offset_);
  const uint64_t at = entry.header_offset;
  require(
      fits(at, kLocalHeader, bytes.size()) && load_little<uint32_t>(bytes, at) == kLocalSignature,
      Errc::corrupt, file_->path(), ": ", entry.name, ": no local header at ", at);
  const size_t name_length = load_little<uint16_t>(bytes, at + 26);
  const size_t extra_length = load_little<uint16_t>(bytes, at + 28);
  require(fits(at + kLocalHeader, name_length + extra_length, bytes.size()) &&
              as_text(bytes.subspan(at + kLocalHeader, name_length)) == entry.name &&
              load_little<uint16_t>(bytes, at + 8) == entry.method,
          Errc::corrupt, file_->path(), ": ", entry.name, ": its local header is another's");
  const uint32_t local_size = load_little<uint32_t>(bytes, at + 18);
  const bool sizes_here =
      (load_little<uint16_t>(bytes, at + 6) & kSizesFollow) == 0 && local_size != kInZip64;
  require(entry.size == entry.stored_size && (!sizes_here || local_size == entry.size),
          Errc::corrupt, file_->path(), ": ", entry.name, ": ",
          sizes_here ? local_size : entry.stored_size, " bytes are stored of ", entry.size);
  const uint64_t data = at + kLocalHeader + name_length + extra_length;
  require(fits(data, entry.size, bytes.size()), Errc::corrupt, file_->path(), ": ", entry.name,
          ": ", entry.size, " bytes at ", data, " reach beyond the contents, which end at ",
          bytes.size());
  return bytes.subspan(data, entry.size);
}

void ZipArchive::check_crc(const ZipEntry& entry) const {
  const uint32_t crc = crc32(bytes(entry));
  require(crc == entry.crc, Errc::corrupt, file_->path(), ": ", entry.name, ": has CRC-32 ", crc,
          ", its directory says ", entry.crc);
}

std::string ZipArchive::where(const ZipEntry& entry) const {
  return join(file_->path(), ": ", entry.name);
}

}  // namespace tutti
