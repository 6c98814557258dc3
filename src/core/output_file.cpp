// SPDX-License-Identifier: Apache-2.0
#include "core/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace tutti {

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  static std::atomic<int> count{0};
  do {
    temporary_path_ = join(path_, ".", ::getpid(), ".", count++, ".part");
    fd_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  require(fd_ >= 0, Errc::io, path_, ": cannot be written: ", std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_path_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    require(written >= 0, Errc::io, path_, ": cannot be written: ", std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(written));
    position_ += static_cast<uint64_t>(written);
  }
}

void OutputFile::write_zeros(size_t count) {
  static constexpr std::byte kZeros[256] = {};
  for (; count > 0; count -= std::min(count, sizeof kZeros))
    write(std::span(kZeros, std::min(count, sizeof kZeros)));
}

void OutputFile::commit() {
  require(::fsync(fd_) == 0, Errc::io, path_, ": cannot be written: ", std::strerror(errno));
  require(::rename(temporary_path_.c_str(), path_.c_str()) == 0, Errc::io, path_,
          ": cannot be replaced: ", std::strerror(errno));
  ::close(fd_);
  fd_ = -1;
}

}  // namespace tutti
