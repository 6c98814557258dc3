// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shard/planner.h"

namespace tutti::shard {

/// Tensor parallel: heads of attention, and the hidden dimension between two products with
/// weights, are split over these axes.
void seed_tensor_parallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires);

/// Context parallel: the dimensions of inputs from which the queries of attention come are split
/// over these axes; `zigzag` balances causal attention.
void seed_context_parallel(const Function& f, const Mesh& mesh, AxisSet axes, bool zigzag,
                           Desires& desires);

/// Data parallel: the first dimension of inputs, as far as all outputs have it.
void seed_data_parallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires);

}  // namespace tutti::shard
