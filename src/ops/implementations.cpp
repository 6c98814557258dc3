// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "device/cpu/dnnl_matmul.h"
#include "ops/attention_kernel.h"
#include "ops/conv_kernel.h"
#include "ops/implementation.h"
#include "ops/matmul_kernel.h"
#include "ops/region_kernel.h"

namespace tutti {

namespace {

std::vector<Implementation> rows() {
  std::vector<Implementation> all = {
      {"fused_matmul", "own", prepare_fused_matmul},
      {"matmul", "own", prepare_matmul},
      {"attention", "own", prepare_attention},
      {"conv", "own", prepare_conv},
      {"fused_conv", "own", prepare_fused_conv},
      {"region", "vector", prepare_region},
      {"cast", "vector", prepare_cast},
  };
  // After "own": in no measured shape was it clearly faster (bench/README.md).
  if (!cpu::dnnl_version_text().empty()) {
    all.push_back({"fused_matmul", "onednn", prepare_fused_matmul_onednn});
    all.push_back({"matmul", "onednn", prepare_matmul_onednn});
    all.push_back({"fused_conv", "onednn", prepare_fused_conv_onednn});
    all.push_back({"conv", "onednn", prepare_conv_onednn});
  }
  return all;
}

}  // namespace

std::span<const Implementation> implementations() {
  static const std::vector<Implementation> kRows = rows();
  return kRows;
}

}  // namespace tutti
