// SPDX-License-Identifier: Apache-2.0
#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "core/error.h"

namespace tutti {
namespace {

// What is mapped now, by first byte.
struct Mappings {
  std::mutex mutex;
  std::map<const std::byte*, std::weak_ptr<const MappedFile>, std::less<>> files;
};

// Never destroyed: files may be unmapped while the program ends.
Mappings& mappings() {
  static auto* const kMappings = new Mappings;
  return *kMappings;
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(fd >= 0, errno == ENOENT ? Errc::not_found : Errc::io, path, ": ", std::strerror(errno));
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd,
                                                                [](const int* f) { ::close(*f); });
  struct stat status {};
  require(::fstat(fd, &status) == 0, Errc::io, path, ": ", std::strerror(errno));
  require(S_ISREG(status.st_mode), Errc::io, path, ": is no regular file");
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  file->size_ = static_cast<size_t>(status.st_size);
  if (file->size_ == 0) return file;
  void* data = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
  require(data != MAP_FAILED, Errc::io, path, ": cannot be mapped: ", std::strerror(errno));
  file->data_ = static_cast<const std::byte*>(data);
  const std::lock_guard lock(mappings().mutex);
  mappings().files[file->data_] = file;
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::containing(const void* address) {
  const auto* byte = static_cast<const std::byte*>(address);
  const std::lock_guard lock(mappings().mutex);
  auto at = mappings().files.upper_bound(byte);
  if (at == mappings().files.begin()) return nullptr;
  auto file = (--at)->second.lock();
  return file && byte < file->data_ + file->size_ ? file : nullptr;
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::vector<std::byte> bytes,
                                                         std::string path) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = std::move(path);
  file->owned_ = std::move(bytes);
  file->size_ = file->owned_.size();
  if (file->size_ > 0) file->data_ = file->owned_.data();
  return file;
}

void MappedFile::let_go() const {
  if (data_ == nullptr || !owned_.empty()) return;
  ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr || !owned_.empty()) return;
  {
    const std::lock_guard lock(mappings().mutex);
    mappings().files.erase(data_);
  }
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace tutti
