// SPDX-License-Identifier: Apache-2.0
#include "import/tensor_file.h"

#include <filesystem>

#include "core/error.h"
#include "import/npy.h"
#include "import/safetensors.h"

namespace tutti {
namespace {

enum class Format { npy, npz, safetensors };

Format format_of(const std::string& path) {
  if (path.ends_with(".npy")) return Format::npy;
  if (path.ends_with(".npz")) return Format::npz;
  if (path.ends_with(".safetensors")) return Format::safetensors;
  fail(Errc::invalid_argument, path,
       ": is no tensor file by its name; .npy, .npz and .safetensors are");
}

std::vector<NamedTensor> read_safetensors(const std::string& path) {
  const SafetensorsFile file(MappedFile::open(path));
  std::vector<NamedTensor> tensors;
  for (std::string& name : file.names()) {
    Tensor tensor = *file.find(name);
    tensors.push_back({std::move(name), std::move(tensor)});
  }
  return tensors;
}

}  // namespace

std::vector<NamedTensor> read_tensors(const std::string& path) {
  switch (format_of(path)) {
    case Format::npy:
      return {{std::filesystem::path(path).stem(), read_npy(MappedFile::open(path))}};
    case Format::npz:
      return read_npz(MappedFile::open(path));
    case Format::safetensors:
      return read_safetensors(path);
  }
  fail(Errc::internal, path, ": has no format");
}

void write_tensors(const std::string& path, std::span<const NamedTensor> tensors) {
  switch (format_of(path)) {
    case Format::npy:
      require_argument(tensors.size() == 1, path, ": a .npy file holds one tensor, not ",
                       tensors.size());
      return write_npy(path, tensors[0].tensor);
    case Format::npz:
      return write_npz(path, tensors);
    case Format::safetensors:
      return write_safetensors(path, tensors);
  }
}

}  // namespace tutti
