// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace tutti {

/// What a function gives: one tensor for each output (null data for None) and for each update.
struct Interpretation {
  std::vector<Tensor> outputs;
  std::vector<Tensor> updates;
};

/// Runs a function without symbols node by node with each operator's plain implementation.
///
/// inputs     in the order of function.inputs
/// residents  by ResidentId; those the function does not read may be null
/// Results may share memory with inputs and residents. Values are freed after their last use.
Interpretation interpret(const Function& function, std::span<const Tensor> inputs,
                         std::span<const Tensor> residents, cpu::Pool& pool);

}  // namespace tutti
