// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "ir/graph.h"

namespace tutti {

/// By value: whether it follows from numbers and constants of the function alone, through values of
/// at most so many elements.
std::vector<bool> constant_values(const Function& f, int64_t max_elements);

/// The contents of such values, by plain loops: the same bits on every machine. `fast`: fused and
/// by the kernels of this machine, as a session would.
std::vector<Tensor> evaluate(const Function& f, const std::vector<ValueId>& values, bool fast);

}  // namespace tutti
