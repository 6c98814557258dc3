// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/error.h"
#include "import/pt2_archive.h"
#include "import/pt2_program.h"
#include "tutti/log.h"

namespace tutti {
namespace {

void read_archive(std::span<const std::byte> bytes) {
  const Pt2Archive archive(MappedFile::from_bytes({bytes.begin(), bytes.end()}, "fuzz.pt2"));
  for (const StoredTensor& tensor : archive.tensors()) {
    const auto view = archive.find(tensor.name);
    if (!view || view->elements() == 0) continue;
    int64_t last = 0;
    for (int i = 0; i < view->rank(); ++i) last += (view->shape[i] - 1) * view->strides[i];
    const size_t size = size_of(view->dtype);
    volatile char touched = view->as<char>()[0];
    touched = view->as<char>()[static_cast<size_t>(last) * size + size - 1];
    static_cast<void>(touched);
  }
  pt2::read_program(archive);
}

// A zip archive as it begins, the JSON of a program, or else an expression.
void read(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (bytes[0] == std::byte{'P'}) return read_archive(bytes);
  if (bytes[0] == std::byte{'{'}) {
    pt2::read_program(bytes, "fuzz.json");
    return;
  }
  const pt2::Expr expr =
      pt2::parse_expr({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (to_string(expr).empty()) fail(Errc::internal, "an expression without text");
  pt2::evaluate(expr, [](std::string_view name) { return static_cast<int64_t>(name.size()); });
}

}  // namespace
}  // namespace tutti

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tutti::set_log(tutti::LogLevel::off, nullptr);
  try {
    tutti::read(std::as_bytes(std::span(data, size)));
  } catch (const tutti::Error& error) {
    if (error.code() == tutti::Errc::internal) throw;
  }
  return 0;
}
