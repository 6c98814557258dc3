// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "ops/implementation.h"

namespace tutti {

/// FusedMatmul by the own blocked product of device/cpu/gemm.h. Null for types it does not mix.
std::unique_ptr<Kernel> prepare_fused_matmul(const KernelSpec& spec);

/// Matmul the same way.
std::unique_ptr<Kernel> prepare_matmul(const KernelSpec& spec);

}  // namespace tutti
