// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/error.h"
#include "import/safetensors.h"

namespace tutti {
namespace {

void read(std::span<const std::byte> bytes) {
  const SafetensorsFile file(MappedFile::from_bytes({bytes.begin(), bytes.end()}, "fuzz"));
  for (const std::string& name : file.names()) {
    try {
      contiguous(*file.find(name));
    } catch (const Error& error) {
      if (error.code() != Errc::unsupported && error.code() != Errc::corrupt) throw;
    }
  }
}

}  // namespace
}  // namespace tutti

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    tutti::read(std::as_bytes(std::span(data, size)));
  } catch (const tutti::Error& error) {
    if (error.code() == tutti::Errc::internal) throw;
  }
  return 0;
}
