// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace tutti::runtime {

/// By step: which collectives (counted in the order of steps) must have ended before it starts,
/// those that write what it touches or read what it writes. The last entry, one more than there
/// are steps, holds what is left at the end.
std::vector<std::vector<int32_t>> find_waits(const std::vector<Step>& steps);

}  // namespace tutti::runtime
