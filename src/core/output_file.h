// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tutti {

/// A file that appears under its name whole or not at all.
///
/// It is written under another name in the same folder, which commit() renames; without commit()
/// the destructor removes it and a file that had the name before stays as it was.
class OutputFile {
 public:
  /// Throws io when the folder is missing or refuses new files.
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends; throws io when the disk is full or fails.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Appends `count` zero bytes.
  void write_zeros(size_t count);

  /// Bytes written so far.
  uint64_t position() const { return position_; }

  /// Brings the bytes to the disk and gives the file its name; nothing may be written afterwards.
  void commit();

 private:
  std::string path_;
  std::string temporary_path_;
  int fd_ = -1;
  uint64_t position_ = 0;
};

}  // namespace tutti
