// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tutti/tensor.h"

namespace tutti {

/// A tensor and what it is called in a file.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

}  // namespace tutti
