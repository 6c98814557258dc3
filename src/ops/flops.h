// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/op.h"

namespace tutti {

/// Arithmetic of products, convolutions and attention, with operands and results of these shapes: a
/// multiplication and an addition are two. 0 for other operators.
///
/// As the definition has it, whatever an implementation saves; attention counts the keys of its
/// band.
double flops(const Op& op, std::span<const Dims> in, std::span<const Dims> out);

}  // namespace tutti
