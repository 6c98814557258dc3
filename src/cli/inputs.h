// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tutti/tutti.h"

namespace tutti::cli {

/// The tensors that --input options name, by input.
///
/// FILE gives the tensors in it by their names; NAME=FILE the only tensor of a file, or the one of
/// that name. A .npy without a name is for the only input. Throws UsageError.
TensorMap read_inputs(const std::vector<std::string>& options,
                      const std::vector<std::string>& inputs);

/// Shapes of tensors, and of what is given beside them.
InputShapes shapes_of(const TensorMap& tensors, const InputShapes& more);

/// The plan for these shapes; compiles it when it is not there.
PlanInfo plan_for(Engine& engine, const InputShapes& shapes);

/// Adds a random tensor for each input that is missing: normal numbers, or integers 0 and 1.
void add_random_inputs(const Engine& engine, const PlanInfo& plan, TensorMap& tensors);

/// Throws UsageError naming a tensor that is no input.
void require_known_inputs(const Engine& engine, const TensorMap& tensors);

/// Throws UsageError with names, types and shapes of inputs that are missing.
void require_all_inputs(const Engine& engine, const TensorMap& tensors);

}  // namespace tutti::cli
