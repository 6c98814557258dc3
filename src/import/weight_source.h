// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/tensor.h"

namespace tutti {

/// Named tensors that are read where they lie, whichever files hold them.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// Where the tensors are from, for messages.
  virtual const std::string& path() const = 0;

  /// All names, sorted.
  virtual std::vector<std::string> names() const = 0;

  /// The tensor of that name, read-only and kept alive by its owner; nothing when there is none.
  /// Throws unsupported when its element type or number of dimensions is not one of tutti's.
  virtual std::optional<Tensor> find(std::string_view name) const = 0;
};

/// Opens a .safetensors file, a *.safetensors.index.json with the files it lists, a folder of
/// either (its index, or all its .safetensors files), a .npz or a .npy file.
///
/// Throws not_found when there is nothing of the kind, corrupt when two files of a folder have a
/// tensor of one name or a file does not hold what its index says.
std::shared_ptr<const WeightSource> open_weights(const std::string& path);

}  // namespace tutti
