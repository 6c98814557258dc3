// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// The same bytes, row by row, read as another element type; the last extent changes with the size
/// of an element.
///
/// x [..., n] gives y [..., n * size of x's type / size of dtype]; sizes differ only when x has
/// axes. No cast to or from boolean, except from boolean to u8.
struct Bitcast {
  DType dtype = DType::u8;

  static constexpr auto kName = "bitcast";
  static constexpr auto kDoc = "the bytes of x as elements of another type";
  static constexpr auto fields() {
    return std::tuple{field("dtype", &Bitcast::dtype, "element type of y")};
  }
  std::vector<TensorType> infer(Types in) const;
  size_t workspace(Types in) const;
  void cpu(const KernelArgs& args) const;
};

}  // namespace tutti
