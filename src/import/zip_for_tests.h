// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/mapped_file.h"
#include "import/little_endian.h"

namespace tutti {

/// Writes small zip archives for tests, record by record, with every field open to change.
class TestZip {
 public:
  struct Entry {
    std::string name;
    std::string content;
    std::string local_extra;
    std::string directory_extra;
    uint16_t method = 0;
    uint16_t flags = 0;
    bool zip64 = false;  // sizes and offset in the directory's zip64 field
  };

  Entry& add(std::string name, std::string content) {
    entries_.push_back({std::move(name), std::move(content), "", ""});
    return entries_.back();
  }

  std::string comment;
  bool zip64_end = false;

  std::string bytes() const {
    std::string out, directory;
    for (const Entry& e : entries_) append_entry(e, out, directory);
    const size_t offset = out.size();
    out += directory;
    if (zip64_end) append_zip64_end(out, offset, directory.size());
    append_little<uint32_t>(out, 0x06054b50);
    append_little<uint32_t>(out, 0);
    const auto count = static_cast<uint16_t>(zip64_end ? 0xffff : entries_.size());
    append_little<uint16_t>(out, count);
    append_little<uint16_t>(out, count);
    append_little<uint32_t>(out, static_cast<uint32_t>(zip64_end ? 0xffffffff : directory.size()));
    append_little<uint32_t>(out, static_cast<uint32_t>(zip64_end ? 0xffffffff : offset));
    append_little<uint16_t>(out, static_cast<uint16_t>(comment.size()));
    return out + comment;
  }

  std::shared_ptr<const MappedFile> file(std::string name = "test.zip") const {
    return mapped(bytes(), std::move(name));
  }

  static std::shared_ptr<const MappedFile> mapped(std::string_view bytes,
                                                  std::string name = "test.zip") {
    const auto data = std::as_bytes(std::span(bytes));
    return MappedFile::from_bytes({data.begin(), data.end()}, std::move(name));
  }

 private:
  static uint32_t crc_bit_by_bit(std::string_view text) {
    uint32_t crc = 0xffffffff;
    for (unsigned char c : text) {
      crc ^= c;
      for (int i = 0; i < 8; ++i) crc = (crc & 1) ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
  }

  // Version needed, flags, method, time, date, CRC, sizes: the same in both headers.
  static void append_common(const Entry& e, bool wide, std::string& out) {
    append_little<uint16_t>(out, 20);
    append_little<uint16_t>(out, e.flags);
    append_little<uint16_t>(out, e.method);
    append_little<uint32_t>(out, 0);
    append_little<uint32_t>(out, crc_bit_by_bit(e.content));
    const auto size = static_cast<uint32_t>(wide ? 0xffffffff : e.content.size());
    append_little<uint32_t>(out, size);
    append_little<uint32_t>(out, size);
    append_little<uint16_t>(out, static_cast<uint16_t>(e.name.size()));
  }

  static void append_entry(const Entry& e, std::string& out, std::string& directory) {
    std::string extra = e.directory_extra;
    if (e.zip64) {
      append_little<uint16_t>(extra, 1);
      append_little<uint16_t>(extra, 24);
      append_little<uint64_t>(extra, e.content.size());
      append_little<uint64_t>(extra, e.content.size());
      append_little<uint64_t>(extra, out.size());
    }
    append_little<uint32_t>(directory, 0x02014b50);
    append_little<uint16_t>(directory, 20);
    append_common(e, e.zip64, directory);
    append_little<uint16_t>(directory, static_cast<uint16_t>(extra.size()));
    append_little<uint16_t>(directory, 0);
    append_little<uint32_t>(directory, 0);
    append_little<uint32_t>(directory, 0);
    append_little<uint32_t>(directory, static_cast<uint32_t>(e.zip64 ? 0xffffffff : out.size()));
    directory += e.name + extra;

    append_little<uint32_t>(out, 0x04034b50);
    append_common(e, false, out);
    append_little<uint16_t>(out, static_cast<uint16_t>(e.local_extra.size()));
    out += e.name + e.local_extra + e.content;
  }

  void append_zip64_end(std::string& out, uint64_t offset, uint64_t size) const {
    const uint64_t at = out.size();
    append_little<uint32_t>(out, 0x06064b50);
    append_little<uint64_t>(out, 44);
    append_little<uint32_t>(out, 45 | 45 << 16);
    append_little<uint64_t>(out, 0);
    append_little<uint64_t>(out, entries_.size());
    append_little<uint64_t>(out, entries_.size());
    append_little<uint64_t>(out, size);
    append_little<uint64_t>(out, offset);
    append_little<uint32_t>(out, 0x07064b50);
    append_little<uint32_t>(out, 0);
    append_little<uint64_t>(out, at);
    append_little<uint32_t>(out, 1);
  }

  std::vector<Entry> entries_;
};

/// Calls `read` with every beginning of `bytes` and with every single bit of it flipped; the test
/// is that nothing but tutti::Error comes out of it.
inline void damage_everywhere(const std::string& bytes,
                              const std::function<void(const std::string&)>& read) {
  const auto attempt = [&](const std::string& damaged) {
    try {
      read(damaged);
    } catch (const Error&) {
    }
  };
  for (size_t size = 0; size < bytes.size(); ++size) attempt(bytes.substr(0, size));
  std::string damaged = bytes;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    attempt(damaged);
    damaged[bit / 8] = bytes[bit / 8];
  }
}

/// The message of the Error of kind `code` that `action` throws; a message that says so otherwise.
inline std::string error_of(Errc code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.code() == code) return error.what();
    return join("another code, ", error.code(), ": ", error.what());
  }
  return "no error";
}

}  // namespace tutti
