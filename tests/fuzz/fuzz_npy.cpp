// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/error.h"
#include "import/npy.h"

namespace tutti {
namespace {

void read(std::span<const std::byte> bytes) {
  const auto file = MappedFile::from_bytes({bytes.begin(), bytes.end()}, "fuzz.npy");
  if (!bytes.empty() && bytes[0] == std::byte{'P'}) {
    for (const NamedTensor& named : read_npz(file)) contiguous(named.tensor);
  } else {
    contiguous(read_npy(file));
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
