// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/output_file.h"

namespace tutti {

/// Writes a zip archive of stored entries that start at multiples of 64 bytes, so that they can be
/// used in place; zip64 where a number asks for it. The file appears with commit().
class ZipWriter {
 public:
  /// Throws io when the file cannot be written.
  explicit ZipWriter(std::string path) : file_(std::move(path)) {}

  /// Adds an entry whose content is the pieces one after the other.
  void add(const std::string& name, std::span<const std::span<const std::byte>> pieces);

  /// Writes the directory and gives the archive its name.
  void commit();

 private:
  struct Entry {
    std::string name;
    uint64_t size;
    uint64_t header_offset;
    uint32_t crc;
  };
  std::string directory() const;
  std::string end_records(uint64_t offset, uint64_t size) const;

  OutputFile file_;
  std::vector<Entry> entries_;
};

}  // namespace tutti
