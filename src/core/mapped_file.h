// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tutti {

/// The bytes of a file, mapped read-only for as long as a shared_ptr to this lives.
class MappedFile {
 public:
  /// Throws not_found when there is no such file, io when it cannot be read or mapped.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  /// Bytes in memory that are read as if they were the file `path`.
  static std::shared_ptr<const MappedFile> from_bytes(std::vector<std::byte> bytes,
                                                      std::string path);
  /// The mapped file (not one from_bytes made) that has this address among its bytes, or null.
  static std::shared_ptr<const MappedFile> containing(const void* address);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Gives memory back that holds parts of the file; they are read again when touched.
  void let_go() const;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  std::string path_;
  std::vector<std::byte> owned_;  // empty when mapped
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace tutti
