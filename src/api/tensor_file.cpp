// SPDX-License-Identifier: Apache-2.0
#include "import/tensor_file.h"

namespace tutti {

TensorMap load_tensors(const std::string& path) {
  TensorMap map;
  for (NamedTensor& t : read_tensors(path)) map[t.name] = std::move(t.tensor);
  return map;
}

void save_tensors(const std::string& path, const TensorMap& tensors) {
  std::vector<NamedTensor> list;
  for (const auto& [name, tensor] : tensors) list.push_back({name, tensor});
  write_tensors(path, list);
}

}  // namespace tutti
