// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "tutti/tutti.h"

namespace tutti::cli {

/// How one output differs from what was expected.
struct Difference {
  double largest_expected = 0;
  double largest_error = 0;
  std::string problem;  ///< another type or shape, NaN in other places; or empty

  /// The error over the largest expected value; 0 when there is none.
  double relative() const;
};

/// Floats by value, with NaN and infinities where they are expected; integers and booleans must be
/// equal.
Difference compare(const Tensor& found, const Tensor& expected);

/// A table of all outputs, and whether each expected one is there within the tolerance. A file of
/// one tensor is compared with the one output, whatever their names.
struct Comparison {
  std::string table;
  bool passed = true;
};
Comparison compare(const TensorMap& found, const TensorMap& expected, double tolerance);

}  // namespace tutti::cli
