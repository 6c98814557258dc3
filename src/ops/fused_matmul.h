// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "ir/op.h"
#include "ops/epilogue.h"

namespace tutti {

/// y_i = epilogue_i(a x b[.., columns of i]): one product, its columns given to one output after
/// the other, each with steps of its own on the f32 sum.
///
/// Inputs: a [..., m, k]; b [..., k, n], or a packed matrix (see PackMatrix) when `packed` names
/// its layout; then the operands of the epilogues. All floats of one type.
struct FusedMatmul {
  std::vector<int64_t> columns;     ///< of each output; they add up to n
  std::vector<Epilogue> epilogues;  ///< one for each output
  std::string packed;

  static constexpr auto kName = "fused_matmul";
  static constexpr auto kDoc = "matrix product with its columns and what follows them given apart";
  static constexpr auto fields() {
    return std::tuple{field("columns", &FusedMatmul::columns, "columns of each output"),
                      field("epilogues", &FusedMatmul::epilogues, "steps for each output"),
                      field("packed", &FusedMatmul::packed, "layout of a packed b, or empty")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

/// y = x [k, n] in the order in which matrix products read it; `layout` as in
/// device/cpu/packed_matrix.h, for example "f32.nr32". y is a list of elements.
struct PackMatrix {
  std::string layout;

  static constexpr auto kName = "pack_matrix";
  static constexpr auto kDoc = "a weight in the order in which matrix products read it";
  static constexpr auto fields() {
    return std::tuple{field("layout", &PackMatrix::layout, "name of the order")};
  }
  std::vector<TensorType> infer(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
