// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ops/conv.h"
#include "ops/epilogue.h"

namespace tutti {

/// y = epilogue(conv(x, w)), the steps on the f32 sums.
///
/// Inputs: x and w as of Conv, without bias; then the operands of the epilogue. All floats of one
/// type. When `packed` names a layout (see PackMatrix), w is the packed matrix that
/// WinogradWeights makes of 3 x 3 weights, f32, and `outputs` says how many channels y has.
struct FusedConv : Conv {
  std::vector<Epilogue> epilogues;  ///< one
  std::string packed;
  int64_t outputs = 0;

  static constexpr auto kName = "fused_conv";
  static constexpr auto kDoc = "convolution with what follows it";
  static constexpr auto fields() {
    return std::tuple_cat(
        Conv::fields(),
        std::tuple{field("epilogues", &FusedConv::epilogues, "steps on the sums"),
                   field("packed", &FusedConv::packed, "layout of a packed w, or empty"),
                   field("outputs", &FusedConv::outputs, "channels of y with a packed w, else 0")});
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// The matrix that a convolution of 2 x 2 pixels at a time multiplies with (Winograd's
/// F(2x2, 3x3)): w [o, c, 3, 3] of any float type but f64 -> f32 [16 c, o].
struct WinogradWeights {
  static constexpr auto kName = "winograd_weights";
  static constexpr auto kDoc = "3 x 3 weights as a matrix for 2 x 2 pixels at a time";
  static constexpr auto fields() { return std::tuple{}; }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
