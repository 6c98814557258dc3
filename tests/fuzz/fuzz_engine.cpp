// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/error.h"
#include "plan/engine_file.h"

// Checksums are ignored, so that what is behind them is tested.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  tutti::ReadOptions options;
  options.ignore_checksums = true;
  try {
    tutti::read_engine(tutti::MappedFile::from_bytes({bytes.begin(), bytes.end()}, "fuzz"),
                       options);
  } catch (const tutti::Error& error) {
    if (error.code() == tutti::Errc::internal) throw;
  }
  return 0;
}
