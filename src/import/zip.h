// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"

namespace tutti {

/// One file in a zip archive, as its central directory describes it.
struct ZipEntry {
  std::string_view name;       ///< points into the archive
  uint64_t size = 0;           ///< bytes of the file
  uint64_t stored_size = 0;    ///< bytes it takes in the archive
  uint64_t header_offset = 0;  ///< of its local header
  uint32_t crc = 0;
  uint16_t method = 0;  ///< 0: stored as it is
  uint16_t flags = 0;
};

/// A zip archive over a mapped file; what it returns points into the mapping.
///
/// Opening reads the directory only. Archives over several disks and names that occur twice are
/// refused; zip64 is read. Bytes are given of entries that are stored as they are.
class ZipArchive {
 public:
  /// Throws corrupt when `file` is no zip archive or a bound does not hold.
  explicit ZipArchive(std::shared_ptr<const MappedFile> file);

  /// In the order of the directory.
  std::span<const ZipEntry> entries() const { return entries_; }

  /// The entry of that name, or null.
  const ZipEntry* find(std::string_view name) const;

  /// The content of an entry of this archive, in place.
  ///
  /// Throws unsupported when it is compressed or encrypted, corrupt when its local header says
  /// otherwise than the directory or it reaches beyond the file.
  std::span<const std::byte> bytes(const ZipEntry& entry) const;

  /// Throws corrupt unless the content has the CRC of the directory; reads every byte.
  void check_crc(const ZipEntry& entry) const;

  const std::shared_ptr<const MappedFile>& file() const { return file_; }

  /// "path: entry", for messages.
  std::string where(const ZipEntry& entry) const;

 private:
  struct Directory;
  Directory find_directory() const;
  Directory zip64_directory(Directory directory, size_t end_record) const;
  void read_directory(const Directory& directory);
  size_t read_entry(std::span<const std::byte> records, size_t at);
  void index_names();

  struct NameHash {
    uint64_t hash;
    uint32_t entry;
  };

  std::shared_ptr<const MappedFile> file_;
  std::vector<ZipEntry> entries_;
  std::vector<NameHash> by_hash_;  // sorted by hash
  uint64_t directory_offset_ = 0;  // contents lie before it
};

}  // namespace tutti
