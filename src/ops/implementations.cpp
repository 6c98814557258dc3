// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "ops/attention_kernel.h"
#include "ops/conv_kernel.h"
#include "ops/implementation.h"
#include "ops/matmul_kernel.h"
#include "ops/region_kernel.h"

namespace tutti {

std::span<const Implementation> implementations() {
  static const std::vector<Implementation> kRows = {
      {"fused_matmul", "own", prepare_fused_matmul}, {"matmul", "own", prepare_matmul},
      {"attention", "own", prepare_attention},       {"conv", "own", prepare_conv},
      {"region", "vector", prepare_region},          {"cast", "vector", prepare_cast},
  };
  return kRows;
}

}  // namespace tutti
