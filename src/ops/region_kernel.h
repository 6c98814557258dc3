// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "ops/implementation.h"

namespace tutti {

/// The vectorised implementation of Region: block by block from cache, blocks over threads. Null
/// for a region with an instruction it has no loop for (8-bit floats, rare integer functions).
std::unique_ptr<Kernel> prepare_region(const KernelSpec& spec);

/// Cast, a strided copy included, as a region of one instruction.
std::unique_ptr<Kernel> prepare_cast(const KernelSpec& spec);

}  // namespace tutti
