// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "ir/graph.h"

namespace tutti {

/// Writes normalizations and softmax that are wanted as elementwise functions and reductions, which
/// fuse and may be split; true where there were any. They compute in f32 (f64 for f64) and round
/// once, as the operators do. Values keep their numbers.
bool decompose(Function& f, const std::function<bool(const Node&)>& wanted);

}  // namespace tutti
