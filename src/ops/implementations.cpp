// SPDX-License-Identifier: Apache-2.0
#include "ops/implementation.h"
#include "ops/region_kernel.h"

namespace tutti {

std::span<const Implementation> implementations() {
  static const std::vector<Implementation> kRows = {
      {"region", "vector", prepare_region},
      {"cast", "vector", prepare_cast},
  };
  return kRows;
}

}  // namespace tutti
