// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "ops/implementation.h"

namespace tutti {

/// Conv as matrix products of the weights with the windows of some output rows at a time. Null for
/// transposed convolution, and for types that device/cpu/gemm.h does not take.
std::unique_ptr<Kernel> prepare_conv(const KernelSpec& spec);

}  // namespace tutti
