// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "import/named_tensor.h"

namespace tutti {

/// Reads all tensors of a .npy, .npz or .safetensors file; the extension says which it is.
///
/// The tensors are read-only and keep the file mapped. The array of NAME.npy is called NAME.
/// Throws invalid_argument for another extension, else as the readers of the formats do.
std::vector<NamedTensor> read_tensors(const std::string& path);

/// Writes tensors to a file of the format that the extension of `path` names.
///
/// Throws invalid_argument for another extension, for a .npy file of not exactly one tensor, for
/// names that occur twice, and for element types that a format lacks.
void write_tensors(const std::string& path, std::span<const NamedTensor> tensors);

}  // namespace tutti
