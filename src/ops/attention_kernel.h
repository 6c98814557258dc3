// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "ops/implementation.h"

namespace tutti {

/// Attention by device/cpu/attention.h: never holds the scores. Null for types it does not take.
std::unique_ptr<Kernel> prepare_attention(const KernelSpec& spec);

}  // namespace tutti
