// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "ops/implementation.h"

namespace tutti {

/// FusedMatmul by the own blocked product of device/cpu/gemm.h. Null for types it does not mix.
std::unique_ptr<Kernel> prepare_fused_matmul(const KernelSpec& spec);

/// Matmul the same way.
std::unique_ptr<Kernel> prepare_matmul(const KernelSpec& spec);

/// Both by oneDNN, see device/cpu/dnnl_matmul.h. Null for what it does not take, and always in a
/// build without it.
std::unique_ptr<Kernel> prepare_fused_matmul_onednn(const KernelSpec& spec);
std::unique_ptr<Kernel> prepare_matmul_onednn(const KernelSpec& spec);

}  // namespace tutti
