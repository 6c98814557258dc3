// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "device/cpu/conv.h"
#include "ops/fused_conv.h"
#include "ops/implementation.h"

namespace tutti {

/// Conv and FusedConv by device/cpu/conv.h. Null for types that it does not take, and for weights
/// whose kernel is not dense.
std::unique_ptr<Kernel> prepare_conv(const KernelSpec& spec);
std::unique_ptr<Kernel> prepare_fused_conv(const KernelSpec& spec);

/// Both by oneDNN, see device/cpu/dnnl_conv.h. Null for what it does not take, and always in a
/// build without it.
std::unique_ptr<Kernel> prepare_conv_onednn(const KernelSpec& spec);
std::unique_ptr<Kernel> prepare_fused_conv_onednn(const KernelSpec& spec);

/// Sizes of a convolution of x with weights of this shape to y; no layouts.
cpu::ConvProblem conv_sizes(const Conv& op, const Dims& x, const Dims& w, const Dims& y);

}  // namespace tutti
