// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axes.
///
/// x [..., shape of weight]; weight and bias are optional inputs 1 and 2 (both or none or weight
/// only). Computed in f32 and rounded once.
struct LayerNorm {
  int64_t axes = 1;
  double eps = 1e-5;

  static constexpr auto kName = "layer_norm";
  static constexpr auto kDoc = "normalization by mean and variance over the last axes";
  static constexpr auto fields() {
    return std::tuple{field("axes", &LayerNorm::axes, "number of last axes normalized together"),
                      field("eps", &LayerNorm::eps, "added to the variance")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = x / sqrt(mean(x^2) + eps) * weight over the last axes; weight is an optional input 1.
///
/// Computed in f32 and rounded once.
struct RmsNorm {
  int64_t axes = 1;
  double eps = 1e-6;

  static constexpr auto kName = "rms_norm";
  static constexpr auto kDoc = "normalization by the root mean square over the last axes";
  static constexpr auto fields() {
    return std::tuple{field("axes", &RmsNorm::axes, "number of last axes normalized together"),
                      field("eps", &RmsNorm::eps, "added to the mean square")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// Mean and variance over each group of channels and all space; then weight and bias per channel.
///
/// x [b, c, ...], weight [c] and bias [c] optional inputs 1 and 2.
struct GroupNorm {
  int64_t groups = 1;
  double eps = 1e-5;

  static constexpr auto kName = "group_norm";
  static constexpr auto kDoc = "normalization over groups of channels";
  static constexpr auto fields() {
    return std::tuple{field("groups", &GroupNorm::groups, "number of groups, divides c"),
                      field("eps", &GroupNorm::eps, "added to the variance")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
